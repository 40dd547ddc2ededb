import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import type { TenantId } from "../../src/domain/state/ids.ts";
import type { FleetShardApi, ListQuery } from "../../src/fleet/shard/shard-api.ts";
import { shardName } from "../../src/fleet/shard/shard-name.ts";
import { born, lease, report, sessionId } from "../support/reports.ts";

function shard(name: string) {
  const { SHARDS } = env as unknown as { readonly SHARDS: DurableObjectNamespace };
  const stub = SHARDS.get(SHARDS.idFromName(name));
  return { stub, api: stub as unknown as FleetShardApi };
}

/** A tenant that the shard of this name indexes: rows of others do not stay there. */
function tenantOf(name: string): TenantId {
  for (let i = 0; ; i += 1) if (shardName(`t${i}` as TenantId, 4) === name) return `t${i}` as TenantId;
}

const query: ListQuery = {
  tenant: "acme" as TenantId,
  limit: 100,
  after: null,
  status: null,
  template: null,
  blocked: null,
  labels: {},
  createdAfter: null,
};

describe("FleetShard", () => {
  it("keeps the newest report of each session through an eviction, whatever the order they came in [FLT-2]", async () => {
    const { stub, api } = shard("shard-0");
    const a = sessionId("a");
    const labels = { team: "x" };
    const tenant = tenantOf("shard-0");
    const arrivals = [3, 1, 4, 2, 4, 3].map((version) =>
      report(a, version, {
        tenant,
        labels,
        status: version === 4 ? "paused" : "running",
        leases: [lease(a, version, "held")],
      }),
    );
    const held = await Promise.all(arrivals.map((each) => api.report(each)));
    expect(held.at(-1)).toEqual({ version: 4 });
    await evictDurableObject(stub);
    const page = await shard("shard-0").api.list({ ...query, tenant, labels });
    expect(page).toEqual([expect.objectContaining({ id: a, status: "paused", generation: born + 4, labels })]);
  });

  it("answers pages and what is overdue over object RPC [FLT-1]", async () => {
    const { api } = shard("shard-1");
    const tenant = tenantOf("shard-1");
    const ids = ["a", "b", "c"].map(sessionId);
    for (const [i, id] of ids.entries()) {
      await api.report(report(id, 1, { tenant, createdAt: born + i, nextDeadline: i === 2 ? null : born - i }));
    }
    const [newest] = await api.list({ ...query, tenant, limit: 1 });
    expect(newest?.id).toBe(ids[2]);
    const rest = await api.list({ ...query, tenant, after: { createdAt: born + 2, id: sessionId("c") } });
    expect(rest.map((each) => each.id)).toEqual([ids[1], ids[0]]);
    expect(await api.overdue(born + 1, 10)).toEqual([
      { sessionId: ids[1], nextDeadline: born - 1 },
      { sessionId: ids[0], nextDeadline: born },
    ]);
  });

  it("a ping and a look at an empty shard write nothing [API-12]", async () => {
    const { stub, api } = shard("shard-2");
    expect(await api.ping()).toBe(true);
    expect(await api.list(query)).toEqual([]);
    await runInDurableObject(stub, (_, state) => {
      expect(state.storage.sql.exec("SELECT name FROM sqlite_master WHERE name NOT GLOB '_cf_*'").toArray()).toEqual(
        [],
      );
    });
  });
});
