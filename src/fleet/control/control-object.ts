/**
 * The Durable Object around ControlCore: one for the whole fleet, named `control`. Every answer is the core's. Its alarm
 * belongs to who watches the fleet (`watch` in the wiring): not to the cron that is watched.
 */
import { DurableObject } from "cloudflare:workers";
import type { Clock, Ids, Logger } from "../../runtime/clock-ids-logger.ts";
import { durableSql } from "../../storage/durable-sql.ts";
import { forwardMethods, type Implementing } from "../../storage/forward-methods.ts";
import { ObjectAlarm } from "../../storage/object-alarm.ts";
import type { AllowanceOrder, FleetControlApi } from "./control-api.ts";
import { ControlCore, type ControlTerms } from "./control-core.ts";

/** What the composition root hands in. */
export interface ControlWiring {
  readonly terms: ControlTerms;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
  /** Looks at the fleet once, and may keep what it found in `core`. May throw or take its time. */
  watch(core: ControlCore): Promise<void>;
  readonly watchEveryMs: number;
}

type FromCore = Omit<FleetControlApi, "allow" | "identity">;

/** What the core answers as it is asked. */
const answeredBy = {
  tenants: "core",
  capacity: "core",
  drain: "core",
  log: "core",
  logPage: "core",
  putRun: "core",
  run: "core",
  runs: "core",
  layers: "core",
  putDocument: "core",
  document: "core",
  documents: "core",
  dropDocument: "core",
} as const satisfies Readonly<Record<keyof FromCore, string>>;

export function fleetControl<Env>(wire: (env: Env) => ControlWiring) {
  class FleetControl extends DurableObject<Env> {
    static {
      forwardMethods<FleetControl, FromCore, typeof answeredBy>(this.prototype, answeredBy, (self) => ({
        core: self.#core,
      }));
    }

    readonly #wiring: ControlWiring;
    readonly #core: ControlCore;
    readonly #alarm: ObjectAlarm;

    constructor(ctx: DurableObjectState, env: Env) {
      super(ctx, env);
      this.#wiring = wire(env);
      this.#core = new ControlCore(durableSql(ctx.storage), this.#wiring.clock, this.#wiring.terms);
      this.#alarm = new ObjectAlarm(ctx.storage, () => this.#wiring.clock.now());
    }

    /** The first tenant starts the watch, which then goes on for ever: a fleet without tenants has nothing to watch. */
    async allow(order: AllowanceOrder) {
      await this.#alarm.known();
      const reply = this.#core.allow(order);
      this.#alarm.by(this.#nextWatch());
      return reply;
    }

    async identity() {
      return this.#core.identity(() => this.#wiring.ids.id());
    }

    override async alarm(): Promise<void> {
      // Armed before anything else: a watch that throws or dies must not be the last one.
      await this.#alarm.fired(this.#nextWatch());
      try {
        await this.#wiring.watch(this.#core);
      } catch (error) {
        this.#wiring.logger.error("fleet watch failed", { error: String(error) });
      }
    }

    #nextWatch(): number {
      return this.#wiring.clock.now() + this.#wiring.watchEveryMs;
    }
  }
  return FleetControl as unknown as Implementing<typeof FleetControl, FleetControlApi>;
}
