/** What a clock does to a session with `on_timeout: pause`: its contents are kept wherever they are, or it is said that they are not. */
import { describe, expect, it } from "vitest";
import { expiresAt } from "../../../../src/domain/rules/clocks.ts";
import { stateViolations } from "../../../../src/domain/machine/invariants.ts";
import type { Gate } from "../../../../src/domain/state/lease.ts";
import { nextDeadline } from "../../../../src/domain/rules/reconcile.ts";
import type { Session } from "../../../../src/domain/state/session.ts";
import { statusOf } from "../../../../src/domain/rules/status.ts";
import { stuckSince } from "../../../../src/domain/rules/stuck.ts";
import { failure } from "../../../support/every-event.ts";
import { generation } from "../../../support/reports.ts";
import {
  drainedFrom,
  apply,
  at,
  discarded,
  attempt,
  closed,
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
  opening,
  provisioning,
  policy,
  provision,
  second,
  session,
  snapshot,
  stopping,
  when,
} from "../../../support/sessions.ts";

const time = { type: "timePassed", jitter: 0.5 } as const;
const save1 = attempt("save-1");
const saved = { type: "saveSucceeded", generation: newest, attemptId: save1, snapshot } as const;
const keeps = (changes: Partial<Session> = {}): Session =>
  session({ lifecycle: { onTimeout: "pause", onLoss: "hold" }, endAt: at, ...changes });
const gates: Readonly<Record<string, Gate>> = {
  draining: { type: "draining", for: "rebuild", deadline: at + 30 * second, attemptId: attempt("drain-1") },
  saving: { type: "saving", for: "rebuild", attemptId: save1, deadline: at + 5 * minute },
};

describe("an end that comes while a rebuild saves", () => {
  it.each(Object.entries(gates))(
    "(%s) pauses with what is being saved, and loses nothing [CLK-10] [DEL-10]",
    (_, gate) => {
      const before = keeps({ newest: held({ gate }) });
      const moved = moveWith(before, time);
      expect(moved.session).toMatchObject({
        desired: { type: "suspended", cause: "pause", since: at, resumeQueued: false },
        newest: { phase: "held", gate: { ...gate, for: "pause" } },
        discarded: [],
      });
      expect(statusOf(moved.session)).toBe("pausing");
      const drained = gate.type === "saving" ? moved.session : drainedFrom(moved.session, save1);
      const stopped = move(drained, saved);
      expect(stopped).toMatchObject({ snapshot, newest: { phase: "stopping", reason: "paused" } });
      const attemptId = attempt("stop-1");
      const gone = move(move(stopped, { type: "stopStarted", generation: newest, attemptId }), {
        type: "stopFinished",
        generation: newest,
        attemptId,
        ...goneEvidence(),
        error: null,
        jitter: 0,
      });
      expect(statusOf(gone)).toBe("paused");
      expect(gone.snapshot).toEqual(snapshot);
    },
  );
});

describe("an end that comes while nothing runs yet", () => {
  const resuming = (changes: Partial<Session>) => keeps({ snapshot, alive: { totalMs: 0, since: null }, ...changes });
  const purposes = ["resume", "rebuild"] as const;
  const places: Readonly<Record<string, (purpose: "resume" | "rebuild") => Session>> = {
    waiting: (purpose) =>
      resuming({ newest: closed(), desired: { type: "running", provision: provision({ purpose }) } }),
    opening: (purpose) => resuming({ newest: null, desired: { type: "running", provision: { ...opening, purpose } } }),
    launching: (purpose) =>
      resuming({ newest: launching(), desired: { type: "running", provision: provision({ purpose }) } }),
    stopping: (purpose) =>
      resuming({ newest: stopping(), desired: { type: "running", provision: provision({ purpose }) } }),
  };

  it.each(purposes.flatMap((purpose) => Object.keys(places).map((place) => [purpose, place] as const)))(
    "(%s, %s) goes back to paused, with the snapshot kept [LEA-22] [CLK-11]",
    (purpose, place) => {
      const before = places[place]?.(purpose);
      if (before === undefined) throw new Error(place);
      const moved = moveWith(before, time);
      expect(moved.session).toMatchObject({
        desired: { type: "suspended", cause: "pause", since: at, resumeQueued: false },
        snapshot,
        discarded: [],
      });
      expect(moved.session.newest?.phase ?? "none").toBe(
        { waiting: "closed", opening: "none", launching: "stopping", stopping: "stopping" }[place],
      );
      expect(moved.session.cancellations).toEqual(place === "opening" ? [generation(6)] : []);
      expect(stateViolations(moved.session, policy)).toEqual([]);
      expect(noted(moved)).toContain("pausing");
    },
  );

  it("ends a session that has nothing to keep, as its clock says", () => {
    for (const before of [
      keeps({ newest: null, desired: { type: "running", provision: provision({ purpose: "create" }) } }),
      keeps({ newest: stopping(), desired: { type: "running", provision: provision({ purpose: "relaunch" }) } }),
      lost({ lifecycle: { onTimeout: "pause", onLoss: "hold" }, endAt: at }),
    ]) {
      expect(move(before, time).desired).toMatchObject({ type: "terminated", reason: "timeout" });
    }
  });

  it("[BUG-2] keeps what was saved of a lost session, whatever `on_timeout` says", () => {
    const before = lost({ lifecycle: { onTimeout: "pause", onLoss: "hold" }, endAt: at, snapshot });
    expect(move(before, time)).toMatchObject({ desired: { type: "suspended", cause: "pause" }, snapshot });
    const killed = move({ ...before, lifecycle: { onTimeout: "kill", onLoss: "hold" } }, time);
    expect(killed).toMatchObject({ desired: { type: "suspended", cause: "pause" }, snapshot, discarded: [] });
  });
});

