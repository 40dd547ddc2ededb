/** What a session counts of its launches, jobs and provider calls, and the line that it logs for each move. */
import { describe, expect, it } from "vitest";
import { caller, SessionRig } from "../../../support/session-rig.ts";

const minute = 60_000;

describe("the outcomes in a session's reports", () => {
  it("count launches, and jobs that ended or ran into their limit, but no end of the session's own clocks [FLT-13]", async () => {
    const rig = new SessionRig();
    await rig.running({ timeout_seconds: 300 });
    await rig.commands.createJob(caller, { id: "quick", command: "echo hi" });
    await rig.commands.createJob(caller, { id: "slow", command: "sleep 600", timeout_seconds: 5 });
    await rig.commands.createJob(caller, { id: "killed", command: "sleep 600", timeout_seconds: 3_600 });
    await rig.pass(2 * minute);
    expect(rig.indexed.at(-1)?.outcomes).toMatchObject({ launches: 1, launched: 1, jobsEnded: 2, jobsTimedOut: 1 });
    // end_at passes: a planned end, whose job is ended and never timed out.
    await rig.pass(10 * minute);
    expect((await rig.view()).terminate_reason).toBe("timeout");
    expect(rig.indexed.at(-1)?.outcomes).toMatchObject({
      jobsEnded: 3,
      jobsTimedOut: 1,
      provisionTimeouts: 0,
      callsTimedOut: 0,
    });
  });

  it("count calls without an answer, tries that failed, and the provision that ran out of time [FLT-13]", async () => {
    const rig = new SessionRig();
    rig.fault = (call) => (call.op === "launch" ? { type: "hang", deaf: false } : { type: "none" });
    await rig.during(3_000, rig.commands.create(rig.id, caller, {}, null, 0));
    await rig.pass(20 * minute);
    const outcomes = rig.indexed.at(-1)?.outcomes;
    expect((await rig.view()).terminate_reason).toBe("provision_timeout");
    expect(outcomes).toMatchObject({ launched: 0, provisionTimeouts: 1, jobsEnded: 0 });
    expect(outcomes?.callsTimedOut).toBeGreaterThan(0);
    expect(outcomes?.provisionFailures).toBeGreaterThan(0);
  });

  it("begin anew with each incarnation, and say so", async () => {
    const rig = new SessionRig();
    await rig.running({});
    const before = rig.indexed.at(-1)?.outcomes;
    await rig.pass(minute);
    rig.reincarnate();
    await rig.commands.createJob(caller, { id: "job", command: "echo hi" });
    await rig.pass(3 * minute);
    const after = rig.indexed.at(-1)?.outcomes;
    expect(after).toMatchObject({ launches: 0, jobsEnded: 1 });
    expect(after?.since).toBeGreaterThan(before?.since ?? Infinity);
  });
});

describe("the log of a session", () => {
  it("has one line for each move, with what moved it, and none for renewals [FLT-14]", async () => {
    const rig = new SessionRig();
    await rig.running({});
    await rig.pass(10 * minute);
    await rig.commands.delete(caller, "requested");
    await rig.pass(minute);
    const lines = rig.logged.filter((line) => line.startsWith("session moved "));
    const moves = lines.map((line) => JSON.parse(line.slice("session moved ".length)) as Record<string, unknown>);
    expect(moves.map(({ from, to, to_phase: phase }) => [from, to, phase])).toEqual([
      [null, "provisioning", "none"],
      ["provisioning", "provisioning", "launching"],
      ["provisioning", "running", "held"],
      ["running", "terminating", "stopping"],
      ["terminating", "terminated", "closed"],
    ]);
    expect(moves.at(-1)).toMatchObject({ session: rig.id, tenant: "acme", terminate_reason: "requested" });
  });
});
