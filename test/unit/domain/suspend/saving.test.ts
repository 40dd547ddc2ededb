import { describe, expect, it } from "vitest";
import { nextDeadline, reconcile } from "../../../../src/domain/rules/reconcile.ts";
import type { Gate } from "../../../../src/domain/state/lease.ts";
import type { Session } from "../../../../src/domain/state/session.ts";
import { statusOf } from "../../../../src/domain/rules/status.ts";
import { wrapperProtocol } from "../../../../src/domain/state/wrapper-protocol.ts";
import { failure } from "../../../support/every-event.ts";
import {
  acting,
  apply,
  at,
  attempt,
  closed,
  discarded,
  goneEvidence,
  held,
  hour,
  launching,
  lost,
  minute,
  move,
  moveWith,
  newest,
  noted,
  paused,
  policy,
  provisioning,
  second,
  session,
  snapshot,
  stopping,
  terminated,
  when,
} from "../../../support/sessions.ts";

const save1 = attempt("save-1");
const draining = (of: "pause" | "rebuild"): Gate => ({
  type: "draining",
  for: of,
  deadline: at + 30 * second,
  attemptId: attempt("drain-1"),
});
const saving = (of: "pause" | "rebuild"): Gate => ({
  type: "saving",
  for: of,
  attemptId: save1,
  deadline: at + 5 * minute,
});
const pausing = (gate = saving("pause")) =>
  paused({ newest: held({ gate, nextRenewalAt: at + 330 * second }), snapshot: null });
const rebuilding = (gate = saving("rebuild")) => session({ newest: held({ gate, nextRenewalAt: at + 330 * second }) });
const saved = { type: "saveSucceeded", generation: newest, attemptId: save1, snapshot } as const;
const failed = {
  type: "saveFailed",
  generation: newest,
  attemptId: save1,
  failure: failure("insufficient_space"),
} as const;
const resume = { type: "resumeRequested", timeoutMs: 20 * minute } as const;
const time = { type: "timePassed", jitter: 0.5 } as const;
const finished = {
  type: "stopFinished",
  generation: newest,
  attemptId: attempt("stop-1"),
  ...goneEvidence(),
  error: null,
  jitter: 0,
} as const;

function gateOf(of: Session): Gate {
  if (of.newest?.phase !== "held") throw new Error(`it is ${of.newest?.phase}`);
  return of.newest.gate;
}

