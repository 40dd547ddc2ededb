import { describe, expect, it } from "vitest";
import { containerId } from "../../../src/domain/state/ids.ts";
import type { Observation } from "../../../src/domain/state/observation.ts";
import { applyPlan } from "../../../src/fleet/audits/apply-plan.ts";
import { makePlan } from "../../../src/fleet/audits/make-plan.ts";
import type { AuditPlan } from "../../../src/fleet/audits/plan.ts";
import { reap } from "../../../src/fleet/audits/reaper.ts";
import type { AgentSandbox, CallBound, Target } from "../../../src/sandbox/agent-sandbox.ts";
import { acme, FleetRig, hung, memoryHost, noRecord } from "../../support/fleet-rig.ts";
import { generation, lease, sessionId } from "../../support/reports.ts";
import { sampleInspection, sampleSession } from "../../support/sample-views.ts";

const a = sessionId("a");
const plan = (rig: FleetRig) => rig.done(makePlan(rig.ports, rig.auditTerms, "admin"));
const apply = (rig: FleetRig, made: AuditPlan, hash = made.hash) =>
  rig.done(applyPlan(rig.ports, rig.auditTerms, { planId: made.id, hash, by: "admin" }));
const kinds = (made: AuditPlan) => made.findings.map((each) => each.kind);
const outcomes = async (rig: FleetRig, made: AuditPlan) => {
  const applied = await apply(rig, made);
  if (!applied.ok) throw new Error(applied.problem.detail);
  return applied.value.items.map((each) => [each.outcome, each.why]);
};
const wellKept =
  (id = a) =>
  async () =>
    ({ ok: true, value: { ...sampleInspection(), session: sampleSession({ id }), teardowns: [] } }) as const;

/** A provider whose every look has this answer. */
const saying =
  (answer: Observation["answer"]): AgentSandbox["observe"] =>
  async ({ sandboxId, generation: of }, beganAt) => ({
    ...{ answer, provider: "memory", host: "memory-host", boot: "boot-1", sandboxId, generation: of, beganAt },
    ...{ residue: [], detail: `says ${answer}` },
  });

/** Every call reaches one and the same host, whichever it was meant for, and that host answers. */
function oneHostAnswers(rig: FleetRig): void {
  const { sandbox } = rig;
  rig.alter({
    retire: (target: Target, bound: CallBound) => sandbox.retire({ ...target, host: null }, bound),
    observe: (target: Target, beganAt: number, bound: CallBound) =>
      sandbox.observe({ ...target, host: null }, beganAt, bound),
    stop: (target: Target, graceMs: number, bound: CallBound) =>
      sandbox.stop({ ...target, host: null }, graceMs, bound),
  });
}

