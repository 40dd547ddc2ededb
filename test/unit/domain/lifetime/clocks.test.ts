import { describe, expect, it } from "vitest";
import {
  clocks,
  expiresAt,
  idleAt,
  idleIsConfirmed,
  jobsBelievedRunning,
  runningClocks,
  type ClockName,
  type ClockRow,
} from "../../../../src/domain/rules/clocks.ts";
import { nextDeadline, reconcile } from "../../../../src/domain/rules/reconcile.ts";
import type { Session } from "../../../../src/domain/state/session.ts";
import { wrapperProtocol } from "../../../../src/domain/state/wrapper-protocol.ts";
import { failure } from "../../../support/every-event.ts";
import {
  apply,
  at,
  attempt,
  closed,
  goneEvidence,
  held,
  hour,
  launching,
  look,
  lost,
  minute,
  move,
  moveWith,
  newest,
  noted,
  parked,
  paused,
  policy,
  provisioning,
  second,
  session,
  stopping,
  terminated,
  when,
} from "../../../support/sessions.ts";

const time = { type: "timePassed", jitter: 0.5 } as const;
/** Renewed just now and due again in a minute: only its clocks are of interest. */
const calm = held({ acceptedSentAt: at, renewals: { sequence: 7, lastSentAt: at, sendsUntil: null } });

/** Only the clock under test runs. */
function only(changes: Partial<Session>): Session {
  return session({
    newest: calm,
    endAt: at + 1_000 * hour,
    limits: { timeoutMs: hour, idleTimeoutMs: null, maxLifetimeMs: 2_000 * hour },
    ...changes,
  });
}

function running(of: Session): readonly ClockName[] {
  return runningClocks(of, policy).map(({ name }) => name);
}

function reasonOf(of: Session): string {
  if (of.desired.type !== "terminated") throw new Error("it goes on");
  return of.desired.reason;
}

