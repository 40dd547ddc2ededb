/** Jobs of one session, over the real shell: handed over once, told truthfully, readable after the end. */
import { describe, expect, it } from "vitest";
import type { Problem, Reply } from "../../../../src/protocol/problem.ts";
import type { Call, Fault } from "../../../memory/fault-plan.ts";
import { caller, SessionRig } from "../../../support/session-rig.ts";

const none: Fault = { type: "none" };

function problem(reply: Reply<unknown>): Problem["code"] | null {
  return reply.ok ? null : reply.problem.code;
}

/** The first call of that op gets the fault, the rest none. */
function once(op: Call["op"], fault: Fault): (call: Call) => Fault {
  let armed = true;
  return (call) => {
    if (!armed || call.op !== op) return none;
    armed = false;
    return fault;
  };
}

function started(rig: SessionRig, id: string): number {
  return rig.rig.world.journal.since(0).filter((entry) => entry.type === "jobAccepted" && entry.jobId === id).length;
}

async function read(reply: Awaited<ReturnType<SessionRig["commands"]["jobOutput"]>>): Promise<[number, string]> {
  if (!reply.ok) throw new Error(reply.problem.detail);
  return [reply.value.from, await new Response(reply.value.body).text()];
}

/** Of a session's rows, which tables each act writes. */
function writesOf(rig: SessionRig): string[] {
  const written: string[] = [];
  const run = rig.sql.run.bind(rig.sql);
  rig.sql.run = (statement, ...bindings) => {
    const [, table] = /^\s*(?:INSERT INTO|UPDATE) (\w+)/.exec(statement) ?? [];
    if (table !== undefined) written.push(table);
    return run(statement, ...bindings);
  };
  return written;
}

describe("what a job stores of the session's activity", () => {
  it("stands in the job's own row, and a new incarnation knows it [CLK-8]", async () => {
    const rig = new SessionRig();
    await rig.running({ idle_timeout_seconds: 900 });
    const activity = () => rig.commands.state.session?.activity;
    await rig.pass(5_000);
    const written = writesOf(rig);
    const at = rig.rig.clock.now();
    await rig.commands.createJob(caller, { id: "long", command: "sleep 20" });
    await rig.pass(1_000);
    expect(new Set(written)).toEqual(new Set(["job"]));
    const running = activity();
    expect(running).toMatchObject({ activeJobs: 1 });
    rig.reincarnate();
    expect(activity()).toEqual(running);
    // The next renewal brings its end.
    await rig.pass(90_000);
    const ended = activity();
    expect(ended).toMatchObject({ activeJobs: 0 });
    expect(ended?.lastAt).toBeGreaterThanOrEqual(at + 20_000);
    expect(ended?.lastAt).toBeLessThan(at + 25_000);
    rig.reincarnate();
    expect(activity()).toEqual(ended);
  });

  it("is older than a later write of the session's own row", async () => {
    const rig = new SessionRig();
    await rig.running({ idle_timeout_seconds: 900 });
    await rig.commands.createJob(caller, { id: "short", command: "true" });
    await rig.pass(20_000);
    await rig.commands.keepalive(caller);
    const kept = rig.commands.state.session?.activity;
    expect(kept?.lastAt).toBe(rig.rig.clock.now());
    rig.reincarnate();
    expect(rig.commands.state.session?.activity).toEqual(kept);
  });
});