describe("a pause at the end whose save keeps failing", () => {
  const saveFails = (state: Session, offset: number, name: string): Session => {
    const attemptId = attempt(name);
    const drained = drainedFrom(state, attemptId, when(offset));
    return move(
      drained,
      { type: "saveFailed", generation: newest, attemptId, failure: failure("insufficient_space") },
      when(offset),
    );
  };
  const live = (changes: Partial<Session> = {}) =>
    keeps({
      newest: held({ nextRenewalAt: at + 50 * second }),
      limits: { timeoutMs: hour, idleTimeoutMs: null, maxLifetimeMs: 24 * hour },
      ...changes,
    });

  it("is tried again only after a delay that is stored and grows [I7]", () => {
    let state = live();
    let offset = 0;
    const delays: number[] = [];
    for (let round = 1; round <= 4; round += 1) {
      state = saveFails(move(state, time, when(offset)), offset, `save-${round}`);
      expect(statusOf(state)).toBe("running");
      const due = expiresAt(state, policy) ?? 0;
      delays.push(due - at - offset);
      expect(apply(state, time, when(due - at - 1)).type).toBe("ignored");
      // Renewals and the deletion of what may have landed go on meanwhile; they are not what is looked at here.
      const quiet = { ...state, newest: held({ nextRenewalAt: due + 1 }), discarded: [] };
      expect(nextDeadline(quiet, policy)).toBe(due);
      expect(stuckSince(state, due - 1, policy)).toBeNull();
      offset = due - at;
    }
    expect(delays).toEqual([30 * second, minute, 2 * minute, 4 * minute]);
  });

  it("is given up after its bound: the session ends, and the history says what was lost and why", () => {
    let state = live();
    let offset = 0;
    const types: string[] = [];
    for (let round = 1; round <= policy.pauseTries; round += 1) {
      const moved = moveWith(state, time, when(offset));
      expect(moved.session.desired).toMatchObject({ type: "suspended", cause: "pause" });
      types.push(...noted(moved));
      state = saveFails(moved.session, offset, `save-${round}`);
      // Each name goes as soon as the provider has confirmed it.
      for (const { id } of state.discarded)
        state = move(state, { type: "snapshotDeleted", snapshotId: id }, when(offset));
      offset = (expiresAt(state, policy) ?? 0) - at;
    }
    expect(new Set(types)).toEqual(new Set(["pausing"]));
    expect(offset).toBeLessThan(2 * hour);
    const ended = moveWith(state, time, when(offset));
    expect(ended.session.desired).toMatchObject({ type: "terminated", reason: "timeout" });
    expect(ended.session.desired).toHaveProperty(
      "failure",
      expect.stringContaining(failure("insufficient_space").message),
    );
    expect(noted(ended)).toEqual(["contents_lost", "terminating"]);
    expect(ended.effects[0]).toMatchObject({ note: { facts: { tries: policy.pauseTries, clock: "end_at" } } });
  });

  it("begins again at nothing once a client moved the end, resumed it, or it was saved", () => {
    const failedOnce = saveFails(move(live(), time), 0, "save-1");
    expect(failedOnce.pauseTries).toMatchObject({ tries: 1, since: at, notBefore: at + 30 * second });
    const moved = move(failedOnce, { type: "timeoutSet", kind: "timeout", durationMs: hour }, when(second));
    expect(moved.pauseTries).toBeNull();
    const again = move(failedOnce, time, when(30 * second));
    expect(again.pauseTries?.tries).toBe(2);
    expect(move(again, { type: "resumeRequested", timeoutMs: hour }, when(31 * second)).pauseTries).toBeNull();
    const drained = drainedFrom(again, save1, when(31 * second));
    expect(move(drained, saved, when(31 * second)).pauseTries).toBeNull();
  });

  it("counts only what a clock began: a client's own pauses use up nothing", () => {
    let state = live({ endAt: at + hour });
    for (let round = 1; round <= policy.pauseTries + 1; round += 1) {
      state = saveFails(move(state, { type: "pauseRequested" }), 0, `save-${round}`);
      for (const { id } of state.discarded) state = move(state, { type: "snapshotDeleted", snapshotId: id });
    }
    expect(state.pauseTries).toBeNull();
    expect(move(state, time, when(hour)).desired).toMatchObject({ type: "suspended", cause: "pause" });
  });

  it("of the idle clock begins a new series when something ran in between", () => {
    const idle = live({
      endAt: at + 20 * hour,
      limits: { timeoutMs: hour, idleTimeoutMs: minute, maxLifetimeMs: 24 * hour },
    });
    const quiet = { ...idle, newest: held({ nextRenewalAt: at + 50 * second, acceptedSentAt: at + 45 * second }) };
    const failedOnce = saveFails(move(quiet, time, when(45 * second)), 45 * second, "save-1");
    expect(failedOnce.pauseTries).toMatchObject({ tries: 1 });
    const used = move(failedOnce, { type: "activityNoted", activeJobs: null }, when(50 * second));
    const asked = { ...used, newest: held({ nextRenewalAt: at + 50 * second, acceptedSentAt: at + 2 * minute }) };
    const next = move(asked, time, when(2 * minute));
    expect(next.pauseTries).toMatchObject({ tries: 1, since: at + 2 * minute });
  });

  it("is not put off for longer than its longest delay by a clock that went back [CLK-13]", () => {
    const failedOnce = saveFails(move(live(), time), 0, "save-1");
    const back = { ...failedOnce, endAt: at - 2 * hour, pauseTries: { ...failedOnce.pauseTries!, notBefore: at } };
    const mended = move(back, time, when(-hour));
    expect(mended.desired).toMatchObject({ type: "suspended", cause: "pause" });
  });

  it("does not let a client pile up saves that nobody could delete yet", () => {
    const names = Array.from({ length: policy.maxDiscarded }, (_, index) =>
      discarded({ ...snapshot, id: `old-${index}` }),
    );
    const full = session({ discarded: names });
    for (const type of ["pauseRequested", "rebuildRequested"] as const) {
      expect(apply(full, { type })).toMatchObject({ type: "rejected", rejection: { code: "conflict" } });
      expect(apply({ ...full, discarded: names.slice(1) }, { type }).type).toBe("moved");
    }
    expect(
      move({ ...full, ...{ lifecycle: { onTimeout: "pause", onLoss: "hold" } as const, endAt: at } }, time).desired,
    ).toMatchObject({
      type: "suspended",
    });
  });
});

