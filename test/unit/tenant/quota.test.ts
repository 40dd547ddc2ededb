import { beforeEach, describe, expect, it } from "vitest";
import { defaultPolicy } from "../../../src/domain/rules/policy.ts";
import { quotaTerms } from "../../../src/tenant/quota/quota.ts";
import { TenantCore } from "../../../src/tenant/tenant-core.ts";
import { nodeSql, type NodeSql } from "../../support/node-sql.ts";
import { born, generation, lease, order, report, sessionId } from "../../support/reports.ts";

const terms = quotaTerms(defaultPolicy, 2);
const { orphanAfterMs } = terms;
const a = sessionId("a");
const b = sessionId("b");

describe("a tenant's quota", () => {
  let now: number;
  let sql: NodeSql;
  let tenant: TenantCore;

  beforeEach(() => {
    now = born;
    sql = nodeSql();
    tenant = new TenantCore(sql, { now: () => now }, terms);
  });

  it("grants up to the cap exactly, then says the limit and the use [CAP-5] [CAP-7]", () => {
    expect(tenant.quota.reserve(order(a, 1))).toEqual({ granted: true });
    expect(tenant.quota.reserve(order(b, 1))).toEqual({ granted: true });
    const over = { granted: false, code: "quota_exhausted", limit: 2, used: 2 };
    expect(tenant.quota.reserve(order(sessionId("c"), 1))).toEqual(over);
    expect(tenant.ledger()).toMatchObject({ used: 2, counts: { granted: 2, reserved: 2 }, imbalances: [] });
  });

  it("a refused order spends nothing: the same generation is granted once there is room", () => {
    tenant.quota.reserve(order(a, 1));
    tenant.quota.reserve(order(b, 1));
    tenant.quota.reserve(order(sessionId("c"), 1));
    tenant.quota.cancel(b, generation(1));
    expect(tenant.quota.reserve(order(sessionId("c"), 1))).toEqual({ granted: true });
  });

  it("the same order again is the same reservation, at the cap too", () => {
    tenant.quota.reserve(order(a, 1));
    tenant.quota.reserve(order(b, 1));
    expect(tenant.quota.reserve(order(a, 1))).toEqual({ granted: true });
    expect(tenant.ledger().counts.granted).toBe(2);
  });

  it("one generation for two sandbox ids is a bug and passes nothing on", () => {
    tenant.quota.reserve(order(a, 1));
    expect(() => tenant.quota.reserve({ ...order(a, 1), sandboxId: order(a, 2).sandboxId })).toThrow(
      /was reserved for/,
    );
  });

  it("an order that arrives after its cancel is refused [CAP-6]", () => {
    tenant.quota.cancel(a, generation(3));
    expect(tenant.quota.reserve(order(a, 3))).toEqual({
      granted: false,
      code: "stale_generation",
      above: generation(3),
    });
    expect(tenant.quota.reserve(order(a, 4))).toEqual({ granted: true });
    expect(tenant.ledger()).toMatchObject({ counts: { granted: 1, cancelled: 0 }, imbalances: [] });
  });

  it("a generation below one that was seen is refused and names the one to pass", () => {
    tenant.quota.reserve(order(a, 5));
    expect(tenant.quota.reserve(order(a, 4))).toEqual({
      granted: false,
      code: "stale_generation",
      above: generation(5),
    });
  });

  it("a cancel that arrives late or twice frees nothing newer [CAP-6]", () => {
    tenant.quota.reserve(order(a, 1));
    tenant.quota.cancel(a, generation(1));
    tenant.quota.reserve(order(a, 2));
    tenant.quota.cancel(a, generation(1));
    expect(tenant.ledger()).toMatchObject({ used: 1, counts: { granted: 2, cancelled: 1, reserved: 1 } });
  });

  it("a cancel does not free a generation that has a lease [CAP-6]", () => {
    tenant.quota.reserve(order(a, 1));
    tenant.report(report(a, 2, { leases: [lease(a, 1, "launching")] }));
    tenant.quota.cancel(a, generation(1));
    expect(tenant.ledger()).toMatchObject({ used: 1, counts: { launching: 1, cancelled: 0 } });
  });

  it("an order overtaken by the end of its session is refused [CAP-6]", () => {
    tenant.report(report(a, 7, { status: "terminated" }));
    expect(tenant.quota.reserve(order(a, 1))).toMatchObject({ granted: false, code: "stale_generation" });
    expect(tenant.ledger().used).toBe(0);
  });

  it("a ghost counts, an asserted one does not, and both are told apart", () => {
    tenant.quota.reserve(order(a, 1));
    tenant.quota.reserve(order(b, 1));
    tenant.report(report(a, 2, { leases: [lease(a, 1, "stopping", { ghost: true })] }));
    expect(tenant.quota.reserve(order(a, 2))).toMatchObject({ code: "quota_exhausted", used: 2 });
    tenant.report(report(a, 3, { leases: [lease(a, 1, "stopping", { ghost: true, asserted: true })] }));
    expect(tenant.quota.reserve(order(a, 2))).toEqual({ granted: true });
    expect(tenant.ledger()).toMatchObject({ used: 2, counts: { granted: 3, asserted: 1, proven: 0 }, imbalances: [] });
    expect(tenant.quota.open(null, 10).map((each) => [each.state, each.ghost])).toContainEqual(["asserted", true]);
  });

  it("a reservation and its crash survive: another process over the same rows goes on", () => {
    tenant.quota.reserve(order(a, 1));
    const again = new TenantCore(sql, { now: () => now }, terms);
    expect(again.quota.reserve(order(a, 1))).toEqual({ granted: true });
    expect(again.ledger().counts.granted).toBe(1);
  });

  it("a reservation without a lease is looked at after its time, again and again, but not at once [CAP-6]", () => {
    tenant.quota.reserve(order(a, 1));
    expect(tenant.nextLook()).toBe(born + 12 * 60_000);
    expect(tenant.quota.takeOverdue(10)).toEqual([]);
    now = born + orphanAfterMs;
    expect(tenant.quota.takeOverdue(10).map((each) => each.sandboxId)).toEqual([order(a, 1).sandboxId]);
    expect(tenant.quota.takeOverdue(10)).toEqual([]);
    expect(tenant.nextLook()).toBe(now + orphanAfterMs);
    tenant.report(report(a, 2, { leases: [lease(a, 1, "held")] }));
    now += orphanAfterMs;
    expect(tenant.quota.takeOverdue(10)).toEqual([]);
  });

  it("a session that does not know itself gives back what no report ever listed, for good [CAP-6] [I11]", () => {
    tenant.quota.reserve(order(a, 1));
    now = born + orphanAfterMs;
    const [overdue] = tenant.quota.takeOverdue(1);
    if (overdue === undefined) throw new Error("nothing was overdue");
    tenant.quota.sessionVanished(overdue);
    expect(tenant.ledger()).toMatchObject({ used: 0, counts: { cancelled: 1 }, imbalances: [] });
    // The request that made it may arrive yet once more.
    expect(tenant.quota.reserve(order(a, 1))).toMatchObject({ granted: false, code: "stale_generation" });
  });

  it("a session that does not know itself frees nothing of what was listed, and is named until it speaks [CAP-6] [I4]", () => {
    tenant.quota.reserve(order(a, 1));
    now = born + orphanAfterMs;
    const [overdue] = tenant.quota.takeOverdue(1);
    if (overdue === undefined) throw new Error("nothing was overdue");
    tenant.report(report(a, 2, { leases: [lease(a, 1, "held")] }));
    tenant.quota.sessionVanished(overdue);
    expect(tenant.ledger()).toMatchObject({ used: 1, imbalances: [{ type: "vanished", sessionId: a }] });
  });
});