describe("a pause", () => {
  it("drains, saves, stops, and only then is paused; each step has its bound [DEL-9]", () => {
    const moved = moveWith(session(), { type: "pauseRequested" });
    expect(gateOf(moved.session)).toEqual({ ...draining("pause"), attemptId: null });
    expect(noted(moved)).toEqual(["pausing"]);
    const drainingNow = pausing(draining("pause"));
    expect(nextDeadline(drainingNow, policy)).toBe(at + 30 * second);
    expect(reconcile(drainingNow, at + 30 * second, policy)).toEqual([{ type: "drain", generation: newest }]);
    const drained = move(drainingNow, {
      type: "drained",
      generation: newest,
      attemptId: attempt("drain-1"),
      saveAttemptId: save1,
    });
    expect(gateOf(drained)).toEqual(saving("pause"));
    expect(reconcile(drained, at, policy)).toEqual([{ type: "save", generation: newest, attemptId: save1 }]);
    expect(nextDeadline(drained, policy)).toBe(at + 5 * minute);
    const stoppingNow = moveWith(drained, saved);
    expect(stoppingNow.session).toMatchObject({ snapshot, newest: { phase: "stopping", reason: "paused" } });
    expect(noted(stoppingNow)).toEqual(["saved"]);
    expect(statusOf(stoppingNow.session)).toBe("pausing");
    expect(statusOf(move({ ...stoppingNow.session, newest: stopping(acting) }, finished))).toBe("paused");
  });

  it("that fails, or takes too long, leaves the session running with its sandbox [DEL-10]", () => {
    for (const [event, context] of [
      [failed, when()],
      [time, when(5 * minute)],
    ] as const) {
      const moved = moveWith(pausing(), event, context);
      expect(moved.session).toMatchObject({
        desired: { type: "running", provision: null },
        newest: { phase: "held", gate: { type: "open" } },
      });
      expect(noted(moved)).toEqual(["pause_failed", "setback"]);
    }
    expect(apply(pausing(), time, when(5 * minute - 1)).type).toBe("ignored");
  });

  it("whose jobs do not end in time goes back to running in one step: it never passes through saving [DEL-12]", () => {
    const why = "jobs still ran";
    const moved = moveWith(pausing(draining("pause")), {
      type: "drainFailed",
      generation: newest,
      attemptId: attempt("drain-1"),
      why,
    });
    expect(moved.session).toMatchObject({
      desired: { type: "running", provision: null },
      newest: { phase: "held", gate: { type: "open" } },
      discarded: [],
    });
    expect(noted(moved)).toEqual(["pause_failed", "setback"]);
    for (const state of [pausing(), session()])
      expect(apply(state, { type: "drainFailed", generation: newest, attemptId: attempt("drain-1"), why }).type).toBe(
        "ignored",
      );
  });

  it("needs a sandbox that runs; twice is once; after the end it is refused [DEL-9]", () => {
    for (const state of [
      provisioning(),
      provisioning({}, { newest: launching() }),
      provisioning({}, { newest: stopping() }),
    ]) {
      expect(apply(state, { type: "pauseRequested" })).toMatchObject({ rejection: { code: "session_not_running" } });
    }
    for (const state of [pausing(), paused(), paused({ newest: stopping() })])
      expect(apply(state, { type: "pauseRequested" }).type).toBe("ignored");
    expect(apply(terminated({ newest: stopping() }), { type: "pauseRequested" })).toMatchObject({
      rejection: { code: "session_ended" },
    });
  });

  it("killed while it saves is killed: terminate wins, and the late snapshot moves nothing [DEL-9]", () => {
    const ended = move(pausing(), { type: "terminateRequested", reason: "requested", failure: null });
    expect(ended).toMatchObject({
      desired: { type: "terminated", reason: "requested" },
      newest: { phase: "stopping", reason: "terminated" },
    });
    expect(apply(ended, saved).type).toBe("ignored");
    expect(
      apply(ended, { type: "drained", generation: newest, attemptId: attempt("drain-1"), saveAttemptId: save1 }).type,
    ).toBe("ignored");
    for (const event of [resume, { type: "rebuildRequested" } as const]) {
      expect(apply(ended, event)).toMatchObject({ rejection: { code: "session_ended" } });
    }
  });

  it("believes only the drain and the save it asked for [LEA-8] [BUG-4]", () => {
    for (const state of [pausing(), rebuilding()]) {
      expect(apply(state, { ...saved, attemptId: attempt("save-0") })).toEqual({
        type: "ignored",
        why: "an older save",
      });
      expect(apply(state, { ...failed, attemptId: attempt("save-0") })).toEqual({
        type: "ignored",
        why: "an older save",
      });
      expect(
        apply(state, { type: "drained", generation: newest, attemptId: attempt("drain-1"), saveAttemptId: save1 }).type,
      ).toBe("ignored");
    }
    // The answer to a drain of an earlier life says nothing of the jobs that run now .
    const older = { generation: newest, attemptId: attempt("drain-0") } as const;
    for (const event of [
      { type: "drained", ...older, saveAttemptId: save1 },
      { type: "drainFailed", ...older, why: "jobs still run" },
    ] as const)
      expect(apply(pausing(draining("pause")), event)).toEqual({ type: "ignored", why: "an older drain" });
    for (const event of [saved, failed]) {
      expect(apply(pausing(draining("pause")), event).type).toBe("ignored");
      expect(apply(session(), event).type).toBe("ignored");
    }
  });
});