describe("a job", () => {
  it("sent twice under one id runs once; another body under that id is refused [FEN-7]", async () => {
    const rig = new SessionRig();
    await rig.running();
    const body = { id: "once", command: "echo hi; sleep 1", env: { A: "1", B: "2" } };
    const replies = await rig.during(
      5_000,
      Promise.all([
        rig.commands.createJob(caller, body),
        rig.commands.createJob(caller, { ...body, env: { B: "2", A: "1" } }),
      ]),
    );
    expect(replies.map((reply) => reply.ok && reply.value.replayed)).toEqual([false, true]);
    expect(problem(await rig.commands.createJob(caller, { ...body, command: "echo other" }))).toBe(
      "idempotency_mismatch",
    );
    rig.reincarnate();
    expect(await rig.commands.createJob(caller, body)).toMatchObject({ ok: true, value: { replayed: true } });
    await rig.pass(60_000);
    expect(await rig.job("once")).toMatchObject({ state: "succeeded", exit_code: 0, output_tail: "hi\n" });
    expect(started(rig, "once")).toBe(1);
  });

  it("held back by a launch is kept and learns retry_at, and goes on by itself [FEN-1]", async () => {
    const rig = new SessionRig();
    rig.fault = ({ op }) => (op === "launch" ? { type: "fail_before", effect: "none" } : none);
    await rig.during(3_000, rig.commands.create(rig.id, caller, {}, null, 0));
    await rig.pass(20_000);
    const held = await rig.commands.createJob(caller, { id: "waits", command: "echo at last" });
    if (!held.ok) throw new Error(held.problem.detail);
    expect(held.value.job.state).toBe("queued");
    const retryAt = Date.parse(held.value.job.held_back?.retry_at ?? "");
    expect(retryAt).toBeGreaterThan(rig.rig.clock.now());
    rig.fault = null;
    await rig.pass(retryAt - rig.rig.clock.now() + 5_000);
    expect(await rig.job("waits")).toMatchObject({ state: "succeeded", held_back: null, output_tail: "at last\n" });
  });

  it("whose delivery was accepted but not heard of is healed by the next renewal, and runs once [LEA-14]", async () => {
    const rig = new SessionRig();
    await rig.running();
    // The answer to every hand-over is lost; only renewals get through.
    rig.fault = ({ op }) => (op === "startJob" || op === "job" ? { type: "lost_reply" } : none);
    await rig.commands.createJob(caller, { id: "lost-reply", command: "sleep 3600", timeout_seconds: 7_200 });
    await rig.pass(1_000);
    expect(await rig.job("lost-reply")).toMatchObject({ state: "sent", generation: expect.any(Number) as number });
    await rig.pass(rig.policy.renewMs + 2_000);
    expect((await rig.job("lost-reply")).state).toBe("running");
    expect(started(rig, "lost-reply")).toBe(1);
  });

  it("whose record of being accepted could not be written goes on running, and the renewal heals it [LEA-14]", async () => {
    const rig = new SessionRig();
    await rig.running();
    rig.fault = ({ op }) => {
      // The disk breaks after the wrapper has the job and before its answer is written down.
      if (op === "startJob") rig.storageFails = true;
      return none;
    };
    await rig.commands.createJob(caller, { id: "unwritten", command: "sleep 3600", timeout_seconds: 7_200 });
    await rig.pass(500);
    expect(rig.calls("startJob")).toBeGreaterThan(0);
    rig.storageFails = false;
    rig.fault = null;
    expect((await rig.commands.jobs(caller, null, 10)).ok).toBe(true);
    await rig.pass(rig.policy.renewMs + 2_000);
    expect((await rig.job("unwritten")).state).toBe("running");
    expect(started(rig, "unwritten")).toBe(1);
    expect((await rig.view()).status).toBe("running");
  });

  it("that cannot be delivered leaves a healthy wrapper and its other jobs alone [FEN-5]", async () => {
    const rig = new SessionRig();
    await rig.running();
    await rig.commands.createJob(caller, { id: "first", command: "sleep 200", timeout_seconds: 600 });
    await rig.pass(1_000);
    const { generation } = await rig.view();
    rig.fault = ({ op }) => (op === "startJob" ? { type: "fail_before", effect: "unknown" } : none);
    await rig.commands.createJob(caller, { id: "second", command: "echo hi" });
    await rig.pass(100_000);
    expect(await rig.view()).toMatchObject({ status: "running", generation });
    expect([rig.calls("stop"), rig.calls("retire")]).toEqual([0, 0]);
    expect((await rig.job("first")).state).toBe("running");
    rig.fault = null;
    await rig.pass(10_000);
    expect((await rig.job("second")).state).toBe("succeeded");
    await rig.pass(100_000);
    expect((await rig.job("first")).state).toBe("succeeded");
  });

  it("never handed over survives a replacement; one that was accepted becomes lost and is not run again [FEN-6]", async () => {
    const rig = new SessionRig({ maxActiveJobs: 1 });
    const { generation } = await rig.running({ on_loss: "relaunch" });
    await rig.commands.createJob(caller, { id: "accepted", command: "sleep 3000", timeout_seconds: 6_000 });
    await rig.pass(1_000);
    await rig.commands.createJob(caller, { id: "queued", command: "echo later" });
    await rig.pass(1_000);
    expect([(await rig.job("accepted")).state, (await rig.job("queued")).state]).toEqual(["running", "queued"]);
    rig.fault = once("renew", { type: "disappear" });
    await rig.pass(4 * 60_000);
    const view = await rig.view();
    expect(view.status).toBe("running");
    expect(view.generation).toBeGreaterThan(generation ?? 0);
    expect(await rig.job("accepted")).toMatchObject({ state: "lost", exit_code: null });
    expect(await rig.job("queued")).toMatchObject({ state: "succeeded", generation: view.generation });
    expect(started(rig, "accepted")).toBe(1);
  });

  it("cut off between the hand-over and its answer is not sent to a successor [FEN-6] [FEN-2]", async () => {
    const rig = new SessionRig();
    await rig.running({ on_loss: "relaunch" });
    rig.fault = once("startJob", { type: "hang", deaf: false });
    await rig.commands.createJob(caller, { id: "unsure", command: "echo hi" });
    await rig.pass(100);
    rig.reincarnate();
    rig.fault = once("renew", { type: "disappear" });
    // The successor of the object has the job as sent, to a sandbox that is gone by now.
    await rig.pass(10 * 60_000);
    expect((await rig.view()).status).toBe("running");
    expect((await rig.job("unsure")).state).toMatch(/^(lost|succeeded)$/);
    expect(started(rig, "unsure")).toBeLessThanOrEqual(1);
  });

  it("that ended keeps its exit code and last 64 kB after its sandbox is gone [API-11]", async () => {
    const rig = new SessionRig();
    await rig.running();
    await rig.commands.createJob(caller, { id: "big", command: "spew 100000; echo the end; exit 3" });
    await rig.pass(2_000);
    await rig.commands.delete(caller, "requested");
    await rig.pass(30_000);
    rig.reincarnate();
    expect((await rig.view()).status).toBe("terminated");
    const job = await rig.job("big");
    expect(job).toMatchObject({ state: "failed", exit_code: 3, output_bytes: 100_008 });
    expect(job.output_tail).toHaveLength(65_536);
    expect(job.output_tail?.endsWith("the end\n")).toBe(true);
  });

  it("whose end was heard but not its output is asked again, and keeps its tail [API-11]", async () => {
    const rig = new SessionRig();
    await rig.running();
    await rig.commands.createJob(caller, { id: "brief", command: "sleep 5; echo the end" });
    await rig.pass(1_000);
    rig.fault = once("job", { type: "fail_before", effect: "none" });
    await rig.pass(3 * rig.policy.renewMs);
    expect(await rig.job("brief")).toMatchObject({ state: "succeeded", exit_code: 0, output_tail: "the end\n" });
  });

  it("past its timeout is timed_out, and the session lives [API-11]", async () => {
    const rig = new SessionRig();
    await rig.running();
    await rig.commands.createJob(caller, { id: "slow", command: "sleep 100", timeout_seconds: 10 });
    await rig.pass(70_000);
    expect((await rig.job("slow")).state).toBe("timed_out");
    expect((await rig.view()).status).toBe("running");
  });
});

