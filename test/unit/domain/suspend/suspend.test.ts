/** What is saved of a session outlives every clock that runs out before a sandbox ran from it, and the last word counts. */
import { describe, expect, it } from "vitest";
import { clocks, runningClocks } from "../../../../src/domain/rules/clocks.ts";
import { blockedBy, statusOf } from "../../../../src/domain/rules/status.ts";
import type { Gate } from "../../../../src/domain/state/lease.ts";
import type { Provision, Session } from "../../../../src/domain/state/session.ts";
import { whatFailed } from "../../../../src/explain/what-failed.ts";
import { failure } from "../../../support/every-event.ts";
import { generation } from "../../../support/reports.ts";
import {
  acting,
  apply,
  at,
  attempt,
  candidate,
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
  outdated,
  parked,
  paused,
  policy,
  provision,
  provisioning,
  second,
  session,
  snapshot,
  stopping,
  terminated,
  when,
} from "../../../support/sessions.ts";

const time = { type: "timePassed", jitter: 0.5 } as const;
const pause = { type: "pauseRequested" } as const;
const rebuild = { type: "rebuildRequested" } as const;
const resume = { type: "resumeRequested", timeoutMs: 20 * minute } as const;
const save1 = attempt("save-1");

describe("a clock that runs out before a sandbox ran from what is saved", () => {
  const purposes = ["resume", "rebuild", "upgrade"] as const;
  const starting = (purpose: Provision["purpose"], changes: Partial<Session>) =>
    provisioning({ purpose }, { snapshot, ...changes });

  it.each(purposes)("[BUG-2] end_at during a %s goes back to paused, also with on_timeout kill", (purpose) => {
    for (const lease of [null, closed(), launching(), stopping()]) {
      const moved = moveWith(starting(purpose, { newest: lease, endAt: at }), time);
      expect(moved.session).toMatchObject({
        desired: { type: "suspended", cause: "pause", resumeQueued: false },
        snapshot,
        discarded: [],
        setback: { code: "ended_before_it_ran" },
      });
      expect(whatFailed(moved.session)).toMatch(/^Its end came before a sandbox ran/);
    }
  });

  it.each(purposes)("[BUG-2] max lifetime during a %s goes back to paused as well", (purpose) => {
    const used = { totalMs: 24 * hour, since: at - second };
    for (const lease of [launching(), stopping()]) {
      const after = move(starting(purpose, { newest: lease, alive: used, endAt: at + hour }), time);
      expect(after).toMatchObject({ desired: { type: "suspended", cause: "pause" }, snapshot, discarded: [] });
    }
  });

  it("[BUG-2] of a queued resume, once its place is free, goes back to paused too", () => {
    const queued = move(paused({ newest: stopping({ ...acting, reason: "paused" }) }), resume);
    const finished = { type: "stopFinished", generation: newest, attemptId: attempt("stop-1") } as const;
    const evidence = goneEvidence(hour);
    const gone = move(queued, { ...finished, ...evidence, error: null, jitter: 0.5 }, when(hour + second));
    expect(gone.desired).toMatchObject({ type: "running", provision: { purpose: "resume" } });
    const after = move(gone, time, when(hour + 2 * second));
    expect(statusOf(after)).toBe("paused");
    expect(after).toMatchObject({ snapshot, discarded: [] });
  });

  it("[BUG-2] a session whose max lifetime is used up is told so, and keeps what is saved", () => {
    const used = paused({ alive: { totalMs: 24 * hour, since: null } });
    for (const state of [used, { ...used, newest: stopping({ reason: "paused" as const }) }]) {
      expect(apply(state, resume)).toMatchObject({ type: "rejected", rejection: { code: "conflict" } });
    }
  });

  it("[BUG-2] once a sandbox has run, the clocks end it as before", () => {
    expect(move(session({ endAt: at }), time).desired).toMatchObject({ type: "terminated", reason: "timeout" });
    expect(move(session({ alive: { totalMs: 24 * hour, since: at } }), time).desired).toMatchObject({
      type: "terminated",
      reason: "max_lifetime",
    });
  });
});

