/** Preparing a workspace, as the machine sees it: what opens the gate, what a failure means, and which deadlines hold. */
import { describe, expect, it } from "vitest";
import { expiresAt } from "../../../../src/domain/rules/clocks.ts";
import type { SessionEvent } from "../../../../src/domain/machine/events.ts";
import { nextDeadline, reconcile } from "../../../../src/domain/rules/reconcile.ts";
import type { Session } from "../../../../src/domain/state/session.ts";
import { statusOf } from "../../../../src/domain/rules/status.ts";
import type { StepReport } from "../../../../src/domain/state/workspace.ts";
import { wrapperProtocol } from "../../../../src/domain/state/wrapper-protocol.ts";
import { failure, step } from "../../../support/every-event.ts";
import {
  attempt,
  apply,
  at,
  held,
  launching,
  minute,
  move,
  moveWith,
  newest,
  noted,
  planned,
  policy,
  preparing,
  provisioning,
  second,
  session,
  snapshot,
} from "../../../support/sessions.ts";

const asked = launching({ renewals: { sequence: 1, lastSentAt: at, sendsUntil: null } });
const accepted = (protocol = wrapperProtocol): SessionEvent => ({
  type: "renewalAccepted",
  generation: newest,
  sequence: 1,
  sentAt: at,
  protocol,
  activeJobs: 0,
  idleMs: 0,
  jitter: 0,
});
const reported = (...steps: StepReport[]): SessionEvent => ({
  type: "preparationReported",
  generation: newest,
  attemptId: attempt("prepare-1"),
  steps,
});
const gateOf = ({ newest: lease }: Session) => (lease?.phase === "held" ? lease.gate : null);

describe("a sandbox that is there", () => {
  it("is prepared before it runs: the gate is closed, and the client still reads provisioning [API-9]", () => {
    const moved = moveWith(provisioning({}, { newest: asked, workspace: planned }), accepted());
    expect(gateOf(moved.session)).toEqual({
      type: "preparing",
      attemptId: null,
      purpose: "create",
      nextAt: at,
      deadline: at + policy.prepareMs,
    });
    expect([statusOf(moved.session), noted(moved)]).toEqual(["provisioning", ["preparing"]]);
    expect(reconcile(moved.session, at, policy)).toContainEqual({ type: "prepare", generation: newest });
  });

  it("skips every step when its files were restored, and says so [API-9]", () => {
    const resumed = provisioning({ purpose: "resume" }, { newest: asked, workspace: planned, snapshot });
    const moved = moveWith(resumed, accepted());
    expect([gateOf(moved.session), moved.session.workspace]).toMatchObject([
      { type: "open" },
      { state: "restored", steps: [] },
    ]);
    expect(moved.effects).toContainEqual({
      type: "note",
      note: {
        type: "workspace_restored",
        cause: "its files were restored",
        generation: newest,
        facts: { snapshot: snapshot.id, steps_skipped: 1 },
      },
    });
  });

  it("is prepared again after a loss without a snapshot [API-9]", () => {
    const again = provisioning(
      { purpose: "relaunch" },
      { newest: asked, workspace: { ...planned, state: "prepared" } },
    );
    const moved = moveWith(again, accepted());
    expect(gateOf(moved.session)).toMatchObject({ type: "preparing", purpose: "relaunch" });
    expect(noted(moved)).toEqual(["preparing", "sandbox_replaced"]);
  });

  it("whose wrapper cannot prepare a workspace is not used without one [LEA-17]", () => {
    const moved = moveWith(provisioning({}, { newest: asked, workspace: planned }), accepted(1));
    expect(moved.session.newest).toMatchObject({ phase: "stopping", reason: "protocol" });
    expect(moved.session.desired).toMatchObject({ provision: { lastError: { code: "protocol_unsupported" } } });
  });
});