describe("end_at", () => {
  it("ends the session when it is due, not before [CLK-9]", () => {
    const state = only({ endAt: at + minute });
    expect(apply(state, time, when(minute - 1)).type).toBe("ignored");
    expect(nextDeadline(only({ endAt: at + 5 }), policy)).toBe(at + 5);
    const moved = moveWith(state, time, when(minute));
    expect(reasonOf(moved.session)).toBe("timeout");
    expect(moved.session.newest).toMatchObject({ phase: "stopping", reason: "terminated" });
    expect(moved.effects).toContainEqual({ type: "dropQueue" });
  });

  it("moves by timeout, refresh and resume only [CLK-1]", () => {
    const state = only({ endAt: at + minute });
    const set = (kind: "timeout" | "refresh", durationMs: number) =>
      move(state, { type: "timeoutSet", kind, durationMs });
    expect(set("timeout", second).endAt).toBe(at + second);
    expect(set("timeout", hour).endAt).toBe(at + hour);
    expect(set("refresh", second).endAt).toBe(at + minute);
    expect(set("refresh", hour)).toMatchObject({ endAt: at + hour, refreshedAt: at });
    expect(noted(moveWith(state, { type: "timeoutSet", kind: "refresh", durationMs: 1 }))).toEqual(["refreshed"]);
    expect(noted(moveWith(state, { type: "timeoutSet", kind: "timeout", durationMs: 1 }))).toEqual(["timeout_set"]);
    const others = [
      move(state, { type: "activityNoted", activeJobs: 1 }),
      move(state, { type: "renewalStarted", generation: newest, sequence: 8 }),
      move(state, { type: "renewalFailed", generation: newest, sequence: 7, failure: failure("timed_out"), jitter: 0 }),
      move(state, { type: "observedAbsent", generation: newest, observation: look("absent", 0) }),
    ];
    for (const other of others) expect(other.endAt).toBe(state.endAt);
  });

  it("extended in time is never followed by the end it prevented, however late the alarm [CLK-9]", () => {
    const extended = move(only({ endAt: at }), { type: "timeoutSet", kind: "refresh", durationMs: hour });
    const warned = moveWith(extended, time, when(hour - 1));
    expect([warned.session.desired, noted(warned)]).toEqual([extended.desired, ["ending_soon"]]);
    expect(reasonOf(move(extended, time, when(hour)))).toBe("timeout");
  });

  it("runs on for a lost session, and stands still for a paused one [CLK-11]", () => {
    expect(reasonOf(move(lost({ endAt: at }), time))).toBe("timeout");
    expect(reasonOf(move(lost({ endAt: at, lifecycle: { onTimeout: "pause", onLoss: "hold" } }), time))).toBe(
      "timeout",
    );
    for (const lease of [
      closed(),
      null,
      stopping(parked),
      held({ gate: { type: "draining", for: "pause", deadline: at + hour, attemptId: attempt("drain-1") } }),
    ]) {
      expect(running(paused({ newest: lease, endAt: at - hour }))).not.toContain("end_at");
    }
    expect(apply(paused({ endAt: at - hour }), time, when(hour)).type).toBe("ignored");
  });

  it("cannot be moved once the session ended or while it is paused [CLK-11]", () => {
    for (const kind of ["timeout", "refresh"] as const) {
      const event = { type: "timeoutSet", kind, durationMs: hour } as const;
      expect(apply(terminated(), event)).toMatchObject({ rejection: { code: "session_ended" } });
      expect(apply(paused(), event)).toMatchObject({ rejection: { code: "session_paused" } });
      expect(move(lost(), event).endAt).toBe(at + hour);
    }
  });

  it("pauses instead, where the session says so and has a sandbox to save [CLK-10]", () => {
    const moved = moveWith(only({ endAt: at, lifecycle: { onTimeout: "pause", onLoss: "hold" } }), time);
    expect(moved.session.desired).toEqual({
      type: "suspended",
      cause: "pause",
      since: at,
      resumeQueued: false,
      by: "clock:end_at",
    });
    expect(moved.session.newest).toMatchObject({
      gate: { type: "draining", for: "pause", deadline: at + 30 * second, attemptId: null },
    });
    expect(noted(moved)).toEqual(["pausing"]);
  });
});

