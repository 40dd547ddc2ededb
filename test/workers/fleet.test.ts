/** The fleet in workerd: real objects behind HTTP. Each test uses tenants of its own; the global cap (100) is theirs together. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import type { FleetControlApi } from "../../src/fleet/control/control-api.ts";
import { shardName } from "../../src/fleet/shard/shard-name.ts";
import type { TenantId } from "../../src/domain/state/ids.ts";
import {
  adminLogPage,
  fleetPage,
  ledgerView,
  rebuildView,
  revocationView,
  statsView,
  tenantUsageView,
  usageView,
} from "../../src/protocol/resources/operator/fleet.ts";
import { sessionPage, sessionView } from "../../src/protocol/resources/session/sessions.ts";
import { adminToken, bodyOf, expectProblem, keyOf, send, shards } from "../support/workers/mooring.ts";

const { CONTROL } = env as unknown as { readonly CONTROL: DurableObjectNamespace };
const control = () => CONTROL.get(CONTROL.idFromName("control")) as unknown as FleetControlApi;
const admin = { key: adminToken };
const globalCap = 100;
/** Of `vi.waitFor`, whose own is a second; only against what hangs. */
const patience = { timeout: 60_000 };

async function create(tenant: string): Promise<Response> {
  const headers = { prefer: "wait=60" };
  return await send("POST", "/v1/sessions", { key: await keyOf(tenant), json: {}, headers });
}
const createAll = async (tenant: string, count: number) =>
  await Promise.all(Array.from({ length: count }, () => create(tenant)));

/** What one of them holds of the global cap, so that a test need not start a hundred sandboxes. */
async function occupied(held: number, version: number): Promise<void> {
  const reply = await control().allow({ tenant: "ballast" as TenantId, version, held, wants: held });
  expect(reply.type).toBe("answered");
}
async function book(): Promise<number> {
  return (await control().capacity()).used;
}

