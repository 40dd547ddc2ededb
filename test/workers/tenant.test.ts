import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { isolatedSandboxId, type SessionId } from "../../src/domain/state/ids.ts";
import type { ReserveOrder } from "../../src/session/reports/reports.ts";
import type { TenantApi } from "../../src/tenant/tenant-api.ts";
import { generation, lease, receipt, report, sessionId } from "../support/reports.ts";

function tenant(name: string) {
  const { TENANTS } = env as unknown as { readonly TENANTS: DurableObjectNamespace };
  const stub = TENANTS.get(TENANTS.idFromName(name));
  return { stub, api: stub as unknown as TenantApi };
}

/** An order of now, as a session that was just created makes it. */
function fresh(session: SessionId, count: number): ReserveOrder {
  const sandboxId = isolatedSandboxId(session, generation(count));
  return { sessionId: session, generation: generation(count), sandboxId, createdAt: Date.now(), purpose: "create" };
}

/** Of `vi.waitFor`, whose own is a second; only against what hangs. */
const patience = { timeout: 60_000 };

const ids = (count: number) => Array.from({ length: count }, (_, i) => sessionId(`s${i}x`));

describe("TenantObject", () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it("100 parallel reserves over a cap give exactly the cap [CAP-5] [CAP-7]", async () => {
    const { stub, api } = tenant("parallel");
    const replies = await Promise.all(ids(100).map((id) => api.reserve(fresh(id, 1))));
    const refused = replies.find((reply) => !reply.granted);
    if (refused?.granted !== false || refused.code !== "quota_exhausted") throw new Error("the cap was never reached");
    const { limit } = refused;
    expect(limit).toBeLessThan(100);
    expect(replies.filter((reply) => reply.granted)).toHaveLength(limit);
    expect(replies.filter((reply) => !reply.granted)).toEqual(
      Array.from({ length: 100 - limit }, () => ({ granted: false, code: "quota_exhausted", limit, used: limit })),
    );
    await evictDurableObject(stub);
    const ledger = await tenant("parallel").api.ledger();
    expect(ledger).toMatchObject({ used: limit, counts: { granted: limit, reserved: limit }, imbalances: [] });
  });

  it("what it knows survives an eviction: reservations, watermarks, receipts [CAP-6]", async () => {
    const [id] = ids(1);
    if (id === undefined) throw new Error("no id");
    const before = tenant("evicted");
    await before.api.reserve(fresh(id, 1));
    const createdAt = Date.now();
    await before.api.report(report(id, 2, { createdAt, status: "terminated", leases: [lease(id, 1, "closed")] }));
    await before.api.cancelReservation(id, generation(7));
    await evictDurableObject(before.stub);
    const { api } = tenant("evicted");
    expect(await api.receipt(id, null)).toEqual(receipt(id, 1));
    // A generation that was given up is not granted again, nor one from before the session's own birth.
    const above = Math.max(generation(7), createdAt);
    expect(await api.reserve({ ...fresh(id, 7), createdAt })).toMatchObject({ granted: false, above });
    expect(await api.ledger()).toMatchObject({ used: 0, counts: { granted: 1, proven: 1 }, imbalances: [] });
  });

  it("reading a tenant that never was writes nothing, not even an alarm [API-12]", async () => {
    const { stub, api } = tenant("nobody");
    expect(await api.ledger()).toMatchObject({ used: 0, imbalances: [] });
    expect(await api.open(null, 10)).toEqual([]);
    expect(await api.sessions(null, 10)).toEqual([]);
    expect(await api.receipt(sessionId("a"), null)).toBeNull();
    await runInDurableObject(stub, async (_, state) => {
      const tables = state.storage.sql.exec("SELECT name FROM sqlite_master WHERE name NOT GLOB '_cf_*'").toArray();
      expect(tables).toEqual([]);
      expect(await state.storage.getAlarm()).toBeNull();
    });
  });

  it("[BUG-14] a tenant that is used all the time wakes to prune: no use of it puts its alarm off", async () => {
    const { stub, api } = tenant("busy");
    const id = sessionId("busyone");
    const armedFor = () => runInDurableObject(stub, (_, state) => state.storage.getAlarm());
    const begun = Date.now();
    vi.useFakeTimers({ toFake: ["Date"], now: begun });
    await api.report(report(id, 1, { createdAt: begun, status: "terminated", leases: [] }));
    const first = await armedFor();
    expect(first).not.toBeNull();
    for (let hours = 1; hours <= 30; hours += 1) {
      const now = begun + hours * 3_600_000;
      vi.setSystemTime(now);
      // The platform would have woken it by now.
      const due = await armedFor();
      if (due !== null && due <= now) await runDurableObjectAlarm(stub);
      const before = await armedFor();
      await api.report(report(id, hours + 1, { createdAt: begun, status: "terminated", leases: [] }));
      await api.cancelReservation(id, generation(hours));
      const after = await armedFor();
      expect(after).toBeLessThanOrEqual(before ?? Infinity);
    }
    const kept = await runInDurableObject(stub, (_, state) =>
      state.storage.sql.exec("SELECT body FROM kept WHERE name = 'pruned_at'").toArray(),
    );
    expect(Number(kept[0]?.["body"])).toBeGreaterThan(begun);
  });

  it("a reservation arms an alarm, and one that no report listed, of a session without a record, is given back then [CAP-6]", async () => {
    const { stub, api } = tenant("orphan");
    const id = sessionId("neverwas");
    await api.reserve(fresh(id, 1));
    // While control and the index are being told, the alarm stands for that; after it has fired, for the reservation.
    const armedFor = await vi.waitFor(async () => {
      await runDurableObjectAlarm(stub);
      const at = await runInDurableObject(stub, (_, state) => state.storage.getAlarm());
      if (at === null || at < Date.now() + 300_000) throw new Error("not armed for the reservation");
      return at;
    }, patience);
    // Before its time nobody is asked.
    expect(await runDurableObjectAlarm(stub)).toBe(true);
    expect(await api.ledger()).toMatchObject({ used: 1, imbalances: [] });
    vi.useFakeTimers({ toFake: ["Date"], now: armedFor });
    expect(await runDurableObjectAlarm(stub)).toBe(true);
    expect(await api.ledger()).toMatchObject({ used: 0, counts: { reserved: 0, cancelled: 1 }, imbalances: [] });
  });
});