describe("the idle clock", () => {
  const idle = (changes: Partial<Session> = {}) =>
    only({
      limits: { timeoutMs: hour, idleTimeoutMs: 5 * minute, maxLifetimeMs: 2_000 * hour },
      activity: { lastAt: at, activeJobs: 0, reportedAt: at },
      ...changes,
    });
  const asked = (sentAt: number, changes: Partial<ReturnType<typeof held>> = {}) =>
    held({
      renewals: { sequence: 8, lastSentAt: sentAt, sendsUntil: null },
      acceptedSentAt: sentAt,
      nextRenewalAt: sentAt + minute,
      ...changes,
    });

  it("counts from the last activity, and runs only while something is held [CLK-7]", () => {
    expect(idleAt(idle(), policy)).toBe(at + 5 * minute);
    const reported = idle({ activity: { lastAt: at - minute, activeJobs: 0, reportedAt: at } });
    expect(idleAt(reported, policy)).toBe(at + 4 * minute);
    for (const state of [
      idle({ newest: launching(), desired: provisioning().desired }),
      idle({ newest: stopping() }),
      idle({ newest: null }),
      idle({ desired: paused().desired }),
      idle({ limits: { timeoutMs: hour, idleTimeoutMs: null, maxLifetimeMs: hour } }),
    ]) {
      expect(idleAt(state, policy)).toBeNull();
    }
  });

  it("ends the session only after it was asked once more since it became due [CLK-9]", () => {
    const due = idle({ newest: asked(at + 5 * minute - 1) });
    expect(apply(due, time, when(5 * minute)).type).toBe("ignored");
    expect(reconcile(due, at + 5 * minute, policy)).toEqual([{ type: "renew", generation: newest }]);
    expect(reconcile(due, at + 5 * minute - 1, policy)).toEqual([]);
    const confirmed = idle({ newest: asked(at + 5 * minute) });
    expect(reasonOf(move(confirmed, time, when(5 * minute)))).toBe("idle_timeout");
    expect(reconcile(confirmed, at + 5 * minute, policy)).toEqual([]);
  });

  it("is confirmed by a renewal that was sent since and failed, or by a lease that lapses anyway [CLK-9]", () => {
    const dueAt = at + 5 * minute;
    const sent = (changes: Partial<ReturnType<typeof held>>) =>
      idle({ newest: asked(dueAt, { acceptedSentAt: at, ...changes }) });
    expect(idleIsConfirmed(sent({ failures: 0 }), dueAt, dueAt, policy)).toBe(false);
    expect(idleIsConfirmed(sent({ failures: 1 }), dueAt, dueAt, policy)).toBe(true);
    const before = { renewals: { sequence: 8, lastSentAt: dueAt - 1, sendsUntil: null } };
    expect(idleIsConfirmed(sent({ failures: 1, ...before }), dueAt, dueAt, policy)).toBe(false);
    expect(
      idleIsConfirmed(
        sent({ failures: 1, renewals: { sequence: 0, lastSentAt: null, sendsUntil: null } }),
        dueAt,
        dueAt,
        policy,
      ),
    ).toBe(false);
    expect(idleIsConfirmed(sent({ failures: 0 }), dueAt, at + 310 * second - 1, policy)).toBe(false);
    expect(idleIsConfirmed(sent({ failures: 0 }), dueAt, at + 310 * second, policy)).toBe(true);
    expect(idleIsConfirmed(idle({ newest: null }), dueAt, dueAt, policy)).toBe(true);
  });

  it("asked and not answered waits for the renewal, not for itself", () => {
    const dueAt = at + 5 * minute;
    const pending = idle({ newest: asked(dueAt, { acceptedSentAt: at, nextRenewalAt: dueAt + 11 * second }) });
    expect(nextDeadline(pending, policy)).toBe(dueAt + 11 * second);
    expect(nextDeadline(idle({ newest: asked(dueAt - 1, { acceptedSentAt: at }) }), policy)).toBe(dueAt);
    expect(nextDeadline(idle({ newest: asked(dueAt, { nextRenewalAt: at + hour }) }), policy)).toBe(dueAt);
  });

  it("stands while a job runs, but only as long as the report of it is fresh [CLK-7] [CLK-8]", () => {
    const busy = (changes: Partial<Session["activity"]>, idleTimeoutMs = minute) =>
      idle({
        limits: { timeoutMs: hour, idleTimeoutMs, maxLifetimeMs: hour },
        activity: { lastAt: at - hour, activeJobs: 1, reportedAt: at, ...changes },
      });
    expect(idleAt(busy({}), policy)).toBe(at + 150 * second);
    expect(idleAt(busy({}, 10 * minute), policy)).toBe(at + 10 * minute);
    expect(idleAt(busy({ lastAt: at + second }), policy)).toBe(at + 151 * second);
    expect(jobsBelievedRunning(busy({}), at + 150 * second - 1, policy)).toBe(true);
    expect(jobsBelievedRunning(busy({}), at + 150 * second, policy)).toBe(false);
    expect(jobsBelievedRunning(busy({ activeJobs: 0 }), at, policy)).toBe(false);
    const stale = busy({});
    const unanswered = { ...stale, newest: asked(at + 150 * second, { acceptedSentAt: at, failures: 1 }) };
    expect(reasonOf(move(unanswered, time, when(150 * second)))).toBe("idle_timeout");
  });

  it("moves by jobs, stdin and keepalive; by no look, probe or renewal that reports nothing [CLK-7]", () => {
    const state = idle({ activity: { lastAt: at - minute, activeJobs: 1, reportedAt: at - second } });
    expect(move(state, { type: "activityNoted", activeJobs: null }).activity).toEqual({
      lastAt: at,
      activeJobs: 1,
      reportedAt: at - second,
    });
    expect(move(state, { type: "activityNoted", activeJobs: 0 }).activity).toEqual({
      lastAt: at,
      activeJobs: 0,
      reportedAt: at,
    });
    // Dated by the sandbox, whose clock may be ahead of ours: never later than now, and never earlier than what is known.
    const dated = (from: number) => move(state, { type: "activityNoted", activeJobs: 0, at: from }).activity.lastAt;
    expect([dated(at + minute), dated(at - second), dated(at - 2 * minute)]).toEqual([at, at - second, at - minute]);
    expect(move(state, { type: "renewalStarted", generation: newest, sequence: 8 }).activity).toBe(state.activity);
    const failed = {
      type: "renewalFailed",
      generation: newest,
      sequence: 7,
      failure: failure("timed_out"),
      jitter: 0,
    } as const;
    expect(move(state, failed).activity).toBe(state.activity);
    const quiet = idle();
    const accepted = {
      type: "renewalAccepted",
      generation: newest,
      sequence: 7,
      sentAt: at,
      protocol: wrapperProtocol,
      activeJobs: 0,
      idleMs: 9,
      jitter: 0,
    } as const;
    expect(move(quiet, accepted, when(1)).activity).toBe(quiet.activity);
    for (const other of [paused(), lost(), terminated()]) {
      expect(apply(other, { type: "activityNoted", activeJobs: 1 }).type).toBe("ignored");
    }
  });

  it("is restarted by an accepted timeout, refresh or resume [CLK-14]", () => {
    const old = idle({ activity: { lastAt: at - 4 * minute, activeJobs: 0, reportedAt: at } });
    for (const kind of ["timeout", "refresh"] as const) {
      expect(idleAt(move(old, { type: "timeoutSet", kind, durationMs: minute }), policy)).toBe(at + 5 * minute);
    }
    expect(move(paused(), { type: "resumeRequested", timeoutMs: minute }).activity.lastAt).toBe(at);
    const saving = paused({
      newest: held({ gate: { type: "draining", for: "pause", deadline: at + 1, attemptId: attempt("drain-1") } }),
      activity: old.activity,
    });
    expect(move(saving, { type: "resumeRequested", timeoutMs: minute }).activity.lastAt).toBe(at);
  });
});

