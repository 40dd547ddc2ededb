/**
 * Jobs that a review found lost, doubled, started after their cancel, or standing in the way of others. Each of these failed
 * before its defect was mended.
 */
import { describe, expect, it } from "vitest";
import type { Fault } from "../../../memory/fault-plan.ts";
import { caller, SessionRig } from "../../../support/session-rig.ts";

const second = 1_000;
const minute = 60 * second;

/** Its own clocks stay out of the way. */
const lasting = { idle_timeout_seconds: null, timeout_seconds: 86_400 } as const;

const accepted = (rig: SessionRig, id?: string) =>
  rig.rig.world.journal
    .since(0)
    .filter((entry) => entry.type === "jobAccepted" && (id === undefined || entry.jobId === id)).length;

function inState(rig: SessionRig, state: string): number {
  return Number(rig.sql.run("SELECT count(*) AS count FROM job WHERE state = ?", state)[0]?.["count"]);
}

describe("a cancelled job", () => {
  it("whose hand-over never arrived ends as cancelled, and those behind it run [FEN-1] [FEN-4]", async () => {
    const rig = new SessionRig();
    await rig.running(lasting);
    let lost = 0;
    rig.fault = ({ op }): Fault =>
      op === "startJob" && lost++ === 0 ? { type: "hang", deaf: false } : { type: "none" };
    await rig.commands.createJob(caller, { id: "lost", command: "echo never" });
    await rig.pass(second);
    await rig.during(20 * second, rig.commands.cancelJob(caller, "lost"));
    await rig.commands.createJob(caller, { id: "behind", command: "echo hi" });
    await rig.pass(minute);
    expect(await rig.job("lost")).toMatchObject({ state: "cancelled", exit_code: null });
    expect(await rig.job("behind")).toMatchObject({ state: "succeeded", output_tail: "hi\n" });
    expect(accepted(rig, "lost")).toBe(0);
  });

  it("is not started after the cancel was answered, though its hand-over had failed meanwhile [FEN-4]", async () => {
    const rig = new SessionRig();
    await rig.running(lasting);
    let sends = 0;
    rig.fault = ({ op }): Fault =>
      op === "startJob" && sends++ < 3 ? { type: "fail_before", effect: "none" } : { type: "none" };
    await rig.commands.createJob(caller, { id: "late", command: "echo hi; sleep 100" });
    const cancel = rig.commands.cancelJob(caller, "late");
    await rig.pass(20);
    expect(await rig.during(20 * second, cancel)).toMatchObject({ ok: true, value: { state: "cancelled" } });
    await rig.pass(2 * minute);
    expect((await rig.job("late")).state).toBe("cancelled");
    expect(accepted(rig)).toBe(0);
  });
});

describe("a queue", () => {
  it("of short jobs goes on as places become free, and does not wait for renewals", async () => {
    const rig = new SessionRig();
    await rig.running(lasting);
    await rig.pass(second);
    const places = rig.policy.maxActiveJobs;
    for (let index = 0; index < 2 * places + 8; index += 1)
      await rig.commands.createJob(caller, { command: "sleep 0.5" });
    // Each round of places takes a look; three rounds fit well before the second renewal.
    const rounds = 3;
    expect(rounds * rig.policy.queuePollMs).toBeLessThan(rig.policy.renewMs);
    await rig.pass(rounds * rig.policy.queuePollMs);
    expect(inState(rig, "queued")).toBe(0);
    expect(accepted(rig)).toBe(2 * places + 8);
  });

  it("is not read whole at each turn: a body is read when its job is handed over, and not before", async () => {
    const rig = new SessionRig();
    await rig.running(lasting);
    await rig.pass(second);
    for (let index = 0; index < rig.policy.maxActiveJobs; index += 1)
      await rig.commands.createJob(caller, { id: `long${index}`, command: "sleep 3000", timeout_seconds: 4_000 });
    await rig.pass(second);
    expect(inState(rig, "running")).toBe(rig.policy.maxActiveJobs);
    const env = { LARGE: "x".repeat(8_000) };
    for (let index = 0; index < 50; index += 1) await rig.commands.createJob(caller, { command: "true", env });

    const read: unknown[] = [];
    const run = rig.sql.run.bind(rig.sql);
    rig.sql.run = (statement, ...bindings) => {
      const rows = run(statement, ...bindings);
      read.push(...rows.filter((row) => row["state"] === "queued" && "body" in row).map((row) => row["id"]));
      return rows;
    };
    await rig.pass(2 * minute);
    expect(inState(rig, "queued")).toBe(50);
    expect(read).toEqual([]);
    await rig.during(10 * second, rig.commands.cancelJob(caller, "long0"));
    await rig.pass(minute);
    expect(inState(rig, "queued")).toBe(0);
    // Each once, in the order in which they came.
    expect(read).toHaveLength(50);
    expect(new Set(read).size).toBe(50);
  });
});

describe("a job", () => {
  it("that was said not to be stored was not: the client's repeat is the only one that runs [I9] [FEN-7]", async () => {
    const rig = new SessionRig();
    await rig.running(lasting);
    await rig.pass(second);
    // Single writes go through, transactions do not.
    const transaction = rig.sql.transaction.bind(rig.sql);
    rig.sql.transaction = () => {
      throw new Error("disk I/O error");
    };
    const refused = await rig.commands.createJob(caller, { command: "echo hi" });
    expect(refused).toMatchObject({ ok: false, problem: { code: "storage_failed" } });
    rig.sql.transaction = transaction;
    await rig.pass(20 * second);
    expect(accepted(rig)).toBe(0);
    expect(await rig.commands.createJob(caller, { command: "echo hi" })).toMatchObject({ ok: true });
    await rig.pass(20 * second);
    expect(accepted(rig)).toBe(1);
  });

  it("of a session that was abandoned has ended, as lost: nobody waits for it any more [LEA-20]", async () => {
    const rig = new SessionRig();
    await rig.running(lasting);
    await rig.commands.createJob(caller, { id: "job", command: "sleep 9999", timeout_seconds: 20_000 });
    await rig.pass(5 * second);
    rig.fault = () => ({ type: "hang", deaf: false });
    await rig.commands.delete(caller, "requested");
    await rig.pass(30 * minute);
    const abandoned = { action: "abandon", reason: "its host burnt down" } as const;
    const operator = { by: "operator", requestId: "test" };
    expect(await rig.commands.resolve(operator, abandoned, "*")).toMatchObject({ ok: true });
    expect((await rig.view()).status).toBe("terminated");
    const job = await rig.job("job");
    expect(job.state).toBe("lost");
    expect(job.ended_at).not.toBeNull();
  });

  it("that was being read while its session was erased is 404, not an exception [DEL-5]", async () => {
    const rig = new SessionRig({ retentionMs: second, observeMs: minute });
    await rig.running(lasting);
    await rig.commands.createJob(caller, { id: "job", command: "sleep 9999", timeout_seconds: 20_000 });
    await rig.pass(5 * second);
    rig.fault = ({ op }): Fault => (op === "job" ? { type: "hang", deaf: false } : { type: "none" });
    // Its wrapper is still being asked when the rows go.
    let answer: unknown;
    const reading = rig.commands.job(caller, "job", 0).then(
      (reply) => (answer = reply),
      (error: unknown) => (answer = error),
    );
    await rig.commands.delete(caller, "requested");
    await rig.pass(rig.policy.observeMs - 5 * second);
    expect([rig.commands.state.mode.type, answer]).toEqual(["absent", undefined]);
    await rig.during(10 * second, reading);
    expect(answer).toMatchObject({ ok: false, problem: { code: "not_found" } });
  });
});