describe("what an audit finds", () => {
  it("a fleet whose books agree with the world has no finding, and no session of it is asked [FLT-9]", async () => {
    const rig = new FleetRig();
    await rig.known(a);
    await rig.time.run(rig.auditTerms.graceMs);
    await rig.physical(a);
    const asked: string[] = [];
    rig.inspects = (id) => (asked.push(id), noRecord(id));
    const made = await plan(rig);
    expect(made).toMatchObject({ findings: [], complete: true, looked: { tenants: 1, records: 1 } });
    expect([...asked, ...rig.poked]).toEqual([]);
  });

  it("a sandbox without a record is found by the provider's list [FLT-9] [FLT-20]", async () => {
    const rig = new FleetRig();
    await rig.physical(a);
    const made = await plan(rig);
    const { sandboxId } = lease(a, 1, "held");
    expect(made.findings).toMatchObject([{ kind: "sandbox_without_record", provider: "memory", sandboxId }]);
  });

  it("one that was made within the grace is left alone [FLT-9]", async () => {
    const rig = new FleetRig();
    // Generations begin at the creation time: this session was made a moment ago.
    await rig.physical(a, rig.clock.now() - generation(0) - 1_000);
    expect((await plan(rig)).findings).toEqual([]);
    await rig.time.run(rig.auditTerms.graceMs);
    expect(kinds(await plan(rig))).toEqual(["sandbox_without_record"]);
  });

  it("a record whose sandbox its provider calls absent is found by the minted id, held or not [FLT-9] [FLT-20]", async () => {
    const rig = new FleetRig();
    const b = sessionId("b");
    await rig.known(a);
    await rig.known(b, { status: "terminating", leases: [lease(b, 1, "stopping")] });
    await rig.time.run(rig.auditTerms.graceMs);
    const made = await plan(rig);
    expect(kinds(made)).toEqual(["running_absent", "record_without_sandbox"]);
    expect(made.findings[0]).toMatchObject({ tenant: acme, sandboxId: lease(a, 1, "held").sandboxId });
  });

  it("a record that changed within the grace, or whose sandbox cannot be seen, is none [FLT-9]", async () => {
    const rig = new FleetRig();
    await rig.known(a);
    expect((await plan(rig)).findings).toEqual([]);
    await rig.time.run(rig.auditTerms.graceMs);
    for (const observe of [hung, saying("unknown"), saying("present")]) {
      rig.alter({ observe });
      expect((await plan(rig)).findings).toEqual([]);
    }
    rig.alter({ observe: saying("absent") });
    expect(kinds(await plan(rig))).toEqual(["running_absent"]);
  });

  it("without one registry's answer nothing is called a sandbox without a record [FLT-20]", async () => {
    const rig = new FleetRig();
    await rig.known(a);
    await rig.physical(a);
    rig.ports.tenant = () => ({ ...rig.registry, open: hung });
    const made = await plan(rig);
    expect(made).toMatchObject({ findings: [], complete: false });
    expect(made.notes.join(" ")).toContain(`registry of tenant ${acme} did not answer`);
  });

  it("a provider that cannot list is named, and its silence is taken for nothing [FLT-20]", async () => {
    const rig = new FleetRig();
    await rig.known(a);
    await rig.physical(a);
    await rig.time.run(rig.auditTerms.graceMs);
    rig.alter({ enumerate: undefined });
    // Not listed, but seen when looked at: present.
    const made = await plan(rig);
    expect(made.findings).toEqual([]);
    expect(made.notes).toEqual([expect.stringContaining("memory cannot list its sandboxes")]);
  });
});

