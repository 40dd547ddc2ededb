/**
 * The Worker of the bench: Mooring as it is deployed, the floor it is measured against, and a second set of the same
 * object classes that count. Which set is bound is the config's choice, so that what is timed is not slowed by counting.
 */
import * as mooring from "../../support/workers/composed.ts";
import type { Env } from "../../../src/config/env.ts";
import { countAlarm, countingEnv, takeCounts, watchStorage } from "./counts.ts";
import { floor } from "./floor.ts";
import { SeededShard } from "./seeded-shard.ts";
import { shardName } from "../../../src/fleet/shard/shard-name.ts";
import type { TenantId } from "../../../src/domain/state/ids.ts";

export * from "../../support/workers/composed.ts";
export { FloorObject } from "./floor.ts";
export { SeededShard } from "./seeded-shard.ts";

export class CountedSession extends mooring.SessionObject {
  constructor(ctx: DurableObjectState, env: Env) {
    watchStorage("session", ctx.storage);
    super(ctx, countingEnv("session", env));
  }
  override async alarm(): Promise<void> {
    countAlarm("session");
    await super.alarm();
  }
}

export class CountedTenant extends mooring.TenantObject {
  constructor(ctx: DurableObjectState, env: Env) {
    watchStorage("tenant", ctx.storage);
    super(ctx, countingEnv("tenant", env));
  }
  override async alarm(): Promise<void> {
    countAlarm("tenant");
    await super.alarm();
  }
}

export class CountedShard extends SeededShard {
  constructor(ctx: DurableObjectState, env: Env) {
    watchStorage("shard", ctx.storage);
    super(ctx, countingEnv("shard", env));
  }
  override async alarm(): Promise<void> {
    countAlarm("shard");
    await super.alarm();
  }
}

export class CountedControl extends mooring.FleetControl {
  constructor(ctx: DurableObjectState, env: Env) {
    watchStorage("control", ctx.storage);
    super(ctx, countingEnv("control", env));
  }
  override async alarm(): Promise<void> {
    countAlarm("control");
    await super.alarm();
  }
}

interface SeedOrder {
  readonly tenant: string;
  readonly from: number;
  readonly to: number;
  readonly firstAt: number;
}

interface BenchEnv extends Env {
  readonly SHARDS: DurableObjectNamespace<SeededShard>;
  readonly FLOOR: DurableObjectNamespace<never>;
  /** Set where the counting classes are bound. */
  readonly COUNTING?: string;
}

export default {
  async fetch(request, env, context) {
    const { pathname } = new URL(request.url);
    if (pathname.startsWith("/floor/")) return floor.fetch(request, env as never, context);
    if (pathname === "/bench/counts") return Response.json(takeCounts());
    if (pathname === "/bench/seed") {
      const { tenant, from, to, firstAt } = await request.json<SeedOrder>();
      const name = shardName(tenant as TenantId, Number(env.FLEET_SHARDS));
      await env.SHARDS.get(env.SHARDS.idFromName(name)).seed(tenant, from, to, firstAt);
      return new Response(null, { status: 204 });
    }
    return mooring.handler.fetch(request, env.COUNTING === undefined ? env : countingEnv("worker", env));
  },
} satisfies ExportedHandler<BenchEnv>;
