/** Rebuilding over the real shell: what is saved first, what is not, what is refused, and what a failure leaves. */
import { describe, expect, it } from "vitest";
import type { Call, Fault } from "../../../memory/fault-plan.ts";
import { caller, SessionRig } from "../../../support/session-rig.ts";
import { aWhile, always, journalOf, once, pause, pausedWith, ran, savedOf, told } from "../../../support/suspension.ts";

const second = 1_000;
const minute = 60 * second;

const rebuild = (rig: SessionRig, waitMs = 5_000) => rig.during(aWhile, rig.commands.rebuild(caller, waitMs));

/** Its sandbox disappears, and the session has seen the proof. */
async function lose(rig: SessionRig): Promise<void> {
  rig.fault = once("renew", { type: "disappear" });
  await rig.pass(3 * minute);
  expect((await rig.view()).status).toBe("lost");
}

/** Nobody can look: every answer about it is unknown, and no stop gets through. */
const unreachable = ({ op }: Call): Fault =>
  op === "launch" || op === "destroy" ? { type: "none" } : { type: "fail_before", effect: "unknown" };

describe("a rebuild of a live session", () => {
  it("saves first, stops, and goes on with the files in a new generation; nothing it was given is lost [REB-2]", async () => {
    const rig = new SessionRig();
    const before = await rig.running({ labels: { team: "blue" }, env: { SECRET: "s3cret" }, on_timeout: "pause" });
    await ran(rig, "write notes.txt kept");
    expect((await rig.commands.rebuild(caller, 0)).ok).toBe(true);
    await rig.pass(20 * second);
    const after = await rig.view();
    expect(after).toMatchObject({ status: "running", labels: { team: "blue" }, on_timeout: "pause" });
    expect(after.generation).toBeGreaterThan(before.generation ?? Infinity);
    expect(after.created_at).toBe(before.created_at);
    expect(after.end_at).toBe(before.end_at);
    expect(await ran(rig, "cat notes.txt")).toBe("kept\n");
    expect(await ran(rig, "printenv SECRET")).toBe("s3cret\n");
    expect(journalOf(rig, "saved")).toHaveLength(1);
    expect(rig.registry.ledger()).toMatchObject({ used: 1, imbalances: [] });
  });

  it("whose save fails keeps its sandbox, runs on and says so [REB-2]", async () => {
    const rig = new SessionRig();
    const { generation } = await rig.running();
    await ran(rig, "write notes.txt kept");
    rig.fault = always("save", { type: "fail_before", effect: "none" });
    await rebuild(rig);
    await rig.pass(minute);
    expect(await rig.view()).toMatchObject({ status: "running", generation });
    expect(await told(rig)).toContain("rebuild_failed");
    expect(rig.calls("launch")).toBe(1);
    expect(await ran(rig, "cat notes.txt")).toBe("kept\n");
  });

  it("hands no job to the sandbox that is being saved: it runs in the next one [DEL-12]", async () => {
    const rig = new SessionRig();
    await rig.running();
    rig.fault = once("save", { type: "slow", ms: 10 * second });
    await rig.commands.rebuild(caller, 0);
    await rig.pass(2 * second);
    const job = await rig.commands.createJob(caller, { command: "write late.txt here; cat late.txt" });
    expect(job).toMatchObject({ ok: true, value: { job: { state: "queued" } } });
    await rig.pass(minute);
    const [first, second_] = journalOf(rig, "launched").map((entry) => entry.generation);
    expect(journalOf(rig, "jobAccepted").map((entry) => entry.generation)).toEqual([second_]);
    expect(first).toBeLessThan(second_ ?? 0);
    expect(job.ok && (await rig.job(job.value.job.id))).toMatchObject({ state: "succeeded", output_tail: "here\n" });
  });

  it("is refused where the provider cannot save: a live sandbox is never given up for an empty one [REB-2]", async () => {
    const rig = new SessionRig();
    Object.assign(rig.rig.sandbox, { capabilities: { ...rig.rig.sandbox.capabilities, snapshot: false } });
    await rig.running();
    expect(await rebuild(rig)).toMatchObject({ ok: false, problem: { code: "unsupported_by_provider" } });
    expect(rig.calls("stop")).toBe(0);
  });

  it("that is deleted meanwhile ends, and what was saved goes with it [DEL-9]", async () => {
    for (let after = 0; after <= 6_000; after += 1_000) {
      const rig = new SessionRig();
      await rig.running();
      rig.fault = once("save", { type: "slow", ms: 2 * second });
      await rig.commands.rebuild(caller, 0);
      await rig.pass(after);
      await rig.commands.delete(caller, "requested");
      await rig.pass(2 * minute);
      expect((await rig.view()).status, `deleted after ${after} ms`).toBe("terminated");
      expect(savedOf(rig)).toEqual([]);
      expect(rig.rig.world.processes()).toEqual([]);
    }
  });
});