describe("max lifetime", () => {
  const limited = (alive: Session["alive"]) =>
    session({
      newest: calm,
      alive,
      endAt: at + 1_000 * hour,
      limits: { timeoutMs: hour, idleTimeoutMs: null, maxLifetimeMs: hour },
    });

  it("counts time with a sandbox, all of it, and nothing moves it [CLK-16]", () => {
    const state = limited({ totalMs: 10 * minute, since: at });
    expect(apply(state, time, when(50 * minute - 1)).type).toBe("ignored");
    expect(reasonOf(move(state, time, when(50 * minute)))).toBe("max_lifetime");
    const extended = move(state, { type: "timeoutSet", kind: "timeout", durationMs: 500 * hour });
    expect(reasonOf(move(extended, time, when(50 * minute)))).toBe("max_lifetime");
    expect(clocks.max_lifetime.dueAt(limited({ totalMs: 5 * hour, since: at }))).toBe(at);
  });

  it("kills also where the session would rather pause [CLK-16]", () => {
    const state = {
      ...limited({ totalMs: hour, since: at }),
      lifecycle: { onTimeout: "pause", onLoss: "hold" } as const,
    };
    expect(reasonOf(move(state, time))).toBe("max_lifetime");
  });

  it("a new row of the table ends a session for its own reason, and keeps what is only saved if the row says so", () => {
    const row = { dueAt: () => at, expires: true, movedBy: "nothing", words: "a curfew" };
    const rows: Record<string, ClockRow> = clocks;
    const withRow = (pausesSaved: string | null, look: () => void) => {
      rows.curfew = { ...row, action: { type: "terminate", reason: "operator", pausesSaved } };
      try {
        look();
      } finally {
        delete rows.curfew;
      }
    };
    withRow(null, () => expect(reasonOf(move(only({}), time))).toBe("operator"));
    withRow(null, () => expect(reasonOf(move(paused(), time))).toBe("operator"));
    withRow("The curfew came", () => {
      expect(reasonOf(move(only({}), time))).toBe("operator");
      const resuming = provisioning({ purpose: "resume" }, { snapshot: paused().snapshot });
      const kept = move(resuming, time);
      expect(kept.desired).toMatchObject({ type: "suspended", cause: "pause" });
      expect(kept.setback?.message).toBe("The curfew came before a sandbox ran from what is saved.");
    });
  });

  it("stands while there is no sandbox: paused time does not count [CLK-16]", () => {
    expect(running(paused({ alive: { totalMs: hour, since: null } }))).toEqual(["paused_warning", "paused_retention"]);
    const stopped = move(
      paused({
        newest: stopping({ step: { type: "acting", attemptId: attempt("s"), deadline: at + minute } }),
        alive: { totalMs: 0, since: at - minute },
      }),
      { type: "stopFinished", generation: newest, attemptId: attempt("s"), ...goneEvidence(), error: null, jitter: 0 },
    );
    expect(stopped.alive).toEqual({ totalMs: minute, since: null });
    const resumed = move(stopped, { type: "resumeRequested", timeoutMs: hour }, when(500 * hour));
    expect(resumed.alive).toEqual({ totalMs: minute, since: null });
  });
});