describe("applying a plan", () => {
  it("takes the hash of that very plan, and nothing without it [FLT-10]", async () => {
    const rig = new FleetRig();
    await rig.physical(a);
    const made = await plan(rig);
    expect(await apply(rig, made, "0".repeat(64))).toMatchObject({ problem: { code: "precondition_failed" } });
    expect(rig.alive()).toEqual([a]);
    const other = { ...made, findings: [] };
    expect(other.hash).not.toBe((await plan(rig)).hash);
    await rig.time.run(3_600_001);
    expect(await apply(rig, made)).toMatchObject({ problem: { code: "conflict" } });
    expect(rig.said("Sandbox cleanup started")).toBe(false);
  });

  it("reaps what nobody has a record of, keeps a receipt, and answers the same when asked again [FLT-10] [FLT-20]", async () => {
    const rig = new FleetRig();
    await rig.physical(a);
    const made = await plan(rig);
    expect(await outcomes(rig, made)).toEqual([["done", expect.stringContaining("two looks")]]);
    expect(rig.alive()).toEqual([]);
    const { sandboxId } = lease(a, 1, "held");
    const kept = await rig.control.document("reaper_receipt", sandboxId);
    const receipt = JSON.parse(kept?.body ?? "{}") as Record<string, unknown>;
    expect(receipt).toMatchObject({ sandbox_id: sandboxId, reason: "orphaned", phase: "closed" });
    expect(receipt["verified_absent_at"]).not.toBeNull();
    const first = await rig.control.document("audit_result", made.id);
    expect(await apply(rig, made)).toEqual({ ok: true, value: JSON.parse(first?.body ?? "") as unknown });
    expect((await plan(rig)).findings).toEqual([]);
  });

  it("reaps one member of a shared container, and neither a sibling nor the container is touched [FLT-20] [CAP-10]", async () => {
    const rig = new FleetRig();
    const b = sessionId("b");
    const container = containerId(lease(a, 1, "held").sandboxId);
    await rig.known(b);
    await rig.time.run(rig.auditTerms.graceMs);
    await rig.physical(a, 1, container);
    await rig.physical(b, 1, container);
    rig.inspects = wellKept(b);
    const made = await plan(rig);
    expect(made.findings).toMatchObject([{ kind: "sandbox_without_record", sessionId: a, container }]);
    rig.inspects = noRecord;
    expect(await outcomes(rig, made)).toEqual([["done", expect.stringContaining("two looks")]]);
    expect(new Set(rig.alive())).toEqual(new Set([b]));
    expect(rig.world.containers.exists(container)).toBe(true);
  });

  it("nothing of a reaped generation starts again, however late it was sent", async () => {
    const rig = new FleetRig();
    await rig.physical(a);
    await outcomes(rig, await plan(rig));
    await expect(rig.physical(a)).rejects.toThrow();
    expect(rig.alive()).toEqual([]);
  });

  it.each([
    ["a registry counts it now", async (rig: FleetRig) => await rig.known(a), "A registry counts it now."],
    [
      "its session says that it looks after it",
      async (rig: FleetRig) => void (rig.inspects = wellKept()),
      "Its session looks after it.",
    ],
    [
      "it is gone by itself",
      async (rig: FleetRig) => await rig.time.run(rig.auditTerms.policy.leaseTtlMs + 60_000),
      "memory does not list it any more.",
    ],
  ])("skips what changed since: %s [FLT-9] [FLT-10]", async (_what, meanwhile, why) => {
    const rig = new FleetRig();
    await rig.physical(a);
    const made = await plan(rig);
    await meanwhile(rig);
    const before = rig.alive();
    expect(await outcomes(rig, made)).toEqual([["skipped", why]]);
    expect(rig.alive()).toEqual(before);
  });

  it("a session that cannot be asked, or cannot be read, may own it: nothing is touched [FLT-10]", async () => {
    for (const inspects of [
      hung,
      async () =>
        ({ ok: true, value: { ...sampleInspection(), record: "unreadable", session: null, teardowns: [] } }) as const,
    ]) {
      const rig = new FleetRig();
      await rig.physical(a);
      const made = await plan(rig);
      rig.inspects = inspects;
      expect((await outcomes(rig, made))[0]?.[0]).not.toBe("done");
      expect(rig.alive()).toEqual([a]);
    }
  });

  it("a record whose session is lost is given back only after its sandbox is proven gone, and the ledger balances [FLT-9] [FLT-20]", async () => {
    const rig = new FleetRig();
    await rig.known(a);
    await rig.physical(a);
    await rig.time.run(2 * rig.auditTerms.policy.reportEveryMs + rig.auditTerms.graceMs);
    await rig.physical(a, 1).catch(() => null);
    const made = await plan(rig);
    expect(kinds(made)).toEqual(["record_without_session"]);
    expect((await rig.registry.ledger()).used).toBe(1);
    expect(await outcomes(rig, made)).toEqual([["done", expect.stringContaining("given back")]]);
    const ledger = await rig.registry.ledger();
    expect(ledger).toMatchObject({ used: 0, imbalances: [], counts: { granted: 1, proven: 1 } });
    expect(await rig.registry.receipt(a, generation(1))).toMatchObject({ reason: "orphaned", phase: "closed" });
    expect(rig.index.select({ order: "newest", limit: 10 })).toEqual([]);
    expect(rig.alive()).toEqual([]);
  });

  it("while it cannot be proven gone, its quota stays and the next audit finds it again [FLT-10]", async () => {
    const rig = new FleetRig();
    await rig.known(a);
    await rig.time.run(2 * rig.auditTerms.policy.reportEveryMs + rig.auditTerms.graceMs);
    const made = await plan(rig);
    const { sandbox } = rig;
    rig.alter({ observe: hung });
    expect((await outcomes(rig, made))[0]?.[0]).toBe("failed");
    expect((await rig.registry.ledger()).used).toBe(1);
    rig.sandbox = sandbox;
    expect(kinds(await plan(rig))).toEqual(["record_without_session"]);
  });

  it("a running session whose sandbox is absent is told to look, and decides itself [FLT-9]", async () => {
    const rig = new FleetRig();
    await rig.known(a);
    await rig.time.run(rig.auditTerms.graceMs);
    const made = await plan(rig);
    rig.inspects = wellKept();
    rig.pokes = () => void rig.known(a, { status: "lost", leases: [lease(a, 1, "closed")] }, 2);
    expect(await outcomes(rig, made)).toEqual([["done", expect.stringContaining("proved the absence")]]);
    expect(rig.poked).toEqual([a]);
    expect(rig.ended).toEqual([]);
  });

  it("[BUG-109] a finding is done only when its registry holds the proof: a session that was merely told to look has proven nothing", async () => {
    const rig = new FleetRig();
    await rig.known(a);
    await rig.time.run(rig.auditTerms.graceMs);
    const made = await plan(rig);
    rig.inspects = wellKept();
    expect(await outcomes(rig, made)).toEqual([["skipped", expect.stringContaining("has not proven the absence yet")]]);
    expect(rig.poked).toEqual([a]);
    expect((await rig.registry.ledger()).used).toBe(1);
  });

  it("[BUG-109] a lease whose host is gone is no finding, hour after hour: another host answers, and a note names both", async () => {
    const rig = new FleetRig();
    await rig.known(a, { leases: [{ ...lease(a, 1, "stopping"), host: "host-that-is-gone" }] });
    oneHostAnswers(rig);
    await rig.time.run(rig.auditTerms.graceMs);
    rig.inspects = wellKept();
    for (let hour = 0; hour < 3; hour += 1) {
      await rig.time.run(3_600_000);
      const made = await plan(rig);
      expect(made.findings).toEqual([]);
      expect(made.notes.join(" ")).toMatch(/memory-host answered, and it is on host host-that-is-gone/);
    }
    expect(rig.poked).toEqual([]);
  });

  it("one that fails stops no other; each is in the result and in the run's record [FLT-6]", async () => {
    const rig = new FleetRig();
    const b = sessionId("b");
    await rig.physical(a);
    await rig.physical(b);
    const made = await plan(rig);
    rig.inspects = (id) => (id === a ? hung() : noRecord(id));
    const results = Object.fromEntries(
      (await apply(rig, made).then((reply) => (reply.ok ? reply.value.items : []))).map((each) => [
        each.finding.sessionId,
        each.outcome,
      ]),
    );
    expect(results).toEqual({ [a]: "failed", [b]: "done" });
    expect(rig.alive()).toEqual([a]);
    const [run] = await rig.control.runs({ layer: "audit", limit: 1, before: null });
    expect(run).toMatchObject({ found: 2, done: 1, failed: 1, outcome: "partial" });
  });

  it("logs the runbook's lines [FLT-19]", async () => {
    const rig = new FleetRig();
    await rig.physical(a);
    await outcomes(rig, await plan(rig));
    for (const words of [
      "Sandbox cleanup started",
      "Found 1 sandboxes to cleanup",
      `Cleaned up ${a}`,
      "Cleanup completed",
    ]) {
      expect(rig.said(words)).toBe(true);
    }
  });
});

