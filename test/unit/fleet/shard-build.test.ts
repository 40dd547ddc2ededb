import { beforeEach, describe, expect, it } from "vitest";
import type { SessionId, TenantId } from "../../../src/domain/state/ids.ts";
import { ShardBuilder } from "../../../src/fleet/shard/shard-build.ts";
import { ShardIndex } from "../../../src/fleet/shard/shard-index.ts";
import { shardName, shardNames } from "../../../src/fleet/shard/shard-name.ts";
import type { SessionReport } from "../../../src/session/reports/reports.ts";
import { controlFace, tenantFace } from "../../support/fleet-cores.ts";
import { nodeSql } from "../../support/node-sql.ts";
import { born, lease, order, report, sessionId } from "../../support/reports.ts";

const tenants = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu"] as TenantId[];
const clock = {
  now: () => born,
  sleep: (_ms: number, signal?: AbortSignal) =>
    new Promise<void>((resolve) => signal?.addEventListener("abort", () => resolve())),
};

describe("building the index from the registries", () => {
  let control: ReturnType<typeof controlFace>;
  let registries: Map<TenantId, ReturnType<typeof tenantFace>>;
  /** The registry of this tenant does not answer. */
  let silent: TenantId | null;

  beforeEach(async () => {
    control = controlFace(clock);
    silent = null;
    registries = new Map(tenants.map((tenant) => [tenant, tenantFace(tenant, clock, 1_000)]));
    for (const tenant of tenants) await control.allow({ tenant, version: 1, held: 0, wants: 1 });
  });

  function registry(tenant: TenantId) {
    const found = registries.get(tenant);
    if (found === undefined || tenant === silent) throw new Error(`${tenant} is silent`);
    return found;
  }

  function shard(name: string, shards: number, sql = nodeSql()) {
    const index = new ShardIndex(sql, clock);
    const builder = new ShardBuilder(index, { control, tenant: registry, clock }, { shards }, () => name);
    return { index, builder, sql };
  }

  /** As a session does: reserved, then told to both. `hears`: the shards that are there to be told. */
  async function seed(perTenant: number, hears: (tenant: TenantId) => ShardIndex | null): Promise<void> {
    for (const tenant of tenants) {
      for (let i = 0; i < perTenant; i += 1) {
        const id = sessionId(`${tenant}${i}x`);
        await registry(tenant).reserve(order(id, 1));
        const said = told(tenant, id, 2, i % 3 === 0 ? "terminated" : "running");
        await registry(tenant).report(said);
        hears(tenant)?.report(said);
      }
      hears(tenant)?.counts(await registry(tenant).counts());
    }
  }
  function told(tenant: TenantId, id: SessionId, version: number, status: SessionReport["status"]): SessionReport {
    const leases = [lease(id, 1, status === "running" ? "held" : "closed")];
    return report(id, version, { tenant, status, leases, labels: { of: tenant }, startedAt: born });
  }

  const rows = (index: ShardIndex) => index.select({ limit: 1_000, order: "newest" });
  const sorted = (shards: readonly ShardIndex[]) =>
    shards
      .flatMap(rows)
      .map(({ asOf: _, nextDeadline: __, ...row }) => row)
      .toSorted((a, b) => (a.sessionId < b.sessionId ? -1 : 1));

  it("a shard that lost everything has the same rows and the same counts again [FLT-18]", async () => {
    const whole = shard("shard-0", 1);
    await seed(12, () => whole.index);
    const lost = shard("shard-0", 1);
    await lost.builder.ensure();
    expect(sorted([lost.index])).toEqual(sorted([whole.index]));
    expect(lost.index.stats()).toEqual(whole.index.stats());
    expect(lost.index.stats()).toMatchObject({ created: 84, destroyed: 28, active: 56, tenants: 7 });
    expect(lost.index.list({ ...everything, tenant: tenants[0] as TenantId, labels: { of: "ant" } })).toHaveLength(12);
  });

  const everything = {
    limit: 100,
    after: null,
    status: null,
    template: null,
    blocked: null,
    labels: {},
    createdAfter: null,
  } as const;

  it("for another number of shards each tenant is in exactly one, nothing lost, nothing counted twice [FLT-18]", async () => {
    const two = shardNames(2).map((name) => shard(name, 2));
    const of = (tenant: TenantId) => two[shardNames(2).indexOf(shardName(tenant, 2))]?.index ?? null;
    await seed(9, of);
    for (const { builder } of two) await builder.ensure();
    const before = sorted(two.map(({ index }) => index));
    // The first two keep their storage: what is no longer theirs has to go.
    const five = shardNames(5).map((name, place) => shard(name, 5, two[place]?.sql));
    for (const { builder } of five) {
      expect(builder.built).toBe(false);
      await builder.ensure();
    }
    expect(sorted(five.map(({ index }) => index))).toEqual(before);
    const sum = (of: "created" | "active" | "destroyed" | "tenants", from: typeof five) =>
      from.reduce((total, { index }) => total + index.stats()[of], 0);
    expect(sum("created", five)).toBe(63);
    expect(sum("tenants", five)).toBe(7);
    expect(sum("created", five) - sum("destroyed", five)).toBe(sum("active", five));
    for (const [place, { index }] of five.entries())
      for (const row of rows(index)) expect(shardName(row.tenant, 5)).toBe(`shard-${place}`);
  });

  it("a registry that is silent keeps the shard from answering, and the place is kept until it speaks [FLT-18]", async () => {
    await seed(5, () => null);
    silent = "dog" as TenantId;
    const lost = shard("shard-0", 1);
    await expect(lost.builder.ensure()).rejects.toThrow(/dog/);
    expect(lost.builder.built).toBe(false);
    silent = null;
    // A new incarnation over the same storage goes on.
    const again = shard("shard-0", 1, lost.sql);
    await again.builder.ensure();
    expect(rows(again.index)).toHaveLength(35);
    expect(again.builder.describe()).toEqual({ type: "built", shards: 1, at: born, sessions: 35 });
  });

  it("what a session says meanwhile is newer than its registry, and stays [FLT-2] [FLT-18]", async () => {
    await seed(3, () => null);
    const id = sessionId("fox1x");
    const lost = shard("shard-0", 1);
    lost.index.report(told("fox" as TenantId, id, 9, "terminated"));
    await lost.builder.ensure();
    expect(rows(lost.index)).toHaveLength(21);
    expect(rows(lost.index).find((row) => row.sessionId === id)).toMatchObject({ version: 9, status: "terminated" });
  });

  it("an operator's rebuild removes what no registry knows, and mends the counters [FLT-18]", async () => {
    const whole = shard("shard-0", 1);
    await seed(4, () => whole.index);
    await whole.builder.ensure();
    const counted = whole.index.stats();
    whole.index.report(told("ant" as TenantId, sessionId("phantom"), 1, "running"));
    whole.sql.run(`UPDATE counters SET body = '{"status:running":99}'`);
    whole.builder.start(true);
    await whole.builder.ensure();
    expect(rows(whole.index)).toHaveLength(28);
    expect(whole.index.stats()).toEqual(counted);
  });

  it("sessions that were restored are not taken for overdue: their heartbeat may still be under way [FLT-17]", async () => {
    await seed(3, () => null);
    const lost = shard("shard-0", 1);
    await lost.builder.ensure();
    expect(lost.index.overdue(born + 900_000, 1_000)).toEqual([]);
    expect(lost.index.overdue(born + 7_200_000, 1_000)).toHaveLength(21);
  });

  it("a heartbeat of the same version moves the deadline; an older one does not [FLT-2] [FLT-17]", () => {
    const { index } = shard("shard-0", 1);
    const id = sessionId("a");
    index.report(report(id, 3, { asOf: born, nextDeadline: born + 10 }));
    index.report(report(id, 3, { asOf: born + 5, nextDeadline: born + 90 }));
    index.report(report(id, 3, { asOf: born + 4, nextDeadline: born + 20 }));
    expect(rows(index)[0]?.nextDeadline).toBe(born + 90);
  });

  it("a fleet without tenants needs no build, and nothing is written for it [API-12]", async () => {
    control = controlFace(clock);
    const { builder, sql } = shard("shard-0", 1);
    await builder.ensure();
    expect(sql.run("SELECT name FROM sqlite_master")).toEqual([]);
  });
});
