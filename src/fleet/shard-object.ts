/** The Durable Object around ShardIndex, one per shard, named `shard-<n>`. It has no alarm: it only remembers. */
import { DurableObject } from "cloudflare:workers";
import type { Clock } from "../session/ambient.ts";
import type { SessionReport } from "../session/reports.ts";
import { durableSql } from "../storage/durable-sql.ts";
import type { FleetShardApi, ListQuery } from "./shard-api.ts";
import { ShardIndex } from "./shard-index.ts";

/** What the composition root hands in. */
export interface ShardWiring {
  readonly clock: Clock;
}

export function fleetShard<Env>(wire: (env: Env) => ShardWiring) {
  return class FleetShard extends DurableObject<Env> implements FleetShardApi {
    readonly #index: ShardIndex;

    constructor(ctx: DurableObjectState, env: Env) {
      super(ctx, env);
      this.#index = new ShardIndex(durableSql(ctx.storage), wire(env).clock);
    }

    async report(report: SessionReport) {
      return this.#index.report(report);
    }

    async list(query: ListQuery) {
      return this.#index.list(query);
    }

    async overdue(before: number, limit: number) {
      return this.#index.overdue(before, limit);
    }

    async ping(): Promise<true> {
      return true;
    }
  };
}
