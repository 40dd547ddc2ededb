/** Pausing and resuming over the real shell: what is kept, what is started, and what happens when something is in the way. */
import { describe, expect, it } from "vitest";
import { caller, SessionRig } from "../../../support/session-rig.ts";
import { aWhile, always, journalOf, once, pause, pausedWith, ran, savedOf, told } from "../../../support/suspension.ts";

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

describe("a pause", () => {
  it("frees the sandbox and its quota, and a resume goes on with the files in a new generation [CLK-11] [DEL-11]", async () => {
    const rig = new SessionRig();
    const before = await rig.running();
    await ran(rig, "write notes.txt kept");
    expect((await pause(rig)).status).toBe("pausing");
    await rig.pass(aWhile);
    expect(await rig.view()).toMatchObject({
      status: "paused",
      idle_at: null,
      teardown: { phase: "closed", reason: "paused" },
    });
    expect(rig.rig.world.processes()).toEqual([]);
    expect(rig.registry.ledger()).toMatchObject({ used: 0, imbalances: [] });
    const resumed = await rig.during(aWhile, rig.commands.resume(caller, 600, 5_000));
    expect(resumed).toMatchObject({ ok: true, value: { body: { status: "running" } } });
    expect((await rig.view()).generation).toBeGreaterThan(before.generation ?? Infinity);
    expect(await ran(rig, "cat notes.txt")).toBe("kept\n");
    expect(rig.registry.ledger()).toMatchObject({ used: 1, imbalances: [] });
  });

  it("ten times in a row keeps every file, and never more than one snapshot is left [DEL-11]", async () => {
    const rig = new SessionRig();
    await rig.running({ timeout_seconds: 86_400, idle_timeout_seconds: null });
    for (let round = 0; round < 10; round += 1) {
      await ran(rig, `write file-${round} round ${round}`);
      await pause(rig);
      await rig.pass(aWhile);
      expect((await rig.view()).status).toBe("paused");
      expect(savedOf(rig)).toHaveLength(1);
      await rig.during(aWhile, rig.commands.resume(caller, null, 5_000));
    }
    for (let round = 0; round < 10; round += 1) expect(await ran(rig, `cat file-${round}`)).toBe(`round ${round}\n`);
  });

  it("lets a running job end first, and its file is in the snapshot [DEL-12]", async () => {
    const rig = new SessionRig();
    await rig.running();
    const job = await rig.commands.createJob(caller, { command: "sleep 8; write late.txt in time" });
    await rig.pass(second);
    await pause(rig);
    await rig.pass(2 * second);
    expect([rig.calls("save"), (await rig.view()).status]).toEqual([0, "pausing"]);
    await rig.pass(aWhile + 8 * second);
    expect((await rig.view()).status).toBe("paused");
    expect(job.ok && (await rig.job(job.value.job.id)).state).toBe("succeeded");
    expect(journalOf(rig, "saved").map((entry) => entry.jobs)).toEqual([0]);
    await rig.during(aWhile, rig.commands.resume(caller, null, 5_000));
    expect(await ran(rig, "cat late.txt")).toBe("in time\n");
  });

  it("interrupts a job that does not end in time, keeps its result, and only then reads the files [DEL-12]", async () => {
    const rig = new SessionRig();
    await rig.running();
    const job = await rig.commands.createJob(caller, { command: "echo begun; sleep 100000" });
    await rig.pass(second);
    await pause(rig);
    await rig.pass(rig.policy.drainMs + aWhile + 10 * second);
    expect((await rig.view()).status).toBe("paused");
    expect(journalOf(rig, "saved").map((entry) => entry.jobs)).toEqual([0]);
    expect(job.ok && (await rig.job(job.value.job.id))).toMatchObject({ state: "interrupted", output_tail: "begun\n" });
  });

  it("admits nothing from the start of the drain to the end of the save [DEL-12]", async () => {
    const rig = new SessionRig();
    await rig.running();
    rig.fault = once("save", { type: "slow", ms: 30 * second });
    await pause(rig);
    const accepted = journalOf(rig, "jobAccepted").length;
    for (let step = 0; step < 20; step += 1) {
      const job = await rig.commands.createJob(caller, { command: "write sneaked.txt in" });
      expect(job).toMatchObject({ ok: false, problem: { code: "session_paused" } });
      await rig.pass(second);
    }
    expect((await rig.view()).status).toBe("pausing");
    expect(journalOf(rig, "jobAccepted")).toHaveLength(accepted);
  });

  it.each([
    ["fails", { type: "fail_before", effect: "none" }],
    ["never answers", { type: "hang", deaf: true }],
    ["may or may not have happened", { type: "lost_reply" }],
  ] as const)("whose save %s leaves it running, says so, and takes jobs again [DEL-10]", async (_how, fault) => {
    const rig = new SessionRig();
    const { generation } = await rig.running({ timeout_seconds: 7_200 });
    await ran(rig, "write notes.txt kept");
    rig.fault = always("save", fault);
    await pause(rig);
    await rig.pass(rig.policy.snapshotMs + minute);
    expect(await rig.view()).toMatchObject({ status: "running", generation });
    expect(await told(rig)).toContain("pause_failed");
    expect(await ran(rig, "cat notes.txt")).toBe("kept\n");
    // What may have been saved under that name is nobody's any more.
    expect(savedOf(rig)).toEqual([]);
    expect(rig.registry.ledger()).toMatchObject({ used: 1, imbalances: [] });
  });

  it("that is called off because a job still runs saves nothing, even when only half of that could be stored [DEL-12]", async () => {
    const rig = new SessionRig();
    await rig.running({ idle_timeout_seconds: null });
    await rig.commands.createJob(caller, { command: "sleep 600" });
    await rig.pass(second);
    rig.fault = ({ op }) => (op === "endJob" ? { type: "fail_before", effect: "unknown" } : { type: "none" });
    await pause(rig);
    // From the moment that one of its writes is stored (this is the last row of it), nothing more is.
    const said = () =>
      rig.sql.run("SELECT 1 FROM session WHERE recent LIKE '%saving%' OR recent LIKE '%setback%'").length > 0;
    Object.defineProperty(rig, "storageFails", { get: said, configurable: true });
    await rig.pass(rig.policy.drainMs + 10 * second);
    expect(said()).toBe(true);
    Object.defineProperty(rig, "storageFails", { value: false });
    await rig.pass(minute);
    expect([rig.calls("save"), (await rig.view()).status]).toEqual([0, "running"]);
  });

  it("a save that lands after it was given up on is never kept [DEL-10]", async () => {
    const rig = new SessionRig();
    await rig.running({ timeout_seconds: 7_200 });
    rig.fault = once("save", { type: "late_effect", ms: 8 * minute, reply: "silence" });
    await pause(rig);
    await rig.pass(rig.policy.snapshotMs + minute);
    expect((await rig.view()).status).toBe("running");
    await rig.pass(5 * minute);
    expect(savedOf(rig)).toEqual([]);
    expect(journalOf(rig, "snapshotRemoved")).not.toEqual([]);
  });

  it("whose sandbox disappears before it was saved is a loss, said plainly [DEL-10]", async () => {
    const rig = new SessionRig();
    await rig.running();
    rig.fault = once("save", { type: "disappear" });
    await pause(rig);
    await rig.pass(10 * minute);
    expect((await rig.view()).status).toBe("lost");
    expect(await told(rig)).toContain("sandbox_lost");
    expect(await told(rig)).not.toContain("saved");
  });

  it("survives a crash of its object at any moment of it [DEL-9]", async () => {
    for (let crashAfter = 0; crashAfter <= 6_000; crashAfter += 500) {
      const rig = new SessionRig();
      await rig.running();
      await ran(rig, "write notes.txt kept");
      rig.fault = once("save", { type: "slow", ms: 2 * second });
      await pause(rig);
      await rig.pass(crashAfter);
      rig.reincarnate();
      await rig.pass(5 * minute);
      // The save's own answer may be lost with the life that asked: then it is asked again, by the same name.
      expect((await rig.view()).status, `crash after ${crashAfter} ms`).toBe("paused");
      expect(savedOf(rig)).toHaveLength(1);
      await rig.during(aWhile, rig.commands.resume(caller, null, 5_000));
      expect(await ran(rig, "cat notes.txt")).toBe("kept\n");
    }
  });

  it("is refused where the provider cannot save, and so is on_timeout: pause at create [CLK-10]", async () => {
    const rig = new SessionRig();
    Object.assign(rig.rig.sandbox, { capabilities: { ...rig.rig.sandbox.capabilities, snapshot: false } });
    const created = await rig.during(second, rig.commands.create(rig.id, caller, { on_timeout: "pause" }, null, 0));
    expect(created).toMatchObject({ ok: false, problem: { code: "unsupported_by_provider" } });
    await rig.running();
    expect(await rig.commands.pause(caller, 0)).toMatchObject({
      ok: false,
      problem: { code: "unsupported_by_provider" },
    });
    expect((await rig.view()).status).toBe("running");
  });

  it("asked for twice is one [DEL-9]", async () => {
    const rig = new SessionRig();
    await rig.running();
    await Promise.all([pause(rig), pause(rig)]);
    await rig.pass(aWhile);
    expect((await rig.view()).status).toBe("paused");
    expect((await pause(rig)).status).toBe("paused");
    await rig.pass(aWhile);
    expect(rig.calls("save")).toBe(1);
  });
});

