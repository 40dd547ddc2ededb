/** A clock that went back: every instant that is stored, and the longest that each may lie ahead. */
import { describe, expect, it } from "vitest";
import { clockHasGoneBack } from "../../../../src/domain/machine/lifetime/on-clock-back.ts";
import { stateViolations } from "../../../../src/domain/machine/invariants.ts";
import { nextDeadline } from "../../../../src/domain/rules/reconcile.ts";
import { orDueNow, orNow, orFullLength, stillAhead } from "../../../../src/domain/rules/instants.ts";
import { deleteBackoff } from "../../../../src/domain/rules/backoff.ts";
import type { Session } from "../../../../src/domain/state/session.ts";
import {
  at,
  attempt,
  discarded,
  draining,
  everySession,
  held,
  hour,
  lost,
  minute,
  move,
  paused,
  policy,
  second,
  session,
  stopping,
  when,
} from "../../../support/sessions.ts";

const back = { type: "timePassed", jitter: 0.5, rule: "clock_went_back" } as const;
const far = { endAt: at + 100 * hour, limits: { timeoutMs: hour, idleTimeoutMs: null, maxLifetimeMs: 500 * hour } };

describe("an instant of Mooring's own", () => {
  it("[BUG-11] is waited for no longer than the longest wait of its kind", () => {
    expect([
      stillAhead(at, at, minute),
      stillAhead(at + 1, at, minute),
      stillAhead(at + minute + 1, at, minute),
    ]).toEqual([false, true, false]);
    expect([orDueNow(at + minute, at, minute), orDueNow(at + minute + 1, at, minute)]).toEqual([at + minute, at]);
    expect([orFullLength(at + hour, at, minute), orFullLength(at + 1, at, minute)]).toEqual([at + minute, at + 1]);
    expect([orNow(at + 1, at), orNow(at - 1, at)]).toEqual([at, at - 1]);
  });
});

describe("a clock that went back an hour", () => {
  it("[BUG-11] leaves no gate longer than its bound: neither a drain nor a save nor a preparation", () => {
    const saving = { type: "saving", for: "pause", attemptId: attempt("s"), deadline: at + hour } as const;
    const suspended = {
      newest: held({ gate: draining("pause", at + hour) }),
      alive: { totalMs: 0, since: at - minute },
    };
    expect(move(paused(suspended), back).newest).toMatchObject({ gate: { deadline: at + policy.drainMs } });
    expect(move(paused({ ...suspended, newest: held({ gate: saving }) }), back).newest).toMatchObject({
      gate: { deadline: at + policy.snapshotMs },
    });
    const preparing = { type: "preparing", purpose: "create", attemptId: attempt("p") } as const;
    const gate = { ...preparing, nextAt: at + hour, deadline: at + 2 * hour };
    expect(move(session({ ...far, newest: held({ gate }) }), back).newest).toMatchObject({
      gate: { nextAt: at, deadline: at + policy.prepareMs },
    });
  });

  it("[BUG-11] puts off neither a queued resume, nor the idle clock, nor what a retirement proves", () => {
    const queued = paused({
      ...far,
      newest: stopping({ reason: "paused", certainExpiry: at - hour }),
      warnedOfPause: at + hour,
      desired: { type: "suspended", cause: "pause", since: at + hour, resumeQueued: true },
    });
    expect(move(queued, back)).toMatchObject({ desired: { since: at }, warnedOfPause: at });
    const active = { lastAt: at + hour, activeJobs: 1, reportedAt: at + hour };
    expect(move(session({ ...far, activity: active }), back).activity).toEqual({
      lastAt: at,
      activeJobs: 1,
      reportedAt: at,
    });
    const retired = { at: at + hour, host: "host-a", boot: "boot-1" };
    expect(move(lost({ ...far, newest: stopping({ retired }) }), back).newest).toMatchObject({ retired: { at } });
    expect(move(session({ ...far, alive: { totalMs: 7, since: at + hour } }), back).alive.since).toBe(at);
  });

  it("makes no attempt before its backoff: neither of a stop nor of a deletion waits less, nor more than the whole of it [LEA-10] [DEL-6]", () => {
    const failed = {
      attemptId: attempt("stop-1"),
      startedAt: at - second,
      endedAt: at,
      outcome: "unverified",
      error: "no answer",
    } as const;
    const wait = policy.stopBackoffBaseMs * (1 + policy.stopBackoffJitter);
    const waiting = { type: "waiting", nextAttemptAt: at + wait + minute } as const;
    const ending = lost({ ...far, newest: stopping({ attempts: [failed], step: waiting }) });
    expect(move(ending, back).newest).toMatchObject({ step: { nextAttemptAt: at + wait } });
    const first = lost({ ...far, newest: stopping({ step: { type: "waiting", nextAttemptAt: at + hour } }) });
    expect(move(first, back).newest).toMatchObject({ step: { nextAttemptAt: at } });

    const deletion = { type: "waiting", notBefore: at + hour } as const;
    const refused = { ...discarded(), failures: 1, deletion };
    expect(move(session({ ...far, discarded: [refused] }), back).discarded).toMatchObject([
      { deletion: { notBefore: at + deleteBackoff(1, 1, policy) } },
    ]);
  });

  it("[BUG-11] covers no renewal that is sent from then on: the next one is stored first", () => {
    const renewals = { sequence: 7, lastSentAt: at + hour, sendsUntil: at + hour + minute, ttlMs: policy.leaseTtlMs };
    expect(move(session({ ...far, newest: held({ renewals }) }), back).newest).toMatchObject({
      renewals: { sequence: 7, lastSentAt: at, sendsUntil: null },
    });
  });

  it("[BUG-11] leaves every state with a deadline that this clock can have set, breaks nothing, and is mended once", () => {
    const longest = Math.max(policy.assertedProbeMs, policy.parkedProbeSlowMs, policy.provisionMs, policy.prepareMs);
    for (const { name, session: state, reachable } of everySession()) {
      const distant: Session = { ...state, ...far, endAt: at + 1_000 * hour };
      const now = when(-5 * hour);
      if (!clockHasGoneBack(distant, now)) continue;
      const mended = move(distant, back, now);
      expect(clockHasGoneBack(mended, now), name).toBe(false);
      if (!reachable) continue;
      expect(stateViolations(mended, policy), name).toEqual([]);
      // What a wrapper's own clock measures is left alone: a ghost may be made too late, never too early.
      if (mended.newest?.phase === "stopping" || mended.desired.type !== "running") continue;
      expect(nextDeadline(mended, policy), name).toBeLessThanOrEqual(now.now + longest);
    }
  });

  it("[BUG-11] by less than any wait changes nothing", () => {
    const state = session({ ...far, newest: held({ gate: draining("rebuild", at + policy.drainMs) }) });
    expect(clockHasGoneBack(state, when())).toBe(false);
    expect(clockHasGoneBack(state, when(-second))).toBe(true);
  });
});
