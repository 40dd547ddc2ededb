import { describe, expect, it } from "vitest";
import type { ContainerId } from "../../../../src/domain/state/ids.ts";
import { observationsKept, type Stopping } from "../../../../src/domain/state/lease.ts";
import { beginStop } from "../../../../src/domain/machine/stop/begin-stop.ts";
import { stopBackoff } from "../../../../src/domain/rules/backoff.ts";
import { reconcile } from "../../../../src/domain/rules/reconcile.ts";
import type { Session } from "../../../../src/domain/state/session.ts";
import { wrapperProtocol } from "../../../../src/domain/state/wrapper-protocol.ts";
import {
  acting,
  apply,
  at,
  attempt,
  boot,
  candidate,
  everySession,
  goneEvidence,
  held,
  host,
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
  policy,
  provisioning,
  second,
  session,
  stopping,
  terminated,
  when,
} from "../../../support/sessions.ts";
import { failure } from "../../../support/every-event.ts";

function stoppingOf(of: Session): Stopping {
  if (of.newest?.phase !== "stopping") throw new Error(`it is ${of.newest?.phase}`);
  return of.newest;
}

const nothingHeard = { retired: null, looks: [], error: "timed out" } as const;

/** Drives a lease through failed attempts, each at its due time, until it is parked; answers the delays between. */
function failAll(
  jitter: number,
  report: boolean,
): { readonly delays: number[]; readonly end: Session; readonly now: number } {
  let state = terminated({ newest: stopping({ step: { type: "waiting", nextAttemptAt: at } }) });
  let now = at;
  const delays: number[] = [];
  for (let count = 1; count <= 20; count += 1) {
    const due = stoppingOf(state).step;
    if (due.type === "parked") break;
    if (due.type !== "waiting") throw new Error("it is not waiting");
    delays.push(due.nextAttemptAt - now);
    now = due.nextAttemptAt;
    expect(
      apply(state, { type: "stopStarted", generation: newest, attemptId: attempt("early") }, when(now - at - 1)).type,
    ).toBe("ignored");
    const attemptId = attempt(`try-${count}`);
    state = move(state, { type: "stopStarted", generation: newest, attemptId }, when(now - at));
    expect(reconcile(state, now, policy)).toEqual([]);
    if (report) {
      now += 3 * second;
      const settledAt = now;
      state = move(
        state,
        { type: "stopFinished", generation: newest, attemptId, settledAt, jitter, ...nothingHeard },
        when(now - at),
      );
    } else {
      expect(apply(state, { type: "timePassed", jitter }, when(now + policy.stopAttemptMs - 1 - at)).type).toBe(
        "ignored",
      );
      now += policy.stopAttemptMs;
      state = move(state, { type: "timePassed", jitter }, when(now - at));
    }
  }
  return { delays, end: state, now };
}

