import { beforeAll, describe, expect, it } from "vitest";
import { nanosPerUnit } from "../../../../src/domain/rules/price.ts";
import type { TenantId } from "../../../../src/domain/state/ids.ts";
import type { FleetShardApi } from "../../../../src/fleet/shard/shard-api.ts";
import { ShardIndex } from "../../../../src/fleet/shard/shard-index.ts";
import { shardName } from "../../../../src/fleet/shard/shard-name.ts";
import { selectStatement } from "../../../../src/fleet/shard/shard-queries.ts";
import { apiKeyPage, fleetPage, statsView } from "../../../../src/protocol/resources/operator/fleet.ts";
import { sessionPage } from "../../../../src/protocol/resources/session/sessions.ts";
import type { SessionReport } from "../../../../src/session/reports/reports.ts";
import type { TenantApi } from "../../../../src/tenant/tenant-api.ts";
import { tenantFace } from "../../../support/fleet-cores.ts";
import { expectProblem, httpClient, testKey, testSecrets } from "../../../support/http-client.ts";
import { nodeSql } from "../../../support/node-sql.ts";
import { born, lease, order, report, sessionId } from "../../../support/reports.ts";

const shards = 4;
const sessions = 10_000;
const tenantNames = Array.from({ length: 25 }, (_, i) => `t${i}` as TenantId);
const clock = { now: () => born };

/** The index as the objects answer it. */
function face(index: ShardIndex): Partial<FleetShardApi> {
  return {
    list: async (query) => index.list(query),
    select: async (query) => index.select(query),
    stats: async () => index.stats(),
  };
}

it("stats tell what met a time limit lately, and what all that runs now costs in an hour", async () => {
  const index = new ShardIndex(nodeSql(), clock);
  const registry = tenantFace("acme" as TenantId, clock, 10);
  const id = sessionId("priced");
  await registry.reserve(order(id, 1));
  // A thousandth of the currency a second, and 1 of 4 jobs met its limit.
  const charge = { since: born, ms: null, nanosPerSecond: nanosPerUnit / 1_000 };
  const outcomes = { ...report(id, 1).outcomes, launches: 1, launched: 1, jobsEnded: 4, jobsTimedOut: 1 };
  const told = report(id, 2, { outcomes, leases: [lease(id, 1, "held", { charge })] });
  await registry.report(told);
  index.report(told);
  index.counts(await registry.counts());
  const http = await httpClient({
    env: { SANDBOX_PROVIDER: "memory", ...testSecrets, PRICE_PER_HOUR: "local=3.6" },
    answers: { shards: [face(index)] },
  });
  const stats = statsView.parse(await (await http.send("GET", "/v1/admin/stats")).json());
  expect(stats).toMatchObject({
    timeouts: { percent: 20, samples: 5, jobs: 1, launches: 0, provider_calls: 0 },
    oldest_running: { id, tenant: "acme", created_at: new Date(born).toISOString() },
    cost: { per_hour: 3.6, currency: "USD" },
  });
});