describe("while it is prepared", () => {
  it("each step that began and each that ended is told once, with what came of it [API-9]", () => {
    const first = moveWith(preparing(), reported(step("running")));
    expect(noted(first)).toEqual(["workspace_step_started"]);
    const again = moveWith(first.session, reported({ ...step("running"), startedAt: at + second }));
    expect([noted(again), again.session.workspace?.steps[0]?.startedAt]).toEqual([[], at - second]);
    const done = moveWith(again.session, reported(step("succeeded")));
    expect(noted(done)).toEqual(["workspace_step_ended", "running"]);
    expect(done.effects[0]).toMatchObject({
      note: { facts: { step: "setup 1", index: 1, of: 1, state: "succeeded", exit_code: 0, duration_ms: second } },
    });
    expect([gateOf(done.session), statusOf(done.session)]).toEqual([{ type: "open" }, "running"]);
  });

  it("a report of fewer steps than are planned opens nothing", () => {
    const two = preparing("create", { workspace: { ...planned, planned: ["clone", "setup 1"], state: "preparing" } });
    expect(gateOf(move(two, reported({ ...step("succeeded"), name: "clone" })))).toMatchObject({ type: "preparing" });
  });

  it("a step that fails ends a new session as failed, with the step, the exit code and the last output", () => {
    const { session: after, effects } = moveWith(preparing(), reported(step("failed")));
    expect(after.desired).toMatchObject({
      type: "terminated",
      reason: "failed",
      failure:
        'The workspace could not be prepared: step "setup 1" (1 of 1) ended with exit code 7. Its last output: it said something',
    });
    expect([after.newest?.phase, after.workspace?.state]).toEqual(["stopping", "failed"]);
    expect(effects).toContainEqual({ type: "dropQueue" });
  });

  it("a step that ran into its limit, or into a full disk, is told apart", () => {
    const failureOf = (report: StepReport) => {
      const { desired } = move(preparing(), reported(report));
      return desired.type === "terminated" ? desired.failure : null;
    };
    expect(failureOf(step("timed_out"))).toContain("ran into its time limit and was ended.");
    expect(failureOf({ ...step("failed"), diskFull: true })).toContain("The sandbox's disk is full.");
    expect(failureOf({ ...step("failed"), exitCode: null, lastOutput: "" })).toContain(
      "was ended by a signal. It wrote nothing.",
    );
  });

  it("a step that fails in a replacement leaves the session lost, to be rebuilt [REB-4]", () => {
    const after = move(preparing("relaunch"), reported(step("failed")));
    expect([after.desired, after.newest]).toMatchObject([
      { type: "suspended", cause: "loss" },
      { phase: "stopping", reason: "unprepared" },
    ]);
  });

  it("no answer is asked again, and an answer that makes asking useless is a failure", () => {
    const unanswered = (code: Parameters<typeof failure>[0]): SessionEvent => ({
      type: "preparationUnanswered",
      generation: newest,
      attemptId: attempt("prepare-1"),
      failure: failure(code, "unknown"),
    });
    expect(gateOf(move(preparing(), unanswered("timed_out")))).toMatchObject({ nextAt: at + policy.renewRetryMs });
    expect(move(preparing(), unanswered("invalid")).desired).toMatchObject({ type: "terminated", reason: "failed" });
    expect(move(preparing(), unanswered("foreign_instance")).newest).toMatchObject({
      phase: "stopping",
      reason: "foreign",
    });
  });

  it("the whole of it has a deadline, whatever the steps say", () => {
    const late = preparing("create", {
      newest: held({
        gate: {
          type: "preparing",
          purpose: "create",
          nextAt: at + minute,
          deadline: at,
          attemptId: attempt("prepare-1"),
        },
      }),
    });
    const after = move(late, { type: "timePassed", jitter: 0.5 });
    expect(after.desired).toMatchObject({ type: "terminated", reason: "failed" });
    expect(nextDeadline(preparing(), policy)).toBe(at);
  });

  it("the idle clock stands: nobody has anything to use yet [CLK-7]", () => {
    const idle = preparing("create", { activity: { lastAt: at - 60 * minute, activeJobs: 0, reportedAt: at } });
    expect(expiresAt(idle, policy)).toBe(idle.endAt);
  });

  it("it is neither paused nor rebuilt", () => {
    for (const type of ["pauseRequested", "rebuildRequested"] as const) {
      expect(apply(preparing(), { type })).toMatchObject({ rejection: { code: "session_not_running" } });
    }
  });

  it("a question is stored before it is asked, and asked again should no answer come", () => {
    const after = move(preparing(), { type: "preparationAsked", generation: newest, attemptId: attempt("prepare-1") });
    expect(gateOf(after)).toMatchObject({ nextAt: at + policy.observeMs + policy.renewRetryMs });
    expect(reconcile(after, at, policy)).not.toContainEqual({ type: "prepare", generation: newest });
  });

  it("a clock that went back does not put the next question out of reach [CLK-13]", () => {
    const early = preparing("create", {
      newest: held({
        gate: {
          type: "preparing",
          purpose: "create",
          nextAt: at + 60 * minute,
          deadline: at + 90 * minute,
          attemptId: attempt("prepare-1"),
        },
      }),
    });
    expect(gateOf(move(early, { type: "timePassed", jitter: 0.5 }))).toMatchObject({
      nextAt: at,
      deadline: at + policy.prepareMs,
    });
  });
});

it("a session that asked for no workspace is never prepared", () => {
  expect(gateOf(move(provisioning({}, { newest: asked }), accepted()))).toEqual({ type: "open" });
  expect(session().workspace).toBeNull();
});