describe("a rebuild of a lost session", () => {
  it("skips the save, and begins anew from what is stored of it [REB-1]", async () => {
    const rig = new SessionRig();
    const before = await rig.running({ labels: { team: "blue" }, env: { SECRET: "s3cret" } });
    await ran(rig, "write notes.txt gone");
    await lose(rig);
    rig.fault = null;
    const rebuilt = await rebuild(rig);
    expect(rebuilt).toMatchObject({ ok: true, value: { body: { status: "running", labels: { team: "blue" } } } });
    expect((await rig.view()).generation).toBeGreaterThan(before.generation ?? Infinity);
    expect(rig.calls("save")).toBe(0);
    expect(await ran(rig, "cat notes.txt")).toBe("notes.txt: not found\n");
    expect(await ran(rig, "printenv SECRET")).toBe("s3cret\n");
    expect(rig.registry.ledger()).toMatchObject({ used: 1, imbalances: [] });
  });

  it("begins with what was saved when the relaunch of a live one failed [REB-2] [LEA-22]", async () => {
    const rig = new SessionRig();
    await rig.running({ timeout_seconds: 7_200 });
    await ran(rig, "write notes.txt kept");
    rig.fault = always("launch", { type: "fail_before", effect: "none" });
    await rebuild(rig, 0);
    await rig.pass(rig.policy.provisionMs + 5 * minute);
    expect((await rig.view()).status).toBe("lost");
    expect(savedOf(rig)).toHaveLength(1);
    rig.fault = null;
    expect(await rebuild(rig)).toMatchObject({ ok: true, value: { body: { status: "running" } } });
    expect(await ran(rig, "cat notes.txt")).toBe("kept\n");
  });

  it("begins empty when it was lost after a resume: an older state is not passed off as the last", async () => {
    const rig = new SessionRig();
    await pausedWith(rig, "saved");
    await rig.during(aWhile, rig.commands.resume(caller, null, 5_000));
    await ran(rig, "write notes.txt unsaved");
    await lose(rig);
    rig.fault = null;
    await rebuild(rig);
    expect(await ran(rig, "cat notes.txt")).toBe("notes.txt: not found\n");
  });

  it("that cannot launch leaves it lost as it was, and can be asked again [REB-4] [LEA-22]", async () => {
    const rig = new SessionRig();
    const before = await rig.running({ labels: { team: "blue" }, timeout_seconds: 7_200 });
    await lose(rig);
    rig.fault = always("launch", { type: "fail_before", effect: "none" });
    await rebuild(rig, 0);
    await rig.pass(rig.policy.provisionMs + 5 * minute);
    const { created_at, end_at, labels } = before;
    expect(await rig.view()).toMatchObject({ status: "lost", created_at, end_at, labels });
    expect(rig.registry.ledger()).toMatchObject({ used: 0, imbalances: [] });
    rig.fault = null;
    expect(await rebuild(rig)).toMatchObject({ ok: true, value: { body: { status: "running" } } });
  });

  it("without quota is refused for it and stays lost [REB-4]", async () => {
    const rig = new SessionRig({}, 1);
    await rig.running();
    await lose(rig);
    rig.fault = null;
    const other = { sessionId: "b".repeat(20), generation: 1, sandboxId: "other-g1", createdAt: 1 };
    rig.registry.quota.reserve(other as Parameters<typeof rig.registry.quota.reserve>[0]);
    expect(await rebuild(rig)).toMatchObject({ ok: false, problem: { code: "quota_exhausted" } });
    expect((await rig.view()).status).toBe("lost");
    expect(rig.calls("launch")).toBe(1);
  });

  it("while nobody can say that the old one is gone is refused, with when to ask again; then it leaves a ghost [REB-3]", async () => {
    const rig = new SessionRig();
    await rig.running({ timeout_seconds: 7_200, idle_timeout_seconds: null });
    rig.fault = unreachable;
    await rig.pass(rig.policy.leaseTtlMs + rig.policy.stopGraceMs + 2 * minute);
    expect((await rig.view()).status).toBe("recovering");
    const early = await rig.commands.rebuild(caller, 0);
    expect(early).toMatchObject({ ok: false, problem: { code: "lease_not_expired" } });
    const retryAt = early.ok ? 0 : (early.problem.retryAt ?? 0);
    await rig.pass(retryAt - 1 - rig.rig.clock.now());
    expect((await rig.commands.rebuild(caller, 0)).ok).toBe(false);
    await rig.pass(1);
    expect((await rebuild(rig, 0)).ok).toBe(true);
    expect(await rig.view()).toMatchObject({ ghosts: 1 });
    rig.fault = null;
    await rig.pass(10 * minute);
    expect(await rig.view()).toMatchObject({ status: "running", ghosts: 0 });
    expect(await told(rig)).toContain("became_ghost");
  });

  it("asked for twice at once starts one sandbox [DEL-9]", async () => {
    const rig = new SessionRig();
    await rig.running();
    await lose(rig);
    rig.fault = null;
    const both = await rig.during(
      aWhile,
      Promise.all([rig.commands.rebuild(caller, 5_000), rig.commands.rebuild(caller, 5_000)]),
    );
    expect(both.filter((one) => one.ok).length).toBeGreaterThan(0);
    expect((await rig.view()).status).toBe("running");
    expect(journalOf(rig, "launched")).toHaveLength(2);
    expect(rig.registry.ledger()).toMatchObject({ used: 1, imbalances: [] });
  });
});

describe("a rebuild of what is neither live nor lost", () => {
  it("paused: refused by name, with what is saved untouched [REB-6]", async () => {
    const rig = new SessionRig();
    await pausedWith(rig, "kept");
    expect(await rebuild(rig)).toMatchObject({ ok: false, problem: { code: "session_paused" } });
    expect(savedOf(rig)).toHaveLength(1);
  });

  it("ended: refused", async () => {
    const rig = new SessionRig();
    await rig.running();
    await rig.commands.delete(caller, "requested");
    expect(await rebuild(rig)).toMatchObject({ ok: false, problem: { code: "session_ended" } });
  });

  it("[BUG-10] being rebuilt, then paused: the last word counts, and no file is lost [DEL-9]", async () => {
    const rig = new SessionRig();
    await rig.running();
    await ran(rig, "write notes.txt kept");
    await rig.commands.rebuild(caller, 0);
    await pause(rig);
    await rig.pass(20 * second);
    expect((await rig.view()).status).toBe("paused");
    await rig.during(aWhile, rig.commands.resume(caller, null, 0));
    expect((await rig.view()).status).toBe("running");
    expect(await ran(rig, "cat notes.txt")).toBe("kept\n");
  });
});
