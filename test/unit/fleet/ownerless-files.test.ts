/** Workspaces and snapshots that no session owns: found, and removed only by an operator's apply. */
import { describe, expect, it } from "vitest";
import { applyPlan } from "../../../src/fleet/audits/apply-plan.ts";
import { makePlan } from "../../../src/fleet/audits/make-plan.ts";
import { fileGraceMs } from "../../../src/fleet/audits/ownerless-files.ts";
import type { AuditPlan } from "../../../src/fleet/audits/plan.ts";
import type { AgentSandbox } from "../../../src/sandbox/agent-sandbox.ts";
import { FleetRig, hung, memoryHost, noRecord } from "../../support/fleet-rig.ts";
import { generation, lease, sessionId } from "../../support/reports.ts";
import { sampleInspection, sampleSession } from "../../support/sample-views.ts";

const a = sessionId("a");
const b = sessionId("b");
const { sandboxId } = lease(a, 1, "held");
const target = { sessionId: a, sandboxId, generation: generation(1), instanceId: null, host: memoryHost };
const bound = { timeoutMs: 60_000, signal: new AbortController().signal };
const plan = (rig: FleetRig) => rig.done(makePlan(rig.ports, rig.auditTerms, "admin"));
const hasRecord = async () =>
  ({ ok: true, value: { ...sampleInspection(), session: sampleSession({ id: a }), teardowns: [] } }) as const;

async function apply(rig: FleetRig, made: AuditPlan, by = "admin") {
  const applied = await rig.done(applyPlan(rig.ports, rig.auditTerms, { planId: made.id, hash: made.hash, by }));
  if (!applied.ok) throw new Error(applied.problem.detail);
  return applied.value.items.map(({ outcome, why }) => [outcome, why]);
}

/** Session a ran, was saved as `s1`, and its process is gone; then its rows and those of its registry were lost. */
async function left(rig: FleetRig): Promise<void> {
  const { sandbox } = rig;
  await rig.physical(a);
  const saved = await rig.done((sandbox.snapshots as NonNullable<AgentSandbox["snapshots"]>).save(target, "s1", bound));
  expect(saved.ok).toBe(true);
  await rig.done(sandbox.retire(target, bound));
  await rig.done(sandbox.stop(target, 10_000, bound));
  // The directory of tenants is there, and another session is well.
  await rig.known(b, { status: "terminated", leases: [] });
}

const files = (made: AuditPlan) =>
  made.findings.flatMap((each) => (each.kind === "file_without_owner" ? [`${each.file.kind} ${each.file.name}`] : []));

describe("files without an owner", () => {
  it("[BUG-110] are found when they are older than the grace, and an operator's apply removes them", async () => {
    const rig = new FleetRig();
    await left(rig);
    expect(files(await plan(rig))).toEqual([]);
    await rig.time.run(fileGraceMs);
    const made = await plan(rig);
    expect(files(made)).toEqual([`workspace ${sandboxId}`, "snapshot s1"]);
    expect((await apply(rig, made)).map(([outcome]) => outcome)).toEqual(["done", "done"]);
    expect(rig.world.snapshots.of(a)).toEqual([]);
    expect(rig.world.sandbox(sandboxId)?.files).toBeNull();
    expect(files(await plan(rig))).toEqual([]);
  });

  it("[BUG-110] are never removed by the cron: lost rows may be put back", async () => {
    const rig = new FleetRig();
    await left(rig);
    await rig.time.run(fileGraceMs);
    const made = await plan(rig);
    const applied = await apply(rig, made, "cron");
    expect(applied.map(([outcome]) => outcome)).toEqual(["skipped", "skipped"]);
    expect(rig.world.snapshots.of(a)).toEqual(["s1"]);
  });

  it("[BUG-110] whose session has a record, does not answer, is counted, or forgot the snapshot are none", async () => {
    const rig = new FleetRig();
    await left(rig);
    await rig.time.run(fileGraceMs);
    for (const inspects of [hasRecord, hung]) {
      rig.inspects = inspects;
      expect(files(await plan(rig))).toEqual([]);
    }
    rig.inspects = noRecord;
    const forgotten = {
      ...({ id: "s1", provider: "memory", takenAt: 1, generation: generation(1) } as const),
      ...{ forgottenAt: 2, by: "admin", reason: "the store is gone" },
    };
    await rig.known(b, { status: "terminated", leases: [], forgotten: [forgotten] }, 2);
    expect(files(await plan(rig))).toEqual([`workspace ${sandboxId}`]);
    await rig.known(a, { status: "terminating", leases: [lease(a, 1, "stopping")] });
    expect(files(await plan(rig))).toEqual([]);
  });

  it("that a tenant keeps are none, though the session that saved them is long gone [TRA-15]", async () => {
    const rig = new FleetRig();
    await left(rig);
    await rig.time.run(fileGraceMs);
    const order = { name: "base", replaces: false, purpose: "kept", provider: "memory", template: null } as const;
    await rig.registry.reserveSnapshot({ ...order, id: "s1", sessionId: a, withinMs: 1 });
    expect(files(await plan(rig))).toEqual([`workspace ${sandboxId}`]);
    // Its deletion is asked for, and not proven yet.
    await rig.registry.deleteSnapshot("s1", 0);
    expect(files(await plan(rig))).toEqual([`workspace ${sandboxId}`]);
  });

  it("[BUG-110] that belong to a session again when the plan is applied are left alone", async () => {
    const rig = new FleetRig();
    await left(rig);
    await rig.time.run(fileGraceMs);
    const made = await plan(rig);
    rig.inspects = hasRecord;
    expect((await apply(rig, made)).map(([outcome]) => outcome)).toEqual(["skipped", "skipped"]);
    expect(rig.world.snapshots.of(a)).toEqual(["s1"]);
  });

  it("[BUG-110] are not looked for while a registry does not answer; a provider that does not list is named", async () => {
    const rig = new FleetRig();
    await left(rig);
    await rig.time.run(fileGraceMs);
    rig.ports.tenant = () => ({ ...rig.registry, open: hung });
    expect(files(await plan(rig))).toEqual([]);
    rig.ports.tenant = () => rig.registry;
    rig.alter({ files: hung });
    expect((await plan(rig)).notes.join(" ")).toContain("memory did not list its files");
  });
});