describe("output after the end", () => {
  it("comes from the stored tail, and says from which byte [FEN-8] [API-11]", async () => {
    const rig = new SessionRig();
    await rig.running();
    await rig.commands.createJob(caller, { id: "big", command: "spew 70000; echo done" });
    await rig.commands.createJob(caller, { id: "small", command: "echo 0123456789" });
    await rig.pass(2_000);
    await rig.commands.delete(caller, "requested");
    await rig.pass(30_000);
    const total = 70_005;
    const [from, text] = await read(await rig.commands.jobOutput(caller, "big", 0));
    expect([from, text.length, text.slice(-5)]).toEqual([total - 65_536, 65_536, "done\n"]);
    // A reader that was cut off in the middle of the tail gets exactly the rest.
    const [middle, rest] = await read(await rig.commands.jobOutput(caller, "big", total - 5));
    expect([middle, rest]).toEqual([total - 5, "done\n"]);
    expect(await read(await rig.commands.jobOutput(caller, "small", 4))).toEqual([4, "456789\n"]);
    expect(await read(await rig.commands.jobOutput(caller, "small", 11))).toEqual([11, ""]);
  });

  it("of a job that wrote more than its sandbox keeps still says where the tail lies [FEN-8]", async () => {
    const rig = new SessionRig();
    await rig.running();
    const kept = 2 ** 20;
    await rig.commands.createJob(caller, { id: "flood", command: `spew ${kept + 500_000}` });
    await rig.pass(2_000);
    const job = await rig.job("flood");
    expect(job).toMatchObject({ state: "succeeded", output_bytes: kept + 500_000, output_truncated: true });
    const end = kept + 500_000;
    const live = await rig.during(0, rig.commands.jobOutput(caller, "flood", end - 1_000));
    const [liveFrom, liveText] = await read(live);
    await rig.commands.delete(caller, "requested");
    await rig.pass(30_000);
    const [from, text] = await read(await rig.commands.jobOutput(caller, "flood", end - 1_000));
    expect([from, text.length]).toEqual([liveFrom, liveText.length]);
    expect([from, text.length]).toEqual([end - 1_000, 1_000]);
  });
});