describe("10,000 sessions in the index, through the real write path", () => {
  const indexes = Array.from({ length: shards }, () => new ShardIndex(nodeSql(), clock));
  const seen = { running: 0, of7: 0 };

  beforeAll(async () => {
    const registries = new Map<TenantId, TenantApi>();
    for (let i = 0; i < sessions; i += 1) {
      const tenant = tenantNames[i % tenantNames.length] as TenantId;
      const registry = registries.get(tenant) ?? tenantFace(tenant, clock, sessions);
      registries.set(tenant, registry);
      const id = sessionId(`s${i}x`);
      const status: SessionReport["status"] = i % 5 === 0 ? "terminated" : "running";
      if (status === "running") seen.running += 1;
      if (tenant === "t7" && i % 3 === 0) seen.of7 += 1;
      await registry.reserve(order(id, 1));
      const labels = { third: String(i % 3 === 0) };
      const leases = [lease(id, 1, status === "running" ? "held" : "closed")];
      // A hundred are made in each instant: the order within one matters.
      const told = report(id, 2, { tenant, status, labels, leases, createdAt: born + Math.floor(i / 100) });
      await registry.report(told);
      indexes[Number(shardName(tenant, shards).slice("shard-".length))]?.report(told);
    }
    for (const [tenant, registry] of registries)
      indexes[Number(shardName(tenant, shards).slice("shard-".length))]?.counts(await registry.counts());
  }, 120_000);

  const client = () => httpClient({ answers: { shards: indexes.map(face) } });

  it("an operator's page of 50 with a filter asks each shard once [FLT-1]", async () => {
    const http = await client();
    const reply = await http.send("GET", "/v1/admin/sessions?limit=50&status=running&label[third]=true");
    const page = fleetPage.parse(await reply.json());
    expect(page.data).toHaveLength(50);
    for (const each of page.data) expect(each).toMatchObject({ status: "running", labels: { third: "true" } });
    expect(http.calls.map((call) => call.object).toSorted()).toEqual(["shard-0", "shard-1", "shard-2", "shard-3"]);
  });

  it("stats ask each shard once, and are exact [FLT-1] [FLT-3]", async () => {
    const http = await client();
    const stats = statsView.parse(await (await http.send("GET", "/v1/admin/stats")).json());
    expect(stats).toMatchObject({
      active: seen.running,
      provisioning: 0,
      terminating: 0,
      total_created: sessions,
      total_destroyed: sessions - seen.running,
      sessions: { running: seen.running, terminated: sessions - seen.running },
      tenants: tenantNames.length,
      oldest_running: { created_at: new Date(born).toISOString() },
      timeouts: { window_seconds: 900, percent: 0 },
      // No provider has a price.
      cost: null,
    });
    expect(http.calls).toHaveLength(shards);
  });

  it("a tenant's page of 50 with a filter asks one shard once [FLT-1]", async () => {
    const http = await client();
    const key = await testKey({ tenant: "t7" });
    const reply = await http.send("GET", "/v1/sessions?limit=50&label[third]=true", { key });
    expect(sessionPage.parse(await reply.json()).data).toHaveLength(50);
    expect(http.calls.map((call) => call.object)).toEqual([shardName("t7" as TenantId, shards)]);
  });

  it("all pages together are every session once, in one order, whichever shard it is in [FLT-1]", async () => {
    const http = await client();
    const ids: string[] = [];
    const times: string[] = [];
    let cursor: string | null = null;
    do {
      const more: string = cursor === null ? "" : `&cursor=${cursor}`;
      const reply = await http.send("GET", `/v1/admin/sessions?limit=100${more}`);
      const page = fleetPage.parse(await reply.json());
      ids.push(...page.data.map((each) => each.id));
      times.push(...page.data.map((each) => each.created_at));
      cursor = page.next_cursor;
    } while (cursor !== null);
    expect([ids.length, new Set(ids).size]).toEqual([sessions, sessions]);
    expect(times).toEqual(times.toSorted().toReversed());
    expect(http.calls).toHaveLength((sessions / 100) * shards);
  }, 60_000);

  it("one tenant's sessions are all found by an operator's filter too [FLT-1]", async () => {
    const http = await client();
    let found = 0;
    let cursor: string | null = null;
    do {
      const more: string = cursor === null ? "" : `&cursor=${cursor}`;
      const path = `/v1/admin/sessions?limit=100&tenant=t7&label[third]=true${more}`;
      const page = fleetPage.parse(await (await http.send("GET", path)).json());
      found += page.data.length;
      cursor = page.next_cursor;
    } while (cursor !== null);
    expect(found).toBe(seen.of7);
  });

  it("a shard that does not answer makes the list and the stats a 503, never short ones [FLT-18]", async () => {
    const broken = indexes.map((index, place) => {
      const dead = async () => Promise.reject(new Error("still being built from the registries"));
      return place === 2 ? { select: dead, stats: dead } : face(index);
    });
    const http = await httpClient({ answers: { shards: broken } });
    const list = await expectProblem(await http.send("GET", "/v1/admin/sessions"), "unavailable");
    expect(list.detail).toContain("shard-2");
    await expectProblem(await http.send("GET", "/v1/admin/stats"), "unavailable");
  });

  it("an operator's list, an idle choice and the stuck use an index, not the whole table [FLT-1]", () => {
    const sql = nodeSql();
    const index = new ShardIndex(sql, clock);
    index.report(report(sessionId("a"), 1));
    for (const query of [
      { limit: 50, order: "newest" },
      { limit: 50, order: "newest", statuses: ["running"] },
      { limit: 50, order: "idlest", open: true, idleBefore: born },
      { limit: 50, order: "oldest", stuckBefore: born },
    ] as const) {
      const { text, bindings } = selectStatement(query, null, new Map());
      const plan = sql.run(`EXPLAIN QUERY PLAN ${text}`, ...bindings).map((row) => String(row["detail"]));
      expect(
        plan.some((each) => /USING (COVERING )?INDEX/.test(each)),
        `${text}: ${plan.join("; ")}`,
      ).toBe(true);
    }
  });
});