describe("a paused session", () => {
  it("ends by its own retention alone, counted from the pause [CLK-11] [CLK-16]", () => {
    const since = at - minute;
    const state = paused({ endAt: at - hour, warnedOfPause: since });
    const due = since + policy.pausedRetentionMs;
    expect(running(state)).toEqual(["paused_retention"]);
    expect(expiresAt(state, policy)).toBe(due);
    expect(apply(state, time, { now: due - 1, policy }).type).toBe("ignored");
    expect(reasonOf(move(state, time, { now: due, policy }))).toBe("retention");
    expect(running(lost())).toEqual(["end_at"]);
  });

  it("is announced its end a day before, once for each pause [CLK-16]", () => {
    const since = at - minute;
    const warnAt = since + policy.pausedRetentionMs - policy.pausedWarningMs;
    for (const warnedOfPause of [null, since - hour]) {
      const state = paused({ warnedOfPause });
      expect(nextDeadline(state, policy)).toBe(warnAt);
      expect(expiresAt(state, policy)).toBe(since + policy.pausedRetentionMs);
      expect(apply(state, time, { now: warnAt - 1, policy }).type).toBe("ignored");
      const moved = moveWith(state, time, { now: warnAt, policy });
      expect(moved.session).toEqual({ ...state, warnedOfPause: since });
      expect(moved.effects).toMatchObject([
        {
          note: {
            type: "retention_warning",
            facts: { ends_at: new Date(since + policy.pausedRetentionMs).toISOString() },
          },
        },
      ]);
      expect(apply(moved.session, time, { now: warnAt, policy }).type).toBe("ignored");
    }
    expect(running(lost())).not.toContain("paused_warning");
  });
});

describe("several clocks that are due at once", () => {
  it("announce on the way, and one decides: the earliest [CLK-9]", () => {
    const late = at + policy.pausedRetentionMs;
    const moved = moveWith(paused(), time, { now: late, policy });
    expect(noted(moved).slice(0, 2)).toEqual(["retention_warning", "terminating"]);
    expect(reasonOf(moved.session)).toBe("retention");
    const both = only({
      endAt: at,
      alive: { totalMs: 0, since: at - hour },
      limits: { timeoutMs: hour, idleTimeoutMs: null, maxLifetimeMs: minute },
    });
    const ended = moveWith(both, time);
    expect(reasonOf(ended.session)).toBe("max_lifetime");
    expect(noted(ended)).toEqual(["terminating"]);
  });
});