describe("a resume", () => {
  it("while it is being saved cancels the pause, and a late snapshot stops nothing [DEL-9]", () => {
    for (const gate of [draining("pause"), saving("pause")]) {
      const moved = moveWith(pausing(gate), resume);
      expect(moved.session).toMatchObject({
        desired: { type: "running", provision: null },
        newest: { phase: "held", gate: { type: "open" } },
        endAt: at + 20 * minute,
        refreshedAt: at,
      });
      expect(noted(moved)).toEqual(["pause_cancelled"]);
      expect(apply(moved.session, saved).type).toBe("ignored");
    }
  });

  it("during the stop is queued, once, and starts one launch when the old sandbox is gone [DEL-9] [LEA-13]", () => {
    const state = paused({
      newest: stopping({ ...acting, reason: "paused" }),
      alive: { totalMs: 0, since: at - minute },
    });
    const moved = moveWith(state, resume);
    expect(moved.session).toMatchObject({ desired: { resumeQueued: true }, endAt: at + 20 * minute, refreshedAt: at });
    expect(apply(moved.session, { ...resume, timeoutMs: hour }, when(second))).toEqual({
      type: "ignored",
      why: "a resume is queued already",
    });
    const gone = moveWith(moved.session, finished, when(minute));
    expect(gone.session).toMatchObject({
      desired: { type: "running", provision: { purpose: "resume", deadline: at + minute + policy.provisionMs } },
      endAt: at + 20 * minute,
      refreshedAt: at,
      activity: { lastAt: at + minute, activeJobs: 0 },
    });
    expect(noted(gone)).toEqual(["sandbox_gone", "resuming"]);
    expect(reconcile(gone.session, at + minute, policy)).toEqual([{ type: "openLease" }]);
    expect(move(state, finished).desired).toMatchObject({ type: "suspended", resumeQueued: false });
  });

  it("of a paused session starts one launch, however many ask [DEL-9]", () => {
    for (const newestLease of [closed(), null]) {
      const moved = moveWith(paused({ newest: newestLease }), resume);
      expect(moved.session).toMatchObject({
        desired: { type: "running", provision: { purpose: "resume", failures: 0, candidate: null } },
        endAt: at + 20 * minute,
        refreshedAt: at,
        snapshot,
      });
      expect(noted(moved)).toEqual(["resuming"]);
      expect(apply(moved.session, resume)).toEqual({ type: "ignored", why: "it runs already, or is on its way there" });
    }
    expect(apply(session(), resume).type).toBe("ignored");
  });
});

describe("a rebuild", () => {
  const rebuild = { type: "rebuildRequested" } as const;

  it("of a live session saves first, then replaces the sandbox", () => {
    const moved = moveWith(session(), rebuild);
    expect(gateOf(moved.session)).toEqual({ ...draining("rebuild"), attemptId: null });
    expect(moved.session.desired).toEqual({ type: "running", provision: null });
    expect(noted(moved)).toEqual(["rebuilding"]);
    const replaced = move(rebuilding(), saved);
    expect(replaced).toMatchObject({
      snapshot,
      desired: { type: "running", provision: { purpose: "rebuild", deadline: at + policy.provisionMs } },
      newest: { phase: "stopping", reason: "rebuilt" },
    });
    expect(apply(rebuilding(), rebuild)).toMatchObject({ rejection: { code: "conflict" } });
  });

  it("whose save fails leaves the session running [DEL-10]", () => {
    for (const [event, context] of [
      [failed, when()],
      [time, when(5 * minute)],
    ] as const) {
      const moved = moveWith(rebuilding(), event, context);
      expect(moved.session).toMatchObject({
        desired: { type: "running", provision: null },
        newest: { phase: "held", gate: { type: "open" } },
      });
      expect(noted(moved)).toEqual(["rebuild_failed", "setback"]);
    }
  });

  it("of what is not there yet, or paused, or ended, is refused; of what is being replaced is done already", () => {
    expect(apply(provisioning(), rebuild)).toMatchObject({ rejection: { code: "session_not_running" } });
    expect(apply(provisioning({}, { newest: launching() }), rebuild)).toMatchObject({
      rejection: { code: "session_not_running" },
    });
    expect(apply(provisioning({}, { newest: stopping() }), rebuild).type).toBe("ignored");
    expect(apply(paused(), rebuild)).toMatchObject({ rejection: { code: "session_paused" } });
    expect(apply(terminated(), rebuild)).toMatchObject({ rejection: { code: "session_ended" } });
    expect(move(lost({ newest: null }), rebuild).desired).toMatchObject({ provision: { purpose: "rebuild" } });
  });
});