describe("a resume", () => {
  it("while saving cancels the pause: the same sandbox goes on, and what was saved is deleted [DEL-9]", async () => {
    const rig = new SessionRig();
    const { generation } = await rig.running();
    await ran(rig, "write notes.txt kept");
    rig.fault = once("save", { type: "slow", ms: 20 * second });
    await pause(rig);
    await rig.pass(3 * second);
    expect(rig.calls("save")).toBe(1);
    const resumed = await rig.commands.resume(caller, null, 0);
    expect(resumed).toMatchObject({ ok: true, value: { body: { status: "running", generation } } });
    await rig.pass(minute);
    expect(await rig.view()).toMatchObject({ status: "running", generation });
    expect(rig.calls("launch")).toBe(1);
    expect(savedOf(rig)).toEqual([]);
    expect(await ran(rig, "cat notes.txt")).toBe("kept\n");
  });

  it("while a save hangs: the next pause does not wait for that save [BUG-103]", async () => {
    const rig = new SessionRig();
    await rig.running();
    await ran(rig, "write notes.txt kept");
    rig.fault = once("save", { type: "hang", deaf: true });
    await pause(rig);
    await rig.pass(3 * second);
    expect(await rig.commands.resume(caller, null, 0)).toMatchObject({ ok: true });
    await rig.pass(5 * second);
    await pause(rig);
    // Far less than the bound of the save that hangs.
    await rig.pass(minute);
    expect(await rig.view()).toMatchObject({ status: "paused" });
  });

  it("while the old sandbox stops waits for its end and starts once [DEL-9]", async () => {
    const rig = new SessionRig();
    await rig.running();
    await ran(rig, "write notes.txt kept");
    rig.fault = ({ op }) =>
      op === "stop" ? { type: "late_effect", ms: 20 * second, reply: "result" } : { type: "none" };
    await pause(rig);
    await rig.pass(5 * second);
    expect(await rig.view()).toMatchObject({ status: "pausing", teardown: { phase: "stopping" } });
    const asked = await Promise.all([1, 2, 3].map(() => rig.commands.resume(caller, null, 0)));
    expect(asked.every((one) => one.ok)).toBe(true);
    rig.fault = null;
    await rig.pass(5 * minute);
    expect((await rig.view()).status).toBe("running");
    expect(journalOf(rig, "launched")).toHaveLength(2);
    expect(await ran(rig, "cat notes.txt")).toBe("kept\n");
    expect(rig.registry.ledger()).toMatchObject({ used: 1, imbalances: [] });
  });

  it("twice at once starts one sandbox [DEL-9]", async () => {
    const rig = new SessionRig();
    await pausedWith(rig, "kept");
    const both = await rig.during(
      aWhile,
      Promise.all([rig.commands.resume(caller, null, 5_000), rig.commands.resume(caller, null, 5_000)]),
    );
    for (const one of both) expect(one).toMatchObject({ ok: true, value: { body: { status: "running" } } });
    expect(journalOf(rig, "launched")).toHaveLength(2);
    expect(rig.registry.ledger()).toMatchObject({ used: 1, imbalances: [] });
  });

  it("without quota is refused for it, and stays paused with what was saved", async () => {
    const rig = new SessionRig({}, 1);
    await pausedWith(rig, "kept");
    const other = { sessionId: "b".repeat(20) as typeof rig.id, generation: 1, sandboxId: "other-g1", createdAt: 1 };
    expect(rig.registry.quota.reserve(other as Parameters<typeof rig.registry.quota.reserve>[0])).toMatchObject({
      granted: true,
    });
    const refused = await rig.during(aWhile, rig.commands.resume(caller, null, 5_000));
    expect(refused).toMatchObject({ ok: false, problem: { code: "quota_exhausted" } });
    expect((await rig.view()).status).toBe("paused");
    expect(savedOf(rig)).toHaveLength(1);
    expect(rig.registry.ledger().imbalances).toEqual([]);
    rig.registry.quota.cancel(other.sessionId, other.generation as never);
    await rig.during(aWhile, rig.commands.resume(caller, null, 5_000));
    expect(await ran(rig, "cat notes.txt")).toBe("kept\n");
  });

  it("that cannot launch returns to paused with what was saved, and works when it is asked again [LEA-22]", async () => {
    const rig = new SessionRig();
    await pausedWith(rig, "kept");
    rig.fault = always("launch", { type: "fail_before", effect: "none" });
    await rig.during(aWhile, rig.commands.resume(caller, null, 0));
    expect((await rig.view()).status).toBe("provisioning");
    await rig.pass(rig.policy.provisionMs + 5 * minute);
    expect((await rig.view()).status).toBe("paused");
    expect(await told(rig)).toContain("provision_failed");
    expect(savedOf(rig)).toHaveLength(1);
    expect(rig.registry.ledger()).toMatchObject({ used: 0, imbalances: [] });
    rig.fault = null;
    await rig.during(aWhile, rig.commands.resume(caller, null, 5_000));
    expect(await ran(rig, "cat notes.txt")).toBe("kept\n");
  });

  it("gives the end that was asked for, and the session's own timeout when none was", async () => {
    const rig = new SessionRig();
    await pausedWith(rig, "kept", { timeout_seconds: 1_200 });
    await rig.pass(day);
    const asked = rig.rig.clock.now();
    await rig.during(aWhile, rig.commands.resume(caller, null, 0));
    expect(Date.parse((await rig.view()).end_at)).toBe(asked + 1_200 * second);
    expect(await rig.commands.resume(caller, 86_400_000, 0)).toMatchObject({
      ok: false,
      problem: { code: "validation_failed" },
    });
  });
});

