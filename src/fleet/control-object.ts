/**
 * The Durable Object around ControlCore: one for the whole fleet, named `control`. Every answer is the core's. Its alarm
 * belongs to who watches the fleet (`watch` in the wiring): not to the cron that is watched.
 */
import { DurableObject } from "cloudflare:workers";
import type { TenantId } from "../domain/ids.ts";
import type { Clock, Logger } from "../session/ambient.ts";
import { durableSql } from "../storage/durable-sql.ts";
import type { AdminAct, AllowanceOrder, FleetControlApi, FleetDocument, FleetRun, RunQuery } from "./control-api.ts";
import { ControlCore, type ControlTerms } from "./control-core.ts";

/** What the composition root hands in. */
export interface ControlWiring {
  readonly terms: ControlTerms;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Looks at the fleet once, and may keep what it found in `core`. May throw or take its time. */
  watch(core: ControlCore): Promise<void>;
  readonly watchEveryMs: number;
}

export function fleetControl<Env>(wire: (env: Env) => ControlWiring) {
  return class FleetControl extends DurableObject<Env> implements FleetControlApi {
    readonly #wiring: ControlWiring;
    readonly #core: ControlCore;

    constructor(ctx: DurableObjectState, env: Env) {
      super(ctx, env);
      this.#wiring = wire(env);
      this.#core = new ControlCore(durableSql(ctx.storage), this.#wiring.clock, this.#wiring.terms);
    }

    /** The first tenant starts the watch, which then goes on for ever: a fleet without tenants has nothing to watch. */
    async allow(order: AllowanceOrder) {
      const armedFor = await this.ctx.storage.getAlarm();
      const reply = this.#core.allow(order);
      if (armedFor === null) await this.#armWatch();
      return reply;
    }

    async tenants(after: TenantId | null, limit: number) {
      return this.#core.tenants(after, limit);
    }
    async capacity() {
      return this.#core.capacity();
    }
    async drain(order: { readonly by: string; readonly reason: string } | null) {
      return this.#core.drain(order);
    }
    async log(act: AdminAct) {
      return this.#core.log(act);
    }
    async logPage(before: number | null, limit: number) {
      return this.#core.logPage(before, limit);
    }
    async putRun(run: FleetRun) {
      this.#core.putRun(run);
    }
    async run(id: string) {
      return this.#core.run(id);
    }
    async runs(query: RunQuery) {
      return this.#core.runs(query);
    }
    async layers() {
      return this.#core.layers();
    }
    async putDocument(document: Omit<FleetDocument, "at">) {
      return this.#core.putDocument(document);
    }
    async document(kind: FleetDocument["kind"], id: string) {
      return this.#core.document(kind, id);
    }
    async documents(kind: FleetDocument["kind"], limit: number) {
      return this.#core.documents(kind, limit);
    }
    async dropDocument(kind: FleetDocument["kind"], id: string) {
      return this.#core.dropDocument(kind, id);
    }

    override async alarm(): Promise<void> {
      // Armed before anything else: a watch that throws or dies must not be the last one.
      await this.#armWatch();
      try {
        await this.#wiring.watch(this.#core);
      } catch (error) {
        this.#wiring.logger.error("fleet watch failed", { error: String(error) });
      }
    }

    #armWatch(): Promise<void> {
      return this.ctx.storage.setAlarm(this.#wiring.clock.now() + this.#wiring.watchEveryMs);
    }
  };
}