describe("stop attempts", () => {
  const plain = [0, 5, 10, 20, 40, 80, 160, 300].map((delay) => delay * second);

  for (const report of [true, false]) {
    const how = report ? "that fail" : "that are never reported back";
    for (const [jitter, factor] of [
      [0, 0.8],
      [0.5, 1],
      [0.999_999_999, 1.2],
    ] as const) {
      it(`${how} are eight, at once and then 5 s doubling to 5 min, times ${factor} [LEA-10]`, () => {
        const { delays, end, now } = failAll(jitter, report);
        expect(delays).toEqual(plain.map((delay) => Math.round(delay * factor)));
        const lease = stoppingOf(end);
        expect(lease.attempts).toHaveLength(8);
        expect(lease.attempts.map((each) => each.outcome)).toEqual(Array(8).fill(report ? "failed" : "abandoned"));
        expect(lease.attempts.every((each) => each.endedAt !== null && each.error !== null)).toBe(true);
        expect(lease.step).toEqual({
          type: "parked",
          since: now,
          nextProbeAt: now + minute,
          hastened: false,
          attemptId: null,
        });
      });
    }
  }

  it("wait no longer than the cap, jitter aside [LEA-10]", () => {
    expect(stopBackoff(1, 0.5, policy)).toBe(5 * second);
    expect(stopBackoff(7, 0.5, policy)).toBe(300 * second);
    expect(stopBackoff(40, 0.5, policy)).toBe(300 * second);
    expect(stopBackoff(40, 0, policy)).toBe(240 * second);
  });

  it("keep their number, backoff and reason when a second stop is asked for [LEA-5] [LEA-10]", () => {
    const waiting = stopping({
      reason: "lapsed",
      attempts: parked.attempts.slice(0, 3),
      step: { type: "waiting", nextAttemptAt: at + 17 * second },
    });
    const after = move(lost({ newest: waiting }), { type: "terminateRequested", reason: "requested", failure: null });
    expect(after.newest).toEqual(waiting);
    expect(beginStop(waiting, "terminated", at + hour, policy)).toBe(waiting);
    expect(
      move(lost({ newest: stopping(parked) }), { type: "terminateRequested", reason: "operator", failure: null })
        .newest,
    ).toEqual(stopping(parked));
  });

  it("begin at once, with certain expiry one TTL after the last renewal that was sent [LEA-5]", () => {
    const lease = held({
      renewals: { sequence: 9, lastSentAt: at + 30 * second, sendsUntil: null },
      acceptedSentAt: at - minute,
    });
    expect(beginStop(lease, "lost", at + 31 * second, policy)).toEqual({
      ...stopping({ requestedAt: at + 31 * second, certainExpiry: at + 330 * second }),
      openedAt: lease.openedAt,
      heldAt: lease.heldAt,
      // Who caused it is written with the whole session in sight, once for every way to stop.
      cause: undefined,
      step: { type: "waiting", nextAttemptAt: at + 31 * second },
    });
  });

  it("count certain expiry from the last instant a launch may land, when nothing was renewed", () => {
    const lease = launching({ launchNotAfter: at + 40 * second });
    expect(beginStop(lease, "launch_failed", at, policy).certainExpiry).toBe(at + 340 * second);
  });

  it("do not begin before their time, nor twice, nor when parked", () => {
    const event = { type: "stopStarted", generation: newest, attemptId: attempt("again") } as const;
    const later = terminated({ newest: stopping({ step: { type: "waiting", nextAttemptAt: at + 1 } }) });
    for (const state of [later, terminated({ newest: stopping(acting) }), terminated({ newest: stopping(parked) })]) {
      const outcome = apply(state, event);
      expect(outcome).toEqual({ type: "ignored", why: "no attempt is due" });
    }
    expect(stoppingOf(move(later, event, when(1))).step).toEqual({
      type: "acting",
      attemptId: attempt("again"),
      deadline: at + 1 + policy.stopAttemptMs,
    });
  });

  it("are named by reconcile when they are due, and not before [LEA-10]", () => {
    const state = terminated({ newest: stopping({ step: { type: "waiting", nextAttemptAt: at } }) });
    expect(reconcile(state, at - 1, policy)).toEqual([]);
    expect(reconcile(state, at, policy)).toEqual([{ type: "stop", generation: newest }]);
    expect(reconcile(terminated({ newest: stopping(acting) }), at + hour, policy)).toEqual([]);
  });

  it("ignore the result of an older attempt, evidence and all [LEA-8]", () => {
    const state = terminated({ newest: stopping(acting) });
    const late = {
      type: "stopFinished",
      generation: newest,
      attemptId: attempt("stop-0"),
      ...goneEvidence(),
      error: null,
      jitter: 0,
    } as const;
    expect(apply(state, late)).toEqual({ type: "ignored", why: "the result of an older attempt" });
    const waiting = move(state, { type: "timePassed", jitter: 0.5 }, when(minute));
    expect(apply(waiting, { ...late, attemptId: attempt("stop-1") }, when(minute + 1)).type).toBe("ignored");
  });

  it("say what they found: failed, still present, or not verified", () => {
    const state = terminated({ newest: stopping(acting) });
    const finished = {
      type: "stopFinished",
      generation: newest,
      attemptId: attempt("stop-1"),
      settledAt: at,
      jitter: 0.5,
    } as const;
    const retired = { at, host, boot };
    const outcomes = [
      { retired, looks: [look("present", 0)], error: "unavailable: no" },
      { retired, looks: [look("present", 0)], error: null },
      { retired, looks: [look("unknown", 0)], error: null },
    ].map((found) => {
      const moved = moveWith(state, { ...finished, ...found });
      expect(noted(moved)).toEqual(["stop_failed"]);
      return stoppingOf(moved.session);
    });
    expect(outcomes.map((lease) => lease.attempts[0]?.outcome)).toEqual(["failed", "still_present", "unverified"]);
    expect(outcomes.map((lease) => lease.lastError)).toEqual([
      "unavailable: no",
      "something of it is still there",
      "it takes two looks",
    ]);
    for (const lease of outcomes) {
      expect(lease.attempts[0]).toMatchObject({ endedAt: at, error: lease.lastError });
      expect(lease.retired).toEqual(retired);
      expect(lease.observations).toHaveLength(1);
    }
  });

  it("that fail leave all else as it is: no job is settled, the time with a sandbox runs on, older attempts keep their words", () => {
    const [older] = parked.attempts;
    if (older === undefined) throw new Error("no attempt");
    const both = stopping({ ...acting, attempts: [older, ...acting.attempts] });
    const state = provisioning({ purpose: "relaunch" }, { newest: both, alive: { totalMs: 0, since: at - minute } });
    const finished = {
      type: "stopFinished",
      generation: newest,
      attemptId: attempt("stop-1"),
      settledAt: at,
      jitter: 0.5,
    } as const;
    const moved = moveWith(state, { ...finished, ...nothingHeard });
    expect(moved.effects).toEqual([
      {
        type: "note",
        note: {
          type: "stop_failed",
          cause: "timed out",
          generation: newest,
          facts: { attempt: 2, error: "timed out" },
        },
      },
    ]);
    expect(moved.session.alive).toEqual(state.alive);
    expect(stoppingOf(moved.session).attempts[0]).toBe(older);
    const abandoned = moveWith(state, { type: "timePassed", jitter: 0.5 }, when(minute));
    expect(noted(abandoned)).toEqual(["stop_failed"]);
  });

  it("keep the newest twenty observations, oldest first", () => {
    const many = Array.from({ length: observationsKept }, (_, index) => look("unknown", index));
    const state = terminated({ newest: stopping({ ...acting, observations: many }) });
    const finished = {
      type: "stopFinished",
      generation: newest,
      attemptId: attempt("stop-1"),
      settledAt: at,
      jitter: 0.5,
    } as const;
    const lease = stoppingOf(move(state, { ...finished, retired: null, looks: [look("unknown", 99)], error: null }));
    expect(lease.observations.map((each) => each.beganAt - at)).toEqual([
      ...Array.from({ length: 19 }, (_, index) => index + 1),
      99,
    ]);
  });

  it("take an acknowledgement from the recorded host only", () => {
    const state = terminated({ newest: stopping(acting) });
    const finished = {
      type: "stopFinished",
      generation: newest,
      attemptId: attempt("stop-1"),
      ...goneEvidence(),
      error: null,
      jitter: 0.5,
    } as const;
    const lease = stoppingOf(move(state, { ...finished, retired: { at, host: "host-b", boot } }));
    expect(lease.retired).toBeNull();
    expect(lease.attempts[0]?.outcome).toBe("unverified");
    const nobody = terminated({ newest: stopping({ ...acting, host: null }) });
    const elsewhere = (beganAt: number) => look("absent", beganAt, candidate(), { host: "host-b" });
    const closed = move(nobody, {
      ...finished,
      retired: { at, host: "host-b", boot },
      looks: [elsewhere(0), elsewhere(second)],
    });
    expect(closed.newest).toMatchObject({ phase: "closed", host: "host-b" });
  });

  it("keep an earlier acknowledgement when a later one does not come", () => {
    const retired = { at: at - second, host, boot };
    const state = terminated({ newest: stopping({ ...acting, retired }) });
    const finished = {
      type: "stopFinished",
      generation: newest,
      attemptId: attempt("stop-1"),
      ...goneEvidence(),
      error: null,
      jitter: 0.5,
    } as const;
    expect(move(state, { ...finished, retired: null }).newest).toMatchObject({ phase: "closed", receipt: { retired } });
  });
});