describe("reservations through HTTP", () => {
  it("100 parallel creates over a cap of 10: exactly 10 run, 90 get 429 with limit and use [CAP-5] [CAP-7]", async () => {
    const replies = await createAll("hundred", 100);
    const made = replies.filter((reply) => reply.status === 201);
    const refused = replies.filter((reply) => reply.status === 429);
    expect([made.length, refused.length]).toEqual([10, 90]);
    for (const reply of made) expect(await bodyOf(reply, sessionView)).toMatchObject({ status: "running" });
    for (const reply of refused)
      expect(await expectProblem(reply, "quota_exhausted")).toMatchObject({ limit: 10, used: 10 });
    const ledger = await bodyOf(await send("GET", "/v1/admin/ledger?tenant=hundred", admin), ledgerView);
    expect(ledger).toMatchObject({ balanced: true, tenants: [{ tenant: "hundred", granted: 10, used: 10 }] });
    // Nothing is left behind of those refused: neither in the index nor in the registry.
    const page = await bodyOf(
      await send("GET", "/v1/sessions?limit=100", { key: await keyOf("hundred") }),
      sessionPage,
    );
    expect(page.data).toHaveLength(10);
  });

  it("the global cap is another one: what all tenants have together is 503, with limit and use [CAP-5] [CAP-7]", async () => {
    const others = await book();
    await occupied(globalCap - others - 3, 1);
    const replies = (await Promise.all([createAll("globe-a", 4), createAll("globe-b", 4)])).flat();
    expect(replies.filter((reply) => reply.status === 201)).toHaveLength(3);
    const refused = replies.filter((reply) => reply.status !== 201);
    for (const reply of refused) {
      expect(reply.headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
      expect(await expectProblem(reply, "capacity_unavailable")).toMatchObject({ limit: globalCap, used: globalCap });
    }
    expect(await book()).toBe(globalCap);
    await occupied(0, 2);
    expect((await create("globe-a")).status).toBe(201);
  });

  it("what was proven gone is given back to all, and the ledgers balance [CAP-6]", async () => {
    const before = await book();
    const made = await bodyOf(await create("giver"), sessionView);
    expect(await book()).toBe(before + 1);
    await send("DELETE", `/v1/sessions/${made.id}`, { key: await keyOf("giver") });
    await vi.waitFor(async () => expect(await book()).toBe(before), patience);
    const ledger = await bodyOf(await send("GET", "/v1/admin/ledger", admin), ledgerView);
    expect(ledger.balanced).toBe(true);
    expect(ledger.total.used).toBe(ledger.tenants.reduce((sum, each) => sum + each.used, 0));
    expect(ledger.tenants.find((each) => each.tenant === "giver")).toMatchObject({ used: 0, released: { proven: 1 } });
  });

  it("while the fleet drains nothing new starts, and what runs goes on", async () => {
    const running = await bodyOf(await create("drained"), sessionView);
    await control().drain({ by: "test", reason: "new hosts" });
    // A tenant may have heard a moment ago that it does not drain.
    await vi.waitFor(
      async () => {
        const reply = await create("drained");
        expect(Number((await expectProblem(reply, "draining")).retryable)).toBe(1);
      },
      { ...patience, interval: 300 },
    );
    const key = await keyOf("drained");
    const still = await bodyOf(await send("GET", `/v1/sessions/${running.id}`, { key }), sessionView);
    expect(still.status).toBe("running");
    const stats = await bodyOf(await send("GET", "/v1/admin/stats", admin), statsView);
    expect(stats.draining).toMatchObject({ by: "test", reason: "new hosts" });
    await control().drain(null);
    expect((await create("drained")).status).toBe(201);
  });
});

describe("what an operator reads", () => {
  it("stats are the sum of the tenants' own books, and created − destroyed is what is open [FLT-3]", async () => {
    await createAll("counted", 3);
    const key = await keyOf("counted");
    const page = await bodyOf(await send("GET", "/v1/sessions", { key }), sessionPage);
    await send("DELETE", `/v1/sessions/${page.data[0]?.id ?? ""}`, { key });
    await vi.waitFor(
      async () => {
        const stats = await bodyOf(await send("GET", "/v1/admin/stats", admin), statsView);
        const open = stats.active + stats.provisioning + stats.terminating;
        expect(stats.total_created - stats.total_destroyed).toBe(open);
        const ledger = await bodyOf(await send("GET", "/v1/admin/ledger", admin), ledgerView);
        expect(open).toBe(ledger.total.used);
        expect(stats.total_created).toBe(ledger.total.granted);
        expect(stats.sessions["running"]).toBeGreaterThanOrEqual(2);
      },
      { ...patience, interval: 200 },
    );
  });

  it("the list goes over every tenant, in pages that neither skip nor repeat, and filters [FLT-1]", async () => {
    await Promise.all(["list-a", "list-b", "list-c"].map((tenant) => createAll(tenant, 2)));
    // The index hears of it a moment after the client does.
    await vi.waitFor(async () => {
      const path = "/v1/admin/sessions?tenant=list-b&status=running";
      expect((await bodyOf(await send("GET", path, admin), fleetPage)).data).toHaveLength(2);
    }, patience);
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const path: string = `/v1/admin/sessions?limit=5&status=running${cursor === null ? "" : `&cursor=${cursor}`}`;
      const page = await bodyOf(await send("GET", path, admin), fleetPage);
      seen.push(...page.data.map((each) => each.id));
      for (const each of page.data) expect(each).toMatchObject({ status: "running", phase: "held" });
      cursor = page.next_cursor;
    } while (cursor !== null);
    expect(new Set(seen).size).toBe(seen.length);
    const mine = await bodyOf(await send("GET", "/v1/admin/sessions?tenant=list-b", admin), fleetPage);
    expect(mine.data.map((each) => each.tenant)).toEqual(["list-b", "list-b"]);
    for (const each of mine.data) expect(seen).toContain(each.id);
    // The template is told with the report: the tenant's own list and the operators' narrow by it alike.
    const list = async (template: string) => [
      await bodyOf(await send("GET", `/v1/admin/sessions?tenant=list-b&template=${template}`, admin), fleetPage),
      await bodyOf(await send("GET", `/v1/sessions?template=${template}`, { key: await keyOf("list-b") }), sessionPage),
    ];
    for (const { data } of await list("base"))
      expect(data.map((each) => [each.id, each.template])).toEqual(mine.data.map(({ id }) => [id, "base"]));
    for (const { data } of await list("python")) expect(data).toEqual([]);
    await expectProblem(await send("GET", "/v1/admin/sessions?cursor=forged", admin), "validation_failed");
    await expectProblem(await send("GET", "/v1/admin/sessions", { key: await keyOf("list-a") }), "unauthorized");
  });

  it("a lost shard builds itself anew from the registries, without loss or double counting [FLT-18]", async () => {
    await createAll("rebuilt", 3);
    const key = await keyOf("rebuilt");
    const listed = async () => {
      const page = await bodyOf(await send("GET", "/v1/sessions", { key }), sessionPage);
      return page.data.map((each) => [each.id, each.status, each.generation]);
    };
    // How many answers came late is counted for a quarter of an hour by the index itself; the registries know nothing of it.
    const stats = async () => {
      const { timeouts: _recent, ...books } = await bodyOf(await send("GET", "/v1/admin/stats", admin), statsView);
      return books;
    };
    await expect.poll(async () => (await listed()).every(([, status]) => status === "running")).toBe(true);
    const before = await listed();
    const counted = await stats();
    const stub = shards.get(shards.idFromName(shardName("rebuilt" as TenantId, 4)));
    await runInDurableObject(stub, async (_, state) => {
      for (const table of ["session", "label", "counters", "tenant_counts", "build"])
        state.storage.sql.exec(`DELETE FROM ${table}`);
    });
    await evictDurableObject(stub);
    expect(await listed()).toEqual(before);
    expect(await stats()).toEqual(counted);
    const json = { reason: "the index looked wrong" };
    const reply = await bodyOf(await send("POST", "/v1/admin/shards/rebuild", { ...admin, json }), rebuildView);
    expect(reply.shards.map((each) => each.state)).toEqual(["built", "built", "built", "built"]);
    expect(await listed()).toEqual(before);
    expect(await stats()).toEqual(counted);
    const log = await bodyOf(await send("GET", "/v1/admin/log?limit=2", admin), adminLogPage);
    expect(log.data.map((each) => [each.action, each.reason])).toEqual([
      ["shards.rebuild", json.reason],
      ["shards.rebuild", json.reason],
    ]);
  });

  it("usage: a session's adds up to its age, and the tenant's books hold it [FLT-16]", async () => {
    const key = await keyOf("used");
    const made = await bodyOf(await create("used"), sessionView);
    const own = await bodyOf(await send("GET", `/v1/sessions/${made.id}/usage`, { key }), usageView);
    const age = (Date.parse(own.as_of) - Date.parse(made.created_at)) / 1_000;
    expect(own.total_seconds).toBeCloseTo(age, 3);
    await send("DELETE", `/v1/sessions/${made.id}`, { key });
    await vi.waitFor(
      async () => {
        const books = await bodyOf(await send("GET", "/v1/admin/usage?tenant=used", admin), tenantUsageView);
        expect(books).toMatchObject({ sessions: 1, imbalances: [] });
        expect(books.usage.find((each) => each.status === "running")?.seconds).toBeGreaterThan(0);
      },
      { ...patience, interval: 200 },
    );
  });

  it("FleetControl's watch goes on by its own alarm", async () => {
    await create("watched");
    const stub = CONTROL.get(CONTROL.idFromName("control"));
    expect(await runInDurableObject(stub, (_, state) => state.storage.getAlarm())).not.toBeNull();
    expect(await runDurableObjectAlarm(stub)).toBe(true);
    expect(await runInDurableObject(stub, (_, state) => state.storage.getAlarm())).toBeGreaterThan(Date.now());
  });
});

describe("keys", () => {
  it("a revoked key is refused, another of the same tenant is not, and it is in the log [SEC-1]", async () => {
    const key = await keyOf("leaky");
    const [, , keyId] = key.split("_");
    const reply = await send("DELETE", `/v1/admin/keys/leaky/${keyId ?? ""}`, { ...admin, json: { reason: "leaked" } });
    const { revoked_at: at } = await bodyOf(reply, revocationView);
    await expectProblem(await send("GET", "/v1/sessions", { key }), "unauthorized");
    // Again is no second revocation.
    const again = await send("DELETE", `/v1/admin/keys/leaky/${keyId ?? ""}`, admin);
    expect((await bodyOf(again, revocationView)).revoked_at).toBe(at);
    const other = await keyOf("sound");
    expect((await send("GET", "/v1/sessions", { key: other })).status).toBe(200);
    const log = await bodyOf(await send("GET", "/v1/admin/log", admin), adminLogPage);
    expect(log.data).toContainEqual(
      expect.objectContaining({ action: "key.revoke", target: `leaky/${keyId ?? ""}`, reason: "leaked" }),
    );
  });
});