describe("expires_at", () => {
  it("is the earliest of all clocks a client plans by [CLK-14]", () => {
    const limits = { timeoutMs: hour, idleTimeoutMs: 15 * minute, maxLifetimeMs: 24 * hour };
    const state = session({
      newest: calm,
      limits,
      activity: { lastAt: at, activeJobs: 0, reportedAt: at },
      alive: { totalMs: 0, since: at },
    });
    const expiries = [
      [{ endAt: at + hour }, at + 15 * minute],
      [{ endAt: at + minute }, at + minute],
      [{ endAt: at + hour, alive: { totalMs: 24 * hour - second, since: at } }, at + second],
      [{ endAt: at + hour, limits: { ...limits, idleTimeoutMs: null } }, at + hour],
    ] as const;
    for (const [changes, expected] of expiries) expect(expiresAt({ ...state, ...changes }, policy)).toBe(expected);
    expect(running(state)).toEqual(["idle", "end_at", "max_lifetime"]);
    expect(expiresAt(terminated(), policy)).toBeNull();
    expect(running(terminated({ newest: stopping(), alive: { totalMs: 0, since: at } }))).toEqual([]);
  });

  it("leaves out the provision deadline, which is not the client's to plan by", () => {
    const state = provisioning({ deadline: at + second }, { endAt: at + hour, alive: { totalMs: 0, since: null } });
    expect(running(state)).toEqual(["provision", "end_at"]);
    expect(expiresAt(state, policy)).toBe(at + hour);
    expect(nextDeadline({ ...state, newest: launching() }, policy)).toBe(at);
  });
});