describe("auto_resume", () => {
  it("resumes once however many jobs come at once, and every one of them runs [CLK-15]", async () => {
    const rig = new SessionRig();
    await pausedWith(rig, "kept", { auto_resume: true });
    const jobs = await Promise.all(
      Array.from({ length: 8 }, () => rig.commands.createJob(caller, { command: "cat notes.txt" })),
    );
    await rig.pass(20 * second);
    expect((await rig.view()).status).toBe("running");
    expect(journalOf(rig, "launched")).toHaveLength(2);
    for (const job of jobs) {
      expect(job.ok && (await rig.job(job.value.job.id))).toMatchObject({ state: "succeeded", output_tail: "kept\n" });
    }
  });

  it("off: a job is refused by name, and nothing starts [CLK-15]", async () => {
    const rig = new SessionRig();
    await pausedWith(rig, "kept");
    const job = await rig.commands.createJob(caller, { command: "cat notes.txt" });
    expect(job).toMatchObject({ ok: false, problem: { code: "session_paused" } });
    await rig.pass(minute);
    expect([(await rig.view()).status, rig.calls("launch")]).toEqual(["paused", 1]);
  });

  it("is not woken by reads [CLK-15]", async () => {
    const rig = new SessionRig();
    await pausedWith(rig, "kept", { auto_resume: true });
    await rig.commands.get(caller);
    await rig.commands.jobs(caller, null, 10);
    await rig.commands.events(caller, 0, 10, 0);
    await rig.commands.teardown(caller);
    await rig.pass(hour);
    expect([(await rig.view()).status, rig.calls("launch")]).toEqual(["paused", 1]);
  });
});