describe("max lifetime", () => {
  it("[BUG-3] stops when the sandbox of a paused session begins to stop, however long the proof takes", () => {
    const gate: Gate = { type: "saving", for: "pause", attemptId: save1, deadline: at + minute };
    const saving = paused({ newest: held({ gate }), snapshot: null, alive: { totalMs: hour, since: at - minute } });
    const saved = move(saving, { type: "saveSucceeded", generation: newest, attemptId: save1, snapshot });
    expect(saved.alive).toEqual({ totalMs: hour + minute, since: null });
    const later = paused({
      newest: stopping({ ...parked, reason: "paused" }),
      alive: { totalMs: 0, since: at - 25 * hour },
    });
    expect(apply(later, time)).not.toMatchObject({ session: { desired: { type: "terminated" } } });
    expect(clocks.max_lifetime.dueAt(later)).toBeNull();
  });

  it("[BUG-3] of a lost session stops as well: only end_at runs on", () => {
    const state = lost({ newest: stopping(parked), alive: { totalMs: 0, since: at - hour } });
    expect(runningClocks(state, policy).map(({ name }) => name)).toEqual(["end_at"]);
    const foreign = { type: "renewalFailed", generation: newest, sequence: 7, jitter: 0 } as const;
    const justLost = move(session(), { ...foreign, failure: failure("foreign_instance") });
    expect(justLost).toMatchObject({ desired: { cause: "loss" }, alive: { totalMs: 5 * minute, since: null } });
  });

  it("[BUG-3] runs on while a running session's sandbox is replaced: it is the same session's time", () => {
    const replacing = provisioning({ purpose: "relaunch" }, { newest: stopping() });
    expect(clocks.max_lifetime.dueAt(replacing)).toBe(at - 5 * minute + 24 * hour);
  });
});

describe("the last word", () => {
  const queued = () =>
    paused({
      newest: stopping({ reason: "paused" }),
      desired: { type: "suspended", cause: "pause", since: at - minute, resumeQueued: true },
    });

  it("[BUG-10] a pause after a queued resume takes the resume back", () => {
    const moved = moveWith(queued(), pause);
    expect(moved.session.desired).toMatchObject({ type: "suspended", cause: "pause", resumeQueued: false });
    expect(noted(moved)).toEqual(["resume_cancelled"]);
    expect(move(moved.session, resume).desired).toMatchObject({ resumeQueued: true });
    expect(apply(moved.session, pause).type).toBe("ignored");
  });

  it("[BUG-10] a pause while a sandbox is started from what is saved goes back to paused", () => {
    for (const purpose of ["resume", "rebuild", "upgrade"] as const) {
      for (const lease of [null, closed(), launching(), stopping()]) {
        const moved = moveWith(provisioning({ purpose }, { newest: lease, snapshot }), pause);
        expect(moved.session).toMatchObject({
          desired: { type: "suspended", cause: "pause" },
          snapshot,
          discarded: [],
        });
        expect(noted(moved)).toEqual(["pausing"]);
      }
    }
    expect(apply(provisioning({ purpose: "relaunch" }), pause)).toMatchObject({
      rejection: { code: "session_not_running" },
    });
  });

  const gates = [
    { type: "draining", for: "rebuild", deadline: at + second, attemptId: null },
    { type: "saving", for: "rebuild", attemptId: save1, deadline: at + minute },
    { type: "draining", for: "upgrade", deadline: at + second, attemptId: null },
    { type: "saving", for: "upgrade", attemptId: save1, deadline: at + minute },
  ] as const satisfies readonly Gate[];

  it.each(gates)("[BUG-10] a pause during $type for a $for goes on as the save of the pause", (gate) => {
    const after = move(session({ newest: held({ gate }) }), pause);
    expect(after).toMatchObject({
      desired: { type: "suspended", cause: "pause" },
      newest: { gate: { type: gate.type, for: "pause" } },
    });
    // An upgrade waits for jobs as long as they take; a pause gives them a whole drain's time.
    if (gate.type === "draining" && gate.for === "upgrade")
      expect(after.newest).toMatchObject({ gate: { deadline: at + policy.drainMs } });
  });

  it("[BUG-10] a rebuild during an upgrade's save is that save's; during a rebuild's it is a conflict", () => {
    for (const gate of gates) {
      const outcome = apply(session({ newest: held({ gate }) }), rebuild);
      if (gate.for === "rebuild") expect(outcome).toMatchObject({ rejection: { code: "conflict" } });
      else expect(outcome).toMatchObject({ session: { newest: { gate: { type: gate.type, for: "rebuild" } } } });
    }
  });
});