describe("a host that never had a sandbox", () => {
  /** The session's rows are lost, and every call reaches another host than the one its sandbox lives on. */
  const elsewhere = async (): Promise<FleetRig> => {
    const rig = new FleetRig();
    await rig.known(a, { leases: [{ ...lease(a, 1, "held"), host: "host-a" }] });
    oneHostAnswers(rig);
    await rig.time.run(2 * rig.auditTerms.policy.reportEveryMs + rig.auditTerms.graceMs);
    return rig;
  };

  it("[BUG-100] proves nothing about it: its quota stays taken, and no receipt is written", async () => {
    const rig = await elsewhere();
    const made = await plan(rig);
    expect(made.findings).toMatchObject([{ kind: "record_without_session", host: "host-a" }]);
    expect(await outcomes(rig, made)).toEqual([["failed", expect.stringMatching(/memory-host.*host-a/)]]);
    expect((await rig.registry.ledger()).used).toBe(1);
    expect(await rig.registry.receipt(a, generation(1))).toBeNull();
    expect(await rig.control.documents("reaper_receipt", 10)).toEqual([]);
  });

  it("[BUG-100] proves nothing when no host was ever recorded either", async () => {
    const rig = new FleetRig();
    const unknown = { ...lease(a, 1, "held"), host: undefined };
    await rig.known(a, { leases: [unknown as never] });
    await rig.time.run(2 * rig.auditTerms.policy.reportEveryMs + rig.auditTerms.graceMs);
    const made = await plan(rig);
    expect(kinds(made)).toEqual(["record_without_session"]);
    expect(await outcomes(rig, made)).toEqual([["failed", expect.stringContaining("no host is recorded")]]);
    expect((await rig.registry.ledger()).used).toBe(1);
  });

  it("[BUG-100] is believed in no part of an audit: not when it finds, not when it looks again, not when it reaps", async () => {
    const rig = await elsewhere();
    rig.inspects = wellKept();
    expect((await plan(rig)).findings).toEqual([]);
    // The plan was made while the recorded host answered; when it is applied, another one does.
    await rig.known(a, { leases: [lease(a, 1, "held")] }, 2);
    const other = new FleetRig();
    await other.known(a);
    await other.time.run(other.auditTerms.graceMs);
    const made = await plan(other);
    expect(kinds(made)).toEqual(["running_absent"]);
    other.inspects = wellKept();
    other.alter({
      observe: async (...[{ sandboxId, generation: of }, beganAt]: Parameters<AgentSandbox["observe"]>) => ({
        ...{ answer: "absent", provider: "memory", host: "host-b", boot: "b", sandboxId, generation: of, beganAt },
        ...{ residue: [], detail: "nothing here" },
      }),
    });
    expect(await outcomes(other, made)).toEqual([["skipped", expect.stringContaining("recorded host")]]);
    expect(other.poked).toEqual([]);
    const aim = { sessionId: a, sandboxId: lease(a, 1, "held").sandboxId, generation: generation(1), host: memoryHost };
    expect(await other.done(reap(other.ports, other.auditTerms, aim, "memory"))).toMatchObject({ proven: false });
  });

  it("[BUG-100] a registry remembers the host that answered first, and a later report of another changes nothing", async () => {
    const rig = new FleetRig();
    await rig.known(a, { leases: [{ ...lease(a, 1, "held"), host: "host-a" }] });
    await rig.known(a, { leases: [{ ...lease(a, 1, "stopping"), host: "host-b" }] }, 2);
    expect(await rig.registry.open(null, 10)).toMatchObject([{ host: "host-a" }]);
  });
});