describe("the clocks of a paused session", () => {
  it("neither idle nor timeout end it, and paused time is not lifetime [CLK-11] [CLK-16]", async () => {
    const rig = new SessionRig();
    await pausedWith(rig, "kept", { timeout_seconds: 600, idle_timeout_seconds: 300, max_lifetime_seconds: 3_600 });
    await rig.pass(5 * day);
    expect((await rig.view()).status).toBe("paused");
    await rig.during(aWhile, rig.commands.resume(caller, 3_600, 5_000));
    await rig.commands.keepalive(caller);
    expect(await ran(rig, "cat notes.txt")).toBe("kept\n");
    const { status, expires_at: expiresAt } = await rig.view();
    expect(status).toBe("running");
    expect(Date.parse(expiresAt ?? "")).toBeGreaterThan(rig.rig.clock.now());
  });

  it("a day before its retention it is said, once; then it ends, and its snapshot goes [CLK-16] [DEL-13]", async () => {
    const rig = new SessionRig();
    await pausedWith(rig, "kept");
    await rig.pass(13 * day - minute);
    expect(await told(rig)).not.toContain("retention_warning");
    await rig.pass(hour);
    expect((await told(rig)).filter((type) => type === "retention_warning")).toHaveLength(1);
    expect((await rig.view()).status).toBe("paused");
    await rig.pass(day);
    expect(await rig.view()).toMatchObject({ status: "terminated", terminate_reason: "retention" });
    expect((await told(rig)).filter((type) => type === "retention_warning")).toHaveLength(1);
    expect(savedOf(rig)).toEqual([]);
  });

  it.each([
    ["its timeout", { timeout_seconds: 600, idle_timeout_seconds: null }],
    ["its idle clock", { timeout_seconds: 7_200, idle_timeout_seconds: 300 }],
  ])("on_timeout: pause makes %s pause it, with its files [CLK-10]", async (_which, limits) => {
    const rig = new SessionRig();
    await rig.running({ ...limits, on_timeout: "pause" });
    await ran(rig, "write notes.txt kept");
    await rig.pass(15 * minute);
    expect(await rig.view()).toMatchObject({ status: "paused", terminate_reason: null });
    await rig.during(aWhile, rig.commands.resume(caller, null, 5_000));
    expect(await ran(rig, "cat notes.txt")).toBe("kept\n");
  });
});