describe("a proven stop", () => {
  const finished = {
    type: "stopFinished",
    generation: newest,
    attemptId: attempt("stop-1"),
    ...goneEvidence(),
    error: null,
    jitter: 0.5,
  } as const;

  it("becomes a receipt with all of its evidence [LEA-13]", () => {
    const state = terminated({
      newest: stopping({ ...acting, earlierAttempts: 8, observations: [look("unknown", -minute)] }),
    });
    const moved = moveWith(state, finished, when(2 * second));
    expect(moved.session.newest).toEqual({
      ...candidate(),
      host,
      openedAt: at - 5 * minute,
      phase: "closed",
      receipt: {
        reason: "lost",
        requestedAt: at - minute,
        attempts: [
          {
            attemptId: "stop-1",
            startedAt: at - second,
            endedAt: at + 2 * second,
            outcome: "verified_absent",
            error: null,
          },
        ],
        earlierAttempts: 8,
        observations: [look("unknown", -minute), look("absent", 0), look("absent", second)],
        retired: { at, host, boot },
        verifiedAbsentAt: at + second,
        assertion: null,
        facts: {
          cause: { by: "mooring", terminateReason: null },
          heldAt: null,
          endAt: state.endAt,
          limits: state.limits,
          charge: null,
          snapshot: null,
        },
      },
    });
    expect(noted(moved)).toEqual(["sandbox_gone", "terminated"]);
    const gone = { type: "sandbox_gone", cause: "verified absent", generation: newest, facts: { attempts: 9 } };
    expect(moved.effects).toContainEqual({ type: "note", note: gone });
    expect(moved.effects).toContainEqual({ type: "settleJobs", generation: newest, as: "interrupted" });
  });

  it("closes although the stop call itself failed: the evidence counts", () => {
    const state = terminated({ newest: stopping(acting) });
    expect(move(state, { ...finished, error: "not_found" }).newest?.phase).toBe("closed");
  });

  it("ends the time with a sandbox, and a session that goes on has lost its jobs", () => {
    const state = lost({ newest: stopping(acting), alive: { totalMs: 5 * second, since: at - minute } });
    const moved = moveWith(state, finished, when(10 * second));
    expect(moved.session.alive).toEqual({ totalMs: 75 * second, since: null });
    expect(moved.effects).toContainEqual({ type: "settleJobs", generation: newest, as: "lost" });
    const jumpedBack = move(lost({ newest: stopping(acting), alive: { totalMs: 5, since: at + hour } }), finished);
    expect(jumpedBack.alive).toEqual({ totalMs: 5, since: null });
  });

  it("happens only by proof: no other event closes a stopping lease in any state [LEA-13] [LEA-23]", () => {
    for (const { session: state, name } of everySession()) {
      if (state.newest?.phase !== "stopping") continue;
      for (const type of ["observedAbsent", "observedUnknown", "observedPresent"] as const) {
        const seen = look(
          type === "observedAbsent" ? "absent" : type === "observedUnknown" ? "unknown" : "present",
          hour,
        );
        expect(apply(state, { type, generation: newest, observation: seen }, when(hour)).type, name).toBe("ignored");
      }
      const aYearOn = apply(state, { type: "timePassed", jitter: 0.5 }, when(365 * 24 * hour));
      if (aYearOn.type === "moved") expect(aYearOn.session.newest?.phase, name).toBe("stopping");
    }
  });
});