describe("a launch that finds no snapshot to restore", () => {
  const missing = {
    type: "launchFailed",
    generation: newest,
    attemptId: attempt("launch-1"),
    failure: failure("not_found"),
    jitter: 0.5,
  } as const;
  const flying = launching({
    host: null,
    step: { type: "acting", attemptId: attempt("launch-1"), deadline: at + minute },
  });

  it.each([
    ["resume", "pause"],
    ["rebuild", "loss"],
  ] as const)("ends a %s at once, says why, and keeps the name of what was saved [LEA-22]", (purpose, cause) => {
    const state = provisioning({ purpose }, { newest: flying, snapshot });
    const moved = moveWith(state, missing);
    expect(moved.session).toMatchObject({
      desired: { type: "suspended", cause },
      newest: { phase: "stopping" },
      snapshot,
      setback: { code: "snapshot_missing", at },
    });
    expect(moved.session.setback?.message).toContain(snapshot.id);
    expect(noted(moved)).toEqual(["launch_failed", "provision_failed", "setback"]);
  });

  it("or finds one that is damaged, ends in the same way, and says which of the two it is [LEA-22]", () => {
    const state = provisioning({ purpose: "resume" }, { newest: flying, snapshot });
    const moved = moveWith(state, { ...missing, failure: failure("damaged") });
    expect(moved.session).toMatchObject({
      desired: { type: "suspended", cause: "pause" },
      newest: { phase: "stopping" },
      snapshot,
      setback: { code: "snapshot_damaged", at },
    });
  });

  it("is another failure when nothing was to be restored", () => {
    expect(move(provisioning({ purpose: "rebuild" }, { newest: flying }), missing).desired).toMatchObject({
      provision: { lastError: { code: "not_found" }, step: { type: "waiting" } },
    });
  });
});

it("a tenant's snapshot that no sandbox was started from yet is not the session's own: its end is an end [TRA-15]", () => {
  const source = session().id;
  for (const onTimeout of ["kill", "pause"] as const) {
    const before = provisioning(
      {},
      { newest: launching(), snapshot: { ...snapshot, source }, endAt: at, lifecycle: { onTimeout, onLoss: "hold" } },
    );
    const ended = move(before, time);
    expect(ended.desired).toMatchObject({ type: "terminated", reason: "timeout" });
    // And it stays the tenant's.
    expect(ended.discarded).toEqual([]);
  }
});