describe("the reaper", () => {
  const aim = { sessionId: a, sandboxId: lease(a, 1, "held").sandboxId, generation: generation(1), host: memoryHost };

  it.each(["retire", "stop", "observe"] as const)("claims nothing when %s does not answer", async (op) => {
    const rig = new FleetRig();
    await rig.physical(a);
    rig.alter({ [op]: hung });
    expect(await rig.done(reap(rig.ports, rig.auditTerms, aim, "memory"))).toMatchObject({ proven: false });
  });

  it("claims nothing when a look says unknown, nor when a stop that hung may still act", async () => {
    const rig = new FleetRig();
    rig.alter({ observe: saying("unknown") });
    expect(await rig.done(reap(rig.ports, rig.auditTerms, aim, "memory"))).toMatchObject({ proven: false });
    const late = new FleetRig();
    late.alter({ stop: hung });
    // Nothing is there, so both looks would say absent; but they would begin before the stop has settled.
    const reaped = await late.done(reap(late.ports, late.auditTerms, aim, "memory"));
    expect(reaped).toEqual({ proven: false, why: expect.stringContaining("not stopped") });
  });

  it("claims nothing at a provider that is not wired here", async () => {
    const rig = new FleetRig();
    const reaped = await rig.done(reap(rig.ports, rig.auditTerms, aim, "cloudflare"));
    expect(reaped).toEqual({ proven: false, why: "no adapter for provider cloudflare is wired here" });
  });
});