describe("a snapshot that nobody will restore", () => {
  const later = { ...snapshot, id: "snapshot-2", takenAt: at };
  const underWay = { id: save1, provider: "memory", takenAt: at, generation: newest } as const;
  const end = { type: "terminateRequested", reason: "requested", failure: null } as const;

  it("is deleted when a newer one takes its place, and not before it has", () => {
    const before = { ...pausing(), snapshot };
    expect(before.discarded).toEqual([]);
    expect(move(before, { ...saved, snapshot: later })).toMatchObject({
      snapshot: later,
      discarded: [discarded(snapshot, at)],
    });
    expect(move(pausing(), saved)).toMatchObject({ snapshot, discarded: [] });
  });

  it("is deleted by its name when its save failed, was cancelled, or lost its sandbox: it may still land", () => {
    const lostOne = {
      type: "renewalFailed",
      generation: newest,
      sequence: 7,
      failure: failure("foreign_instance"),
      jitter: 0,
    } as const;
    for (const event of [failed, resume, lostOne, end]) {
      expect(move(pausing(), event).discarded, event.type).toEqual([discarded(underWay, at)]);
    }
    const overdue = move(pausing(), time, when(5 * minute));
    expect(overdue.discarded).toEqual([discarded({ ...underWay, takenAt: at + 5 * minute }, at + 5 * minute)]);
    for (const event of [resume, lostOne, end]) expect(move(pausing(draining("pause")), event).discarded).toEqual([]);
    expect(move({ ...pausing(), snapshot }, end).discarded).toEqual([discarded(snapshot, at), discarded(underWay, at)]);
  });

  it("is deleted once it is restored: a later loss must not bring back what is old", () => {
    const asked = provisioning(
      { purpose: "resume" },
      { newest: launching({ renewals: { sequence: 1, lastSentAt: at, sendsUntil: null } }), snapshot },
    );
    const accepted = {
      type: "renewalAccepted",
      generation: newest,
      sequence: 1,
      sentAt: at,
      protocol: wrapperProtocol,
      activeJobs: 0,
      idleMs: 0,
      jitter: 0,
    } as const;
    expect(move(asked, accepted)).toMatchObject({ snapshot: null, discarded: [snapshot] });
  });

  it("is deleted one by one, each until it is confirmed", () => {
    const state = session({ discarded: [discarded(), discarded(later)] });
    expect(reconcile(state, at, policy)).toEqual([{ type: "deleteSnapshot", snapshotId: snapshot.id }]);
    expect(move(state, { type: "snapshotDeleted", snapshotId: later.id }).discarded).toEqual([discarded()]);
  });
});

describe("an end", () => {
  const end = { type: "terminateRequested", reason: "requested", failure: null } as const;

  it("is accepted in every state, once; its reason and time stay [I10]", () => {
    for (const state of [session(), provisioning(), pausing(), paused(), lost(), lost({ newest: stopping(acting) })]) {
      const ended = move(state, end);
      expect(ended.desired).toMatchObject({ type: "terminated", reason: "requested", at });
      const again = apply(ended, { ...end, reason: "operator" }, when(hour));
      expect(again).toEqual({ type: "ignored", why: "the session has ended already" });
    }
    const failedEnd = moveWith(session(), { type: "terminateRequested", reason: "failed", failure: "it broke" });
    expect(failedEnd.session.desired).toMatchObject({ reason: "failed", failure: "it broke" });
    expect(failedEnd.effects.map((effect) => effect.type)).toEqual(["note", "dropQueue"]);
  });

  it("of a paused session is not done before its snapshot is deleted", () => {
    const ended = move(paused(), end);
    expect(ended).toMatchObject({ snapshot: null, discarded: [snapshot], desired: { endedAt: null } });
    expect(reconcile(ended, at, policy)).toEqual([{ type: "deleteSnapshot", snapshotId: snapshot.id }]);
    expect(apply(ended, { type: "snapshotDeleted", snapshotId: "another" }).type).toBe("ignored");
    const deleted = moveWith(ended, { type: "snapshotDeleted", snapshotId: snapshot.id }, when(minute));
    expect(deleted.session).toMatchObject({ discarded: [], desired: { endedAt: at + minute } });
    expect(noted(deleted)).toEqual(["snapshot_deleted", "terminated"]);
  });

  it("is dated when nothing is left, and forgotten after retention [I10]", () => {
    const state = terminated({ newest: stopping(acting) });
    const gone = move(state, finished, when(minute));
    expect(gone.desired).toMatchObject({ at: at - minute, endedAt: at + minute });
    expect(nextDeadline(gone, policy)).toBe(at + minute + policy.retentionMs);
    expect(reconcile(gone, at + minute + policy.retentionMs - 1, policy)).toEqual([]);
    expect(reconcile(gone, at + minute + policy.retentionMs, policy)).toEqual([{ type: "erase" }]);
    for (const still of [
      { newest: stopping() },
      { ghosts: [stopping({ step: { type: "waiting", nextAttemptAt: at + hour } })] },
      { cancellations: [newest] },
    ]) {
      const steps = reconcile({ ...gone, ...still }, at + 1_000 * hour, policy).map((step) => step.type);
      expect(steps).not.toContain("erase");
    }
  });
});