describe("an open output stream", () => {
  it("ends when the lease ends, and the job's state says why [API-13]", async () => {
    const rig = new SessionRig();
    await rig.running();
    await rig.commands.createJob(caller, { id: "long", command: "echo begun; sleep 3000", timeout_seconds: 6_000 });
    const opened = await rig.during(1_000, rig.commands.jobOutput(caller, "long", 0));
    if (!opened.ok) throw new Error(opened.problem.detail);
    const text = new Response(opened.value.body).text();
    await rig.pass(1_000);
    await rig.commands.delete(caller, "requested");
    expect(await rig.during(20_000, text)).toBe("begun\n");
    expect((await rig.job("long")).state).toBe("interrupted");
  });

  it("of a sandbox that is replaced ends, and never serves the retired generation [API-13] [FEN-11]", async () => {
    const rig = new SessionRig();
    await rig.running({ on_loss: "relaunch" });
    await rig.commands.createJob(caller, { id: "long", command: "echo begun; sleep 3000", timeout_seconds: 6_000 });
    const opened = await rig.during(1_000, rig.commands.jobOutput(caller, "long", 0));
    if (!opened.ok) throw new Error(opened.problem.detail);
    const text = new Response(opened.value.body).text();
    rig.fault = once("renew", { type: "foreign_instance" });
    expect(await rig.during(5 * 60_000, text)).toBe("begun\n");
    expect((await rig.job("long")).state).toBe("lost");
    expect((await rig.view()).status).toBe("running");
  });
});

describe("interrupt", () => {
  it("is stored before the first signal: a reset in between ends the jobs all the same [FEN-4]", async () => {
    const rig = new SessionRig({ maxActiveJobs: 1 });
    await rig.running();
    await rig.commands.createJob(caller, { id: "running", command: "sleep 3000", timeout_seconds: 6_000 });
    await rig.commands.createJob(caller, { id: "waiting", command: "echo next" });
    await rig.pass(1_000);
    const intents: unknown[] = [];
    rig.fault = ({ op }) => {
      if (op !== "endJob") return none;
      intents.push(rig.sql.run("SELECT id, ending FROM job WHERE ending IS NOT NULL"));
      return { type: "hang", deaf: true };
    };
    void rig.commands.interrupt(caller);
    await rig.pass(100);
    expect(intents).toEqual([[{ id: "running", ending: "interrupted" }]]);
    expect((await rig.commands.jobs(caller, null, 10)).ok).toBe(true);
    rig.fault = null;
    rig.reincarnate();
    await rig.pass(70_000);
    expect((await rig.job("running")).state).toBe("interrupted");
    // The queue is kept.
    expect((await rig.job("waiting")).state).toBe("succeeded");
  });

  it("a second time is the same interrupt [FEN-4]", async () => {
    const rig = new SessionRig();
    await rig.running();
    await rig.commands.createJob(caller, { id: "long", command: "ignore-term; sleep 3000", timeout_seconds: 6_000 });
    await rig.pass(1_000);
    const both = Promise.all([rig.commands.interrupt(caller), rig.commands.interrupt(caller)]);
    const replies = await rig.during(30_000, both);
    expect(replies.map((reply) => reply.ok && reply.value.interrupted)).toEqual([["long"], ["long"]]);
    const first = await rig.job("long");
    expect(first.state).toBe("interrupted");
    expect(await rig.commands.interrupt(caller)).toMatchObject({ ok: true, value: { interrupted: [] } });
    expect(await rig.job("long")).toEqual(first);
    expect((await rig.view()).status).toBe("running");
  });

  it("that could not be stored signals nobody [FEN-4] [I1]", async () => {
    const rig = new SessionRig();
    await rig.running();
    await rig.commands.createJob(caller, { id: "long", command: "sleep 3000", timeout_seconds: 6_000 });
    await rig.pass(1_000);
    rig.storageFails = true;
    const asked = await rig.during(
      1_000,
      rig.commands.interrupt(caller).catch((error: unknown) => error),
    );
    expect(asked).toMatchObject({ ok: false, problem: { code: "storage_failed" } });
    rig.storageFails = false;
    expect(rig.calls("endJob")).toBe(0);
    expect((await rig.job("long")).state).toBe("running");
  });
});