describe("the end of a session that is paused or pausing", () => {
  it("while draining, saving or stopping: terminated, nothing saved is left, nothing runs [DEL-9]", async () => {
    for (let after = 0; after <= 6_000; after += 500) {
      const rig = new SessionRig();
      await rig.running();
      await ran(rig, "write notes.txt gone");
      rig.fault = once("save", { type: "slow", ms: 2 * second });
      await pause(rig);
      await rig.pass(after);
      await rig.commands.delete(caller, "requested");
      await rig.pass(2 * minute);
      expect(await rig.view(), `deleted after ${after} ms`).toMatchObject({
        status: "terminated",
        terminate_reason: "requested",
      });
      expect(savedOf(rig)).toEqual([]);
      expect(rig.rig.world.processes()).toEqual([]);
      expect(rig.registry.ledger()).toMatchObject({ used: 0, imbalances: [] });
    }
  });

  it("a pause of one that ends is refused [DEL-9]", async () => {
    const rig = new SessionRig();
    await rig.running();
    await rig.commands.delete(caller, "requested");
    expect(await rig.commands.pause(caller, 0)).toMatchObject({ ok: false, problem: { code: "session_ended" } });
    expect(await rig.commands.resume(caller, null, 0)).toMatchObject({ ok: false, problem: { code: "session_ended" } });
  });

  it("paused: its snapshot is deleted, however often that fails, before it counts as terminated [DEL-13]", async () => {
    const rig = new SessionRig();
    await pausedWith(rig, "gone");
    rig.fault = always("remove", { type: "fail_before", effect: "unknown" });
    const asked = await rig.commands.delete(caller, "requested");
    expect(asked).toMatchObject({ ok: true, value: { done: false } });
    await rig.pass(10 * minute);
    expect((await rig.view()).status).toBe("terminating");
    expect(rig.calls("remove")).toBeGreaterThan(1);
    expect(rig.calls("remove")).toBeLessThan(200);
    rig.reincarnate();
    await rig.pass(minute);
    expect((await rig.view()).status).toBe("terminating");
    rig.fault = null;
    await rig.pass(10 * minute);
    expect(await rig.view()).toMatchObject({ status: "terminated", terminate_reason: "requested" });
    expect(savedOf(rig)).toEqual([]);
  });
});