describe("an upgrade", () => {
  const upgrading = (changes: Partial<Provision> = {}, of: Partial<Session> = {}) =>
    provisioning({ purpose: "upgrade", ...changes }, { newest: closed(), snapshot, ...of });
  const full = { code: "quota_exhausted", message: "cap" } as const;

  it("[BUG-6] that finds no room waits like a relaunch, and is never lost", () => {
    const step = { type: "opening", attemptId: attempt("o"), deadline: at + minute } as const;
    const opening = upgrading({ step, candidate: candidate(generation(7)) });
    const waits = move(opening, { type: "openingFailed", attemptId: attempt("o"), failure: full, jitter: 0.5 });
    expect(waits.desired).toMatchObject({ type: "running", provision: { purpose: "upgrade", failures: 1 } });
    expect(blockedBy(waits, false)).toMatchObject({ code: "quota_exhausted" });
    const late = move(waits, time, when(10 * minute));
    expect(statusOf(late)).toBe("paused");
    expect(late).toMatchObject({ snapshot, discarded: [], setback: { code: "quota_exhausted" } });
  });

  it("[BUG-6] gives back the place that was kept for it when it is given up", () => {
    const paused_ = move(upgrading(), pause);
    expect(paused_.cancellations).toEqual([generation(7)]);
    expect(paused_.nextGeneration).toBe(generation(8));
    const known = move(upgrading({ candidate: candidate(generation(6)) }), pause);
    expect(known).toMatchObject({ cancellations: [generation(6)], nextGeneration: generation(7) });
  });

  it("[BUG-6] moves no clock: the idle clock goes on where it stood", () => {
    const activity = { lastAt: at - 14 * minute, activeJobs: 0, reportedAt: at - 10 * second };
    const launched = launching({ renewals: { sequence: 1, lastSentAt: at, sendsUntil: null } });
    const accepted = { type: "renewalAccepted", generation: newest, sequence: 1, sentAt: at, protocol: 2 } as const;
    for (const [purpose, lastAt] of [
      ["upgrade", activity.lastAt],
      ["rebuild", at],
    ] as const) {
      const before = provisioning({ purpose }, { newest: launched, snapshot, activity });
      const after = move(before, { ...accepted, activeJobs: 0, idleMs: 0, jitter: 0.5 });
      expect(after.activity.lastAt, purpose).toBe(lastAt);
      expect(after.endAt).toBe(before.endAt);
    }
  });

  it("[BUG-6] begins within an hour of the deploy, spread by jitter, and keeps its date", () => {
    const old = { protocol: 1, launchedBy: 1, replacement: { type: "none" } } as const;
    const renewed = { type: "renewalAccepted", generation: newest, sequence: 7, sentAt: at, protocol: 1 } as const;
    const dates = [0, 0.25, 0.999].map((jitter) => {
      const after = move(session({ newest: held({ wrapper: old }) }), { ...renewed, activeJobs: 0, idleMs: 0, jitter });
      return after.newest?.phase === "held" && after.newest.wrapper.replacement.type === "due"
        ? after.newest.wrapper.replacement.at - at
        : null;
    });
    expect(dates).toEqual([0, 15 * minute, 0.999 * hour]);
    const kept = move(session({ newest: held({ wrapper: outdated }) }), {
      ...renewed,
      activeJobs: 0,
      idleMs: 0,
      jitter: 0.9,
    });
    expect(kept.newest).toMatchObject({ wrapper: outdated });
  });

  it("[BUG-6] does not pile up saves that nobody deletes", () => {
    const many = Array.from({ length: policy.maxDiscarded }, (_, index) => ({
      ...snapshot,
      id: `old-${index}`,
      discardedAt: at,
      deletion: { type: "waiting", notBefore: at + hour } as const,
      failures: 3,
      lastError: "unavailable",
    }));
    const after = move(session({ newest: held({ wrapper: outdated }), discarded: many }), time);
    expect(after.newest).toMatchObject({
      gate: { type: "open" },
      wrapper: { replacement: { type: "due", at: at + policy.upgradeRetryMs } },
    });
  });
});

