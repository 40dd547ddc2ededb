/** An operator's word about sandboxes whose session rows are lost and whose host is gone: kept apart from proof, and never too early. */
import { describe, expect, it } from "vitest";
import { assertLost } from "../../../src/fleet/audits/assert-lost.ts";
import { acme, FleetRig, hung } from "../../support/fleet-rig.ts";
import { generation, lease, report, sessionId } from "../../support/reports.ts";

const [a, b] = [sessionId("a"), sessionId("b")];
const order = { tenant: acme, sessionId: a, by: "admin", reason: "the machine was scrapped" };

/** Counted as held and as a ghost at a host that never answers again; its object has no record. */
async function lost(rig: FleetRig): Promise<void> {
  const leases = [
    lease(a, 1, "stopping", { ghost: true, host: "scrapped" }),
    lease(a, 2, "held", { host: "scrapped" }),
  ];
  const told = report(a, 5, { asOf: rig.clock.now(), status: "running", leases });
  await rig.registry.report(told);
  rig.index.report(told);
  const other = report(b, 5, { asOf: rig.clock.now(), status: "running", leases: [lease(b, 1, "held")] });
  await rig.registry.report(other);
  rig.index.report(other);
}

/** Longer than any session that holds a sandbox is silent, and its lease after that. */
async function silent(rig: FleetRig): Promise<void> {
  const { policy } = rig.auditTerms;
  await rig.time.run(policy.reportEveryMs + policy.leaseTtlMs + policy.stopGraceMs + policy.alarmSlipMs);
}

describe("sandboxes that nobody can prove gone", () => {
  it("[BUG-100] are taken off the quota by an operator's word, counted as asserted and never as proven", async () => {
    const rig = new FleetRig();
    await lost(rig);
    await silent(rig);
    expect(await rig.done(assertLost(rig.ports, rig.auditTerms, order))).toEqual({
      ok: true,
      value: {
        asserted: [1, 2].map((count) => ({ generation: generation(count), sandboxId: `${a}-g${generation(count)}` })),
      },
    });
    const { used, counts, imbalances } = await rig.registry.ledger();
    expect({ used, imbalances }).toEqual({ used: 1, imbalances: [] });
    expect(counts).toMatchObject({ asserted: 2, proven: 0, held: 1 });
    const receipt = await rig.registry.receipt(a, generation(2));
    expect(receipt).toMatchObject({ verified_absent_at: null, observations: [], phase: "closed" });
    expect(receipt?.asserted_absent_at).not.toBeNull();
    expect(receipt?.evidence).toContain(order.reason);
    // Told again, there is nothing left to assert.
    expect(await rig.done(assertLost(rig.ports, rig.auditTerms, order))).toMatchObject({
      ok: false,
      problem: { code: "not_found" },
    });
  });

  it("[BUG-100] are left counted while they may still act: the word cannot be wrong about a process", async () => {
    const rig = new FleetRig();
    await lost(rig);
    const early = await rig.done(assertLost(rig.ports, rig.auditTerms, order));
    expect(early).toMatchObject({ ok: false, problem: { code: "lease_not_expired" } });
    expect(early.ok ? 0 : early.problem.retryAt).toBeGreaterThan(rig.clock.now());
    expect((await rig.registry.ledger()).used).toBe(3);
  });

  it("[BUG-100] are not this call's while their session has its record, or does not answer, or only has a place reserved", async () => {
    const rig = new FleetRig();
    await lost(rig);
    await silent(rig);
    rig.inspects = async () => ({ ok: true, value: { etag: "1", record: "unreadable", session: null, teardowns: [] } });
    expect(await rig.done(assertLost(rig.ports, rig.auditTerms, order))).toMatchObject({
      problem: { code: "conflict" },
    });
    rig.inspects = hung;
    expect(await rig.done(assertLost(rig.ports, rig.auditTerms, order))).toMatchObject({
      problem: { code: "unavailable" },
    });
    expect((await rig.registry.ledger()).used).toBe(3);
    const empty = new FleetRig();
    expect(await empty.done(assertLost(empty.ports, empty.auditTerms, order))).toMatchObject({
      problem: { code: "not_found" },
    });
  });
});