describe("a stopping lease", () => {
  it("is never renewed: a renewal that races the stop loses [LEA-15] [LEA-11]", () => {
    const running = session({
      newest: held({ renewals: { sequence: 8, lastSentAt: at, sendsUntil: null }, nextRenewalAt: at }),
    });
    const ended = move(running, { type: "terminateRequested", reason: "requested", failure: null });
    const accepted = {
      type: "renewalAccepted",
      generation: newest,
      sequence: 8,
      sentAt: at,
      protocol: wrapperProtocol,
      activeJobs: 0,
      idleMs: 0,
      jitter: 0,
    } as const;
    expect(apply(ended, accepted, when(second))).toEqual({ type: "ignored", why: "no lease here is renewed" });
    expect(apply(ended, { type: "renewalStarted", generation: newest, sequence: 9 }).type).toBe("ignored");
    expect(
      apply(ended, { type: "renewalFailed", generation: newest, sequence: 8, failure: failure("timed_out"), jitter: 0 })
        .type,
    ).toBe("ignored");
    for (const offset of [0, hour, 100 * hour]) {
      expect(reconcile(ended, at + offset, policy).map((step) => step.type)).not.toContain("renew");
    }
  });
});

describe("a member of a shared container that was proven gone as a whole", () => {
  const container = "c0000000000000000000" as ContainerId;
  const gone = { type: "containerGone", container } as const;

  it("[BUG-26] tries its pending stop at once, and its next probe when it is parked; the attempts go on counting", () => {
    const waiting = stopping({ container, ...acting, step: { type: "waiting", nextAttemptAt: at + minute } });
    const hastened = move(lost({ isolation: "shared", newest: waiting }), gone).newest;
    expect(hastened).toEqual({ ...waiting, step: { type: "waiting", nextAttemptAt: at } });
    const asleep = stopping({ ...parked, container, step: { ...parked.step, nextProbeAt: at + hour } });
    expect(move(lost({ isolation: "shared", newest: null, ghosts: [asleep] }), gone).ghosts).toEqual([
      { ...asleep, step: { ...parked.step, nextProbeAt: at } },
    ]);
  });

  it("[BUG-26] moves nothing that is elsewhere, under way, or due already", () => {
    const elsewhere = stopping({ step: { type: "waiting", nextAttemptAt: at + minute } });
    for (const newestLease of [elsewhere, stopping({ container, ...acting }), stopping({ container })])
      expect(apply(lost({ isolation: "shared", newest: newestLease }), gone).type).toBe("ignored");
  });
});