describe("a pause or rebuild that fails", () => {
  const failed = {
    type: "saveFailed",
    generation: newest,
    attemptId: save1,
    failure: failure("insufficient_space"),
  } as const;
  const saving = (purpose: "pause" | "rebuild"): Session => {
    const gate: Gate = { type: "saving", for: purpose, attemptId: save1, deadline: at + minute };
    return purpose === "pause"
      ? paused({ newest: held({ gate }), snapshot: null })
      : session({ newest: held({ gate }) });
  };

  it.each(["pause", "rebuild"] as const)(
    "[BUG-33] a failed %s is in the view until something else is asked",
    (purpose) => {
      const after = move(saving(purpose), failed);
      expect(statusOf(after)).toBe("running");
      expect(whatFailed(after)).toBe(
        `It could not be ${purpose === "pause" ? "paused and runs on" : "rebuilt and runs on as it is"}: ${failed.failure.message}`,
      );
      const events = [pause, rebuild, { type: "timeoutSet", kind: "timeout", durationMs: hour } as const];
      for (const event of events) expect(whatFailed(move(after, event)), event.type).toBeNull();
    },
  );

  it("[BUG-33] that a clock asked for blocks the session visibly, with the next try's time, to the last one", () => {
    let state = session({ lifecycle: { onTimeout: "pause", onLoss: "hold" }, endAt: at });
    let now = 0;
    for (let tries = 1; tries <= policy.pauseTries; tries += 1) {
      const draining = move(state, time, when(now));
      const attemptId = attempt(`drain-${tries}`);
      const asked = move(draining, { type: "drainStarted", generation: newest, attemptId }, when(now));
      const drained = { type: "drained", generation: newest, attemptId, saveAttemptId: save1 } as const;
      const began = move(asked, drained, when(now));
      state = move(began, failed, when(now));
      expect(blockedBy(state, false)).toEqual({
        code: "pause_failing",
        since: at,
        retryAt: state.pauseTries?.notBefore,
      });
      expect(whatFailed(state)).toContain(failed.failure.message);
      now = (state.pauseTries?.notBefore ?? 0) - at;
    }
    const ended = moveWith(state, time, when(now));
    expect(noted(ended)).toContain("contents_lost");
    expect(whatFailed(ended.session)).toContain(`could not be saved in ${policy.pauseTries} tries`);
  });

  it("[BUG-33] a start that meets nobody says so in its view", () => {
    const step = { type: "opening", attemptId: attempt("o"), deadline: at } as const;
    const opening = provisioning({ step, candidate: candidate(generation(7)) });
    const late = move(opening, time);
    expect(blockedBy(late, false)).toMatchObject({ code: "unavailable", since: at });
    expect(whatFailed(late)).toMatch(/^Nobody answered in time/);
    const launch = launching({
      attempts: [{ attemptId: attempt("l"), sentAt: at, outcome: "unknown", error: "no answer within 60 s" }],
    });
    expect(whatFailed(provisioning({}, { newest: launch }))).toBe("no answer within 60 s");
    expect(whatFailed(terminated())).toBeNull();
    expect(provision().lastError).toBeNull();
  });
});