describe("a clock that jumps", () => {
  it("an hour ahead kills nothing that was not due within that hour: it asks first [CLK-13]", () => {
    const state = session({
      newest: held(),
      endAt: at + 2 * hour,
      limits: { timeoutMs: hour, idleTimeoutMs: 2 * hour, maxLifetimeMs: 24 * hour },
    });
    expect(apply(state, time, when(hour)).type).toBe("ignored");
    expect(reconcile(state, at + hour, policy)).toEqual([{ type: "renew", generation: newest }]);
  });

  it("an hour back strands nothing: deadlines no such clock can have set are set anew [CLK-13]", () => {
    const far = at + hour;
    const again = (of: Session) => nextDeadline(move(of, time), policy);
    const quiet = {
      endAt: at + 100 * hour,
      limits: { timeoutMs: hour, idleTimeoutMs: null, maxLifetimeMs: 500 * hour },
    };
    expect(again(session({ ...quiet, newest: held({ nextRenewalAt: far }) }))).toBe(at);
    expect(again(lost({ ...quiet, newest: stopping({ step: { type: "waiting", nextAttemptAt: far } }) }))).toBe(at);
    const acting = { type: "acting", attemptId: attempt("s"), deadline: far } as const;
    expect(again(lost({ ...quiet, newest: stopping({ step: acting }) }))).toBe(at + minute);
    const asleep = {
      type: "parked",
      since: far,
      nextProbeAt: at + 2 * hour,
      hastened: false,
      attemptId: attempt("probe-1"),
    } as const;
    expect(again(lost({ ...quiet, newest: stopping({ step: asleep }) }))).toBe(at);
    expect(again(lost({ ...quiet, ghosts: [stopping({ step: asleep })] }))).toBe(at);
    expect(
      again(provisioning({}, { ...quiet, newest: launching({ step: { type: "confirming", nextAt: far } }) })),
    ).toBe(at);
    expect(again(provisioning({}, { ...quiet, newest: launching({ step: { ...acting } }) }))).toBe(at + minute);
    const confirming = launching({ deadline: far });
    expect(move(provisioning({}, { ...quiet, newest: confirming }), time).newest).toMatchObject({
      deadline: at + 4 * minute,
    });
    const opening = { type: "opening", attemptId: attempt("o"), deadline: far } as const;
    const reopened = move(provisioning({ step: opening }, quiet), time);
    expect(reopened.desired).toMatchObject({
      provision: { failures: 1, step: { type: "waiting", notBefore: at + 2 * second } },
    });
    const waiting = move(provisioning({ deadline: at + 2 * hour }, quiet), time);
    expect(waiting.desired).toMatchObject({ provision: { deadline: at + policy.provisionMs } });
    expect(noted(moveWith(provisioning({ deadline: at + 2 * hour }, quiet), time))).toEqual(["clock_went_back"]);
  });

  it("back leaves no sign of life ahead of now: a look from now on counts as later [CLK-13]", () => {
    const quiet = {
      endAt: at + 100 * hour,
      limits: { timeoutMs: hour, idleTimeoutMs: null, maxLifetimeMs: 500 * hour },
    };
    const near = { nextRenewalAt: at + second };
    for (const ahead of [{ acceptedSentAt: at + hour }, { heldAt: at + hour }]) {
      const state = session({ ...quiet, newest: held({ ...near, ...ahead }) });
      const mended = move(state, time);
      const expected = { ...near, acceptedSentAt: at - 10 * second, heldAt: at - 4 * minute };
      for (const key of Object.keys(ahead)) Object.assign(expected, { [key]: at });
      expect(mended.newest).toMatchObject(expected);
      const seen = { type: "observedAbsent", generation: newest, observation: look("absent", 0) } as const;
      expect(apply(state, seen).type).toBe("ignored");
      expect(apply(mended, seen).type).toBe("moved");
    }
    expect(apply(session({ ...quiet, newest: held({ ...near, acceptedSentAt: at, heldAt: at }) }), time).type).toBe(
      "ignored",
    );
  });

  it("back makes no launch and no opening wait longer than a provision has [CLK-13]", () => {
    const quiet = {
      endAt: at + 100 * hour,
      limits: { timeoutMs: hour, idleTimeoutMs: null, maxLifetimeMs: 500 * hour },
    };
    const until = (notBefore: number) => ({ type: "waiting", notBefore }) as const;
    const longest = at + policy.provisionMs;
    const launch = (notBefore: number) =>
      provisioning({ deadline: longest }, { ...quiet, newest: launching({ step: until(notBefore) }) });
    expect(apply(launch(longest), time).type).toBe("ignored");
    expect(move(launch(longest + 1), time).newest).toMatchObject({ step: until(at) });
    const open = (notBefore: number) => provisioning({ deadline: longest, step: until(notBefore) }, quiet);
    expect(apply(open(longest), time).type).toBe("ignored");
    expect(move(open(longest + 1), time).desired).toMatchObject({ provision: { step: until(at) } });
  });

  it("by less than any wait changes nothing: the longest that are ever set are left alone [CLK-13]", () => {
    const quiet = {
      endAt: at + 100 * hour,
      limits: { timeoutMs: hour, idleTimeoutMs: null, maxLifetimeMs: 500 * hour },
    };
    const longest: readonly Session[] = [
      session({ ...quiet, newest: held({ nextRenewalAt: at + minute }) }),
      lost({ ...quiet, newest: stopping({ step: { type: "waiting", nextAttemptAt: at + 360 * second } }) }),
      lost({
        ...quiet,
        newest: stopping({ step: { type: "acting", attemptId: attempt("s"), deadline: at + minute } }),
      }),
      lost({
        ...quiet,
        newest: stopping({
          step: { type: "parked", since: at, nextProbeAt: at + hour, hastened: false, attemptId: attempt("probe-1") },
        }),
      }),
      provisioning(
        { deadline: at + policy.provisionMs },
        { ...quiet, newest: launching({ step: { type: "confirming", nextAt: at + 11 * second } }) },
      ),
      provisioning({ step: { type: "opening", attemptId: attempt("o"), deadline: at + 21 * second } }, quiet),
    ];
    const resting = stopping({
      step: { type: "parked", since: at, nextProbeAt: at + hour, hastened: false, attemptId: attempt("probe-1") },
    });
    expect(apply(session({ ...quiet, ghosts: [resting] }), time).type).toBe("ignored");
    for (const state of longest) expect(apply(state, time)).toEqual({ type: "ignored", why: "nothing is due" });
  });
});
