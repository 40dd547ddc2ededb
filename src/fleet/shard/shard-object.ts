/**
 * The Durable Object around ShardIndex, one per shard, named `shard-<n>`. It remembers what it is told; its alarm serves
 * only to go on with a build that takes longer than one call.
 */
import { DurableObject } from "cloudflare:workers";
import type { Clock, Logger } from "../../runtime/clock-ids-logger.ts";
import type { BlockedMark, SessionReport } from "../../session/reports/reports.ts";
import { durableSql } from "../../storage/durable-sql.ts";
import { ObjectAlarm } from "../../storage/object-alarm.ts";
import type { FleetQuery, FleetShardApi, ListQuery, TenantCounts } from "./shard-api.ts";
import { type BuildPorts, type BuildTerms, ShardBuilder } from "./shard-build.ts";
import { ShardIndex } from "./shard-index.ts";
import type { RecentEnd } from "./recent-ends.ts";

/** What the composition root hands in. */
export interface ShardWiring extends BuildPorts {
  readonly terms: BuildTerms;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Between two turns of a build; after a registry that did not answer, too. */
const buildAgainMs = 2_000;

export function fleetShard<Env>(wire: (env: Env) => ShardWiring) {
  return class FleetShard extends DurableObject<Env> implements FleetShardApi {
    readonly #wiring: ShardWiring;
    readonly #index: ShardIndex;
    readonly #builder: ShardBuilder;
    readonly #alarm: ObjectAlarm;

    constructor(ctx: DurableObjectState, env: Env) {
      super(ctx, env);
      this.#wiring = wire(env);
      this.#index = new ShardIndex(durableSql(ctx.storage), this.#wiring.clock);
      this.#alarm = new ObjectAlarm(ctx.storage, () => this.#wiring.clock.now());
      this.#builder = new ShardBuilder(this.#index, this.#wiring, this.#wiring.terms, () => ctx.id.name ?? "unnamed");
    }

    async report(report: SessionReport) {
      return this.#index.report(report);
    }

    async markBlocked(mark: BlockedMark) {
      this.#index.markBlocked(mark);
    }

    async toldEnd(end: RecentEnd) {
      this.#index.toldEnd(end);
    }

    async counts(counts: TenantCounts) {
      return this.#index.counts(counts);
    }

    async list(query: ListQuery) {
      await this.#ready();
      return this.#index.list(query);
    }

    async select(query: FleetQuery) {
      await this.#ready();
      return this.#index.select(query);
    }

    async stats() {
      await this.#ready();
      return this.#index.stats();
    }

    async outcomes(windowMs: number | null) {
      return this.#index.outcomes(windowMs);
    }

    async overdue(before: number, limit: number) {
      await this.#ready();
      return this.#index.overdue(before, limit);
    }

    async overdueContainers(now: number, limit: number) {
      await this.#ready();
      return this.#index.overdueContainers(now, limit);
    }

    async tenantBudgets(now: number, limit: number) {
      await this.#ready();
      return this.#index.tenantBudgets(now, limit);
    }

    async rebuild() {
      await this.#alarm.known();
      this.#builder.start(true);
      this.#alarm.by(this.#wiring.clock.now() + buildAgainMs);
      await this.#builder.work().catch((error: unknown) => this.#failed(error));
      return this.#builder.describe();
    }

    async ping(): Promise<true> {
      return true;
    }

    override async alarm(): Promise<void> {
      if (this.#builder.built) return;
      await this.#alarm.fired(this.#wiring.clock.now() + buildAgainMs);
      await this.#builder.work().catch((error: unknown) => this.#failed(error));
    }

    /** Throws while the rows are not all there; the alarm sees to it that they will be. */
    async #ready(): Promise<void> {
      if (this.#builder.built) return;
      try {
        await this.#builder.ensure();
      } catch (error) {
        await this.#alarm.known();
        this.#alarm.by(this.#wiring.clock.now() + buildAgainMs);
        throw error;
      }
    }

    #failed(error: unknown): void {
      this.#wiring.logger.warn("a shard could not be built", { shard: this.ctx.id.name ?? null, error: String(error) });
    }
  };
}