describe("revoked keys", () => {
  it("hold within a minute where the list was read before, and cost one call in half a minute [SEC-1]", async () => {
    let now = born;
    const answers = { shard: { list: async () => [] } };
    const still = { now: () => now, sleep: clockSleep };
    const http = await httpClient({ answers, clock: still });
    const key = await testKey();
    expect((await http.send("GET", "/v1/sessions", { key })).status).toBe(200);
    const [, tenant, keyId] = key.split("_");
    expect((await http.send("DELETE", `/v1/admin/keys/${tenant ?? ""}/${keyId ?? ""}`)).status).toBe(200);
    now += 29_999;
    expect((await http.send("GET", "/v1/sessions", { key })).status).toBe(200);
    now += 1;
    await expectProblem(await http.send("GET", "/v1/sessions", { key }), "unauthorized");
    const other = await testKey({ tenant: "other" });
    expect((await http.send("GET", "/v1/sessions", { key: other })).status).toBe(200);
  });

  it("[BUG-83] all of a tenant's go at once, also those that nobody has seen, and keys made afterwards work", async () => {
    let now = born;
    const answers = { shard: { list: async () => [] } };
    const http = await httpClient({ answers, clock: { now: () => now, sleep: clockSleep } });
    const key = await testKey();
    expect((await http.send("GET", "/v1/sessions", { key })).status).toBe(200);
    expect((await http.send("DELETE", "/v1/admin/keys/acme", { json: { reason: "stolen laptop" } })).status).toBe(200);
    now += 60_000;
    await expectProblem(await http.send("GET", "/v1/sessions", { key }), "unauthorized");
    const later = await testKey({ issuedAt: now + 1_000 });
    expect((await http.send("GET", "/v1/sessions", { key: later })).status).toBe(200);
    now += 60_000;
    expect((await http.send("GET", "/v1/sessions", { key: later })).status).toBe(200);
    const listed = apiKeyPage.parse(await (await http.send("GET", "/v1/admin/keys/acme")).json());
    expect(listed.all_revoked_before).not.toBeNull();
    const [first, second] = listed.data.toSorted((a, b) => a.issued_at.localeCompare(b.issued_at));
    expect([first?.revoked_at, second?.revoked_at]).toEqual([listed.all_revoked_before, null]);
    expect(second?.last_used_at).not.toBeNull();
  });

  it("[BUG-83] ends by itself at its time, whatever the registry says", async () => {
    let now = born;
    const answers = { shard: { list: async () => [] } };
    const http = await httpClient({ answers, clock: { now: () => now, sleep: clockSleep } });
    const key = await testKey({ expiresAt: born + 5_000 });
    expect((await http.send("GET", "/v1/sessions", { key })).status).toBe(200);
    now = born + 5_000;
    const refused = await expectProblem(await http.send("GET", "/v1/sessions", { key }), "unauthorized");
    expect(refused.detail).toContain("ended at");
  });

  it("what is no tenant or no key id is refused before any object is asked [SEC-5]", async () => {
    const http = await httpClient();
    for (const path of ["Acme/1.0.0123456789", "acme/nonsense", "acme/1.0.012345678", "..%2f/1.0.0123456789"])
      await expectProblem(await http.send("DELETE", `/v1/admin/keys/${path}`), "validation_failed");
    expect(http.calls).toEqual([]);
  });
});

const clockSleep = (_ms: number, signal?: AbortSignal) =>
  new Promise<void>((resolve) => {
    signal?.addEventListener("abort", () => resolve());
  });
