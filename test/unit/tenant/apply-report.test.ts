import { beforeEach, describe, expect, it } from "vitest";
import { compareCounts, noLedger } from "../../../src/tenant/ledger.ts";
import { receiptRetentionMs } from "../../../src/tenant/apply-report.ts";
import { isolatedSandboxId } from "../../../src/domain/state/ids.ts";
import type { SessionReport } from "../../../src/session/reports/reports.ts";
import { defaultPolicy } from "../../../src/domain/rules/policy.ts";
import { quotaTerms } from "../../../src/tenant/quota/quota.ts";
import { TenantCore } from "../../../src/tenant/tenant-core.ts";
import { nodeSql, type NodeSql } from "../../support/node-sql.ts";
import { born, generation, lease, order, receipt, report, sessionId } from "../../support/reports.ts";

const a = sessionId("a");
const b = sessionId("b");

describe("a tenant's registry", () => {
  let now: number;
  let sql: NodeSql;
  let tenant: TenantCore;

  beforeEach(() => {
    now = born;
    sql = nodeSql();
    tenant = new TenantCore(sql, { now: () => now }, { ...quotaTerms(defaultPolicy, 10), orphanAfterMs: 720_000 });
  });

  const states = () => tenant.quota.open(null, 100).map((each) => [each.generation - born, each.state]);

  it("reading a tenant that never was writes nothing [API-12]", () => {
    expect(tenant.ledger()).toEqual(noLedger);
    expect(tenant.quota.open(null, 10)).toEqual([]);
    expect(tenant.sessions(null, 10)).toEqual([]);
    expect(tenant.receipts.receipt(a, null)).toBeNull();
    expect(tenant.nextLook()).toBeNull();
    expect(sql.run("SELECT name FROM sqlite_master")).toEqual([]);
  });

  it("tables of newer code are neither read nor written [LEA-19]", () => {
    tenant.quota.reserve(order(a, 1));
    sql.run("INSERT INTO schema_migration (version, name) VALUES (99, 'from the future')");
    const older = new TenantCore(sql, { now: () => now }, { ...quotaTerms(defaultPolicy, 10), orphanAfterMs: 1 });
    expect(() => older.quota.reserve(order(a, 2))).toThrow(/newer/);
    expect(() => older.ledger()).toThrow(/newer/);
    expect(sql.run("SELECT count(*) AS rows FROM reservation")[0]?.["rows"]).toBe(1);
  });

  it("a reservation follows its lease, and only verified absence gives it back [CAP-6]", () => {
    tenant.quota.reserve(order(a, 1));
    for (const [version, phase] of [
      [2, "launching"],
      [3, "held"],
      [4, "stopping"],
    ] as const) {
      expect(tenant.report(report(a, version, { leases: [lease(a, 1, phase)] }))).toEqual({ version });
      expect(states()).toEqual([[1, phase]]);
      expect(tenant.ledger()).toMatchObject({ used: 1, imbalances: [] });
    }
    tenant.report(report(a, 5, { status: "terminated", leases: [lease(a, 1, "closed")] }));
    expect(states()).toEqual([]);
    expect(tenant.ledger()).toMatchObject({ used: 0, counts: { granted: 1, proven: 1 }, imbalances: [] });
    expect(tenant.receipts.receipt(a, generation(1))).toEqual(receipt(a, 1));
  });

  it("[BUG-7] keeps the snapshots that an operator took off a session, also when that is erased", () => {
    const ref = { id: "snapshot-1", provider: "memory", takenAt: born, generation: generation(1) } as const;
    const forgotten = { ...ref, forgottenAt: born + 1, by: "ops", reason: "its bucket is gone" };
    tenant.report(report(a, 1, { status: "terminated", forgotten: [forgotten] }));
    tenant.report(report(a, 2, { status: "terminated", forgotten: [forgotten] }));
    tenant.report(report(a, 3, { status: "terminated", erased: true }));
    expect(tenant.forgottenSnapshots(10)).toEqual([{ ...forgotten, sessionId: a }]);
    expect(tenant.forgottenSnapshots(0)).toEqual([]);
  });

  describe("an upgrade's place", () => {
    const successor = { generation: generation(2), sandboxId: isolatedSandboxId(a, generation(2)) };
    const closing = (version: number, changes: Partial<SessionReport> = {}) =>
      report(a, version, { leases: [lease(a, 1, "closed")], successor, ...changes });
    const fillUp = () => {
      for (let count = 1; count <= 10; count += 1)
        tenant.quota.reserve(order(count === 1 ? a : sessionId(`s${count}`), 1));
      tenant.report(report(a, 2, { leases: [lease(a, 1, "held")] }));
      expect(tenant.ledger().used).toBe(10);
    };

    it("[BUG-6] is handed on in the write that frees it: nobody takes it meanwhile, and none is counted twice", () => {
      fillUp();
      expect(tenant.quota.reserve(order(b, 1))).toMatchObject({ granted: false, code: "quota_exhausted" });
      // Its own order may come before the report: it is refused like any other, and asked again.
      expect(tenant.quota.reserve({ ...order(a, 2), purpose: "upgrade" })).toMatchObject({ granted: false });
      tenant.report(closing(3));
      expect(tenant.ledger()).toMatchObject({ used: 10, imbalances: [] });
      expect(tenant.quota.reserve(order(b, 1))).toMatchObject({ granted: false, code: "quota_exhausted" });
      expect(tenant.quota.reserve({ ...order(a, 2), purpose: "upgrade" })).toEqual({ granted: true });
      tenant.report(closing(4));
      expect(tenant.ledger()).toMatchObject({ used: 10, imbalances: [] });
    });

    it("[BUG-6] is given back when the session gives the upgrade up, and is not handed on again by an old report", () => {
      fillUp();
      tenant.report(closing(3));
      tenant.quota.cancel(a, successor.generation);
      expect(tenant.ledger()).toMatchObject({ used: 9, imbalances: [] });
      tenant.report(closing(4));
      expect(tenant.ledger()).toMatchObject({ used: 9, imbalances: [] });
    });

    it("[BUG-6] is not handed on by a sandbox that is not proven gone, nor by a session that ends", () => {
      fillUp();
      tenant.report(closing(3, { leases: [lease(a, 1, "stopping")] }));
      expect(states().filter(([count]) => count === 2)).toEqual([]);
      tenant.report(report(a, 4, { status: "terminated", leases: [lease(a, 1, "closed")] }));
      expect(tenant.ledger()).toMatchObject({ used: 9, imbalances: [] });
    });

    it("[BUG-6] goes back when its session ends before it asked for it", () => {
      fillUp();
      tenant.report(closing(3));
      tenant.report(report(a, 4, { status: "terminated", leases: [lease(a, 1, "closed")] }));
      expect(tenant.ledger()).toMatchObject({ used: 9, imbalances: [] });
    });
  });

  it("closed without evidence stays counted; on an operator's word it is asserted, never proven", () => {
    tenant.report(report(a, 1, { leases: [lease(a, 1, "closed", { receipt: null })] }));
    expect(states()).toEqual([[1, "stopping"]]);
    const word = receipt(a, 1, { verified_absent_at: null, asserted_absent_at: "2026-11-01T00:00:00.000Z" });
    tenant.report(report(a, 2, { leases: [lease(a, 1, "closed", { asserted: true, receipt: word })] }));
    expect(states()).toEqual([[1, "asserted"]]);
    expect(tenant.ledger()).toMatchObject({ used: 0, counts: { asserted: 1, proven: 0 }, imbalances: [] });
    tenant.report(report(a, 3, { leases: [lease(a, 1, "closed", { asserted: true })] }));
    expect(tenant.ledger()).toMatchObject({ counts: { asserted: 0, proven: 1 }, imbalances: [] });
  });

  it("an older report, and the same one again, change nothing and are told the version held [CAP-6]", () => {
    tenant.report(report(a, 5, { leases: [lease(a, 2, "held")] }));
    expect(tenant.report(report(a, 4, { leases: [lease(a, 2, "closed")] }))).toEqual({ version: 5 });
    expect(tenant.report(report(a, 5, { leases: [lease(a, 2, "closed")] }))).toEqual({ version: 5 });
    expect(states()).toEqual([[2, "held"]]);
  });

  it("what is found alive after its release or assertion counts again, above the cap if it must", () => {
    const full = new TenantCore(sql, { now: () => now }, { ...quotaTerms(defaultPolicy, 1), orphanAfterMs: 1 });
    full.report(report(a, 1, { status: "terminated", leases: [lease(a, 1, "closed")] }));
    full.quota.reserve(order(b, 1));
    full.report(report(a, 2, { status: "terminated", leases: [lease(a, 1, "stopping")] }));
    expect(full.ledger()).toMatchObject({ used: 2, counts: { granted: 2, proven: 0, stopping: 1 }, imbalances: [] });
    expect(full.quota.reserve(order(b, 2))).toMatchObject({ code: "quota_exhausted", used: 2 });
  });

  it("a lease that was never reserved is counted, and its generation is never granted anew", () => {
    tenant.report(report(a, 1, { leases: [lease(a, 3, "stopping")] }));
    expect(tenant.ledger()).toMatchObject({ used: 1, counts: { granted: 1 }, imbalances: [] });
    expect(tenant.quota.reserve(order(a, 3))).toEqual({ granted: true });
    tenant.report(report(a, 2, { leases: [lease(a, 3, "closed")] }));
    expect(tenant.quota.reserve(order(a, 3))).toMatchObject({ code: "stale_generation", above: generation(3) });
  });

  it("a reservation that a report does not show stays while its session may open it [CAP-6]", () => {
    tenant.report(report(a, 1));
    tenant.quota.reserve(order(a, 1));
    tenant.report(report(a, 2, { status: "provisioning" }));
    expect(states()).toEqual([[1, "reserved"]]);
  });

  it.each([
    ["its session is ending", report(a, 2, { status: "terminating" })],
    ["its session is erased", report(a, 2, { status: "terminated", erased: true })],
    ["a later generation has a lease", report(a, 2, { leases: [lease(a, 2, "launching")] })],
  ])("a reservation that was never used comes back when %s [CAP-6]", (_, evidence) => {
    tenant.quota.reserve(order(a, 1));
    tenant.report(evidence);
    expect(states().filter(([count]) => count === 1)).toEqual([]);
    expect(tenant.ledger()).toMatchObject({ counts: { cancelled: 1, proven: 0 }, imbalances: [] });
  });

  it("a lease that disappears from the reports is not freed, and the ledger names it", () => {
    tenant.report(report(a, 1, { leases: [lease(a, 1, "held")] }));
    tenant.report(report(a, 2, { status: "terminated", erased: true }));
    const named = { type: "unaccounted", sessionId: a, generation: generation(1) };
    expect(tenant.ledger()).toMatchObject({ used: 1, imbalances: [named] });
    tenant.report(report(a, 3, { status: "terminated", leases: [lease(a, 1, "closed")] }));
    expect(tenant.ledger()).toMatchObject({ used: 0, imbalances: [] });
  });

  it("a session made anew under an erased id is heard, and the one before it no longer", () => {
    tenant.report(report(a, 40, { status: "terminated", leases: [lease(a, 1, "closed")], erased: true }));
    const createdAt = born + 1_000;
    expect(tenant.quota.reserve({ ...order(a, 1_000), createdAt })).toEqual({ granted: true });
    expect(tenant.report(report(a, 41, { status: "terminated", erased: true }))).toEqual({ version: 41 });
    expect(states()).toEqual([[1_000, "reserved"]]);
    tenant.report(report(a, 1, { createdAt, leases: [lease(a, 1_000, "held")] }));
    expect(states()).toEqual([[1_000, "held"]]);
  });

  it("receipts outlive their session and go 30 days after they came; the generation stays refused for ever", () => {
    tenant.quota.reserve(order(a, 1));
    tenant.report(report(a, 2, { status: "terminated", leases: [lease(a, 1, "closed")] }));
    tenant.report(report(a, 3, { status: "terminated", erased: true }));
    now += receiptRetentionMs;
    tenant.prune();
    expect(tenant.receipts.receipt(a, null)?.evidence).toBe("two looks found nothing");
    now += 1;
    tenant.prune();
    expect(tenant.receipts.receipt(a, null)).toBeNull();
    expect(tenant.sessions(null, 10)).toEqual([]);
    expect(tenant.nextLook()).toBeNull();
    expect(tenant.ledger()).toMatchObject({ counts: { granted: 1, proven: 1 }, imbalances: [] });
    expect(tenant.quota.reserve(order(a, 1))).toMatchObject({ code: "stale_generation", above: generation(1) });
  });

  it("[BUG-14] a tenant that is used every hour still prunes once a day: a use does not put the round off", () => {
    let lastLook = Infinity;
    for (let hours = 0; hours < 40 * 24; hours += 1) {
      now = born + hours * 3_600_000;
      tenant.report(report(a, hours + 1, { status: "terminated", leases: [lease(a, hours + 1, "closed")] }));
      // As the object does: it is woken at the earliest instant that was ever asked for since the last wake.
      lastLook = Math.min(lastLook, tenant.nextLook() ?? Infinity);
      if (lastLook > now) continue;
      while (tenant.pruneDue()) tenant.prune();
      lastLook = Infinity;
    }
    const kept = sql.run("SELECT count(*) AS kept, min(stored_at) AS oldest FROM receipt")[0];
    expect(Number(kept?.["kept"])).toBeLessThanOrEqual(32 * 24);
    expect(now - Number(kept?.["oldest"])).toBeLessThan(receiptRetentionMs + 2 * 86_400_000);
  });

  it("[BUG-14] what piled up is forgotten in rounds that follow at once, not 500 a day", () => {
    for (let index = 0; index < 1_800; index += 1) {
      const id = sessionId(`p${index}x`);
      tenant.report(report(id, 1, { status: "terminated", leases: [lease(id, 1, "closed")], erased: true }));
    }
    now += receiptRetentionMs + 1;
    let rounds = 0;
    for (; tenant.pruneDue(); rounds += 1) {
      tenant.prune();
      // Until it is through, the next look is now.
      if (tenant.pruneDue()) expect(tenant.nextLook()).toBeLessThanOrEqual(now);
    }
    expect(rounds).toBe(4);
    expect(tenant.sessions(null, 10)).toEqual([]);
    tenant.quota.reserve(order(b, 1));
    expect(tenant.pruneDue()).toBe(false);
  });

  it("[BUG-14] a clock that was set back does not put pruning off", () => {
    tenant.quota.reserve(order(a, 1));
    tenant.prune();
    now -= 400 * 86_400_000;
    expect(tenant.pruneDue()).toBe(true);
  });

  it("a session with anything unproven is not pruned, however old", () => {
    const ghost = lease(a, 1, "stopping", { ghost: true, asserted: true });
    tenant.report(report(a, 1, { status: "terminated", leases: [ghost], erased: true }));
    now += 10 * receiptRetentionMs;
    tenant.prune();
    expect(states()).toEqual([[1, "asserted"]]);
    expect(tenant.sessions(null, 10)).toHaveLength(1);
  });

  it("pages of sessions and of what is open neither skip nor repeat", () => {
    const ids = ["c", "a", "d", "b"].map(sessionId);
    for (const id of ids) {
      tenant.quota.reserve(order(id, 1));
      tenant.report(report(id, 2, { leases: [lease(id, 1, "stopping", { ghost: true })] }));
      tenant.quota.reserve(order(id, 2));
    }
    const first = tenant.sessions(null, 3).map((each) => each.sessionId);
    const rest = tenant.sessions(first[2] ?? null, 3).map((each) => each.sessionId);
    expect([...first, ...rest]).toEqual(ids.toSorted());
    const page = tenant.quota.open(null, 3);
    const next = tenant.quota.open(page.at(-1) ?? null, 10);
    const keys = [...page, ...next].map((each) => `${each.sessionId} ${each.generation - born}`);
    expect(keys).toEqual(ids.toSorted().flatMap((id) => [`${id} 1`, `${id} 2`]));
  });

  it("the ledger notices a row that was changed past it, and a tally that does not add up", () => {
    tenant.quota.reserve(order(a, 1));
    sql.run("UPDATE reservation SET state = 'proven'");
    expect(tenant.ledger().imbalances.map((each) => (each.type === "tally" ? each.name : each.type))).toEqual([
      "reserved",
      "proven",
    ]);
    const none = noLedger.counts;
    expect(compareCounts({ ...none, granted: 1 }, { ...none, granted: 1 })).toEqual([
      { type: "equation", granted: 1, accounted: 0 },
    ]);
  });
});
