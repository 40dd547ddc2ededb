import { describe, expect, it } from "vitest";
import { failed, succeeded } from "../../../../src/domain/state/failure.ts";
import { idleFor, stuckSince, teardownOverdueFrom } from "../../../../src/domain/rules/stuck.ts";
import type { Session } from "../../../../src/domain/state/session.ts";
import {
  acting,
  assertedGhost,
  at,
  ghostly,
  hour,
  launching,
  lost,
  minute,
  parked,
  paused,
  policy,
  provisioning,
  second,
  session,
  stopping,
  terminated,
} from "../../../support/sessions.ts";

function stuck(of: Session, now = at): number | null {
  return stuckSince(of, now, policy);
}

describe("a session is stuck", () => {
  it("since its launch was opened, or since its sandbox was asked for", () => {
    expect(stuck(provisioning({}, { newest: launching() }))).toBe(at - second);
    expect(stuck(provisioning({ deadline: at + 9 * minute }, { newest: null }))).toBe(at - minute);
    expect(stuck(provisioning({ deadline: at + 10 * minute }, { newest: null }))).toBe(at);
    expect(stuck(provisioning({ deadline: at + 10 * minute + 1 }, { newest: null }))).toBeNull();
    expect(stuck(provisioning({ deadline: at + 2 * minute }, { newest: stopping() }))).toBe(at - 8 * minute);
  });

  it("by a parked stop since it was asked for; by one that goes on only past the bound of all its attempts", () => {
    // Eight attempts of a minute, and 5 + 10 + 20 + 40 + 80 + 160 + 300 s between them, with their jitter.
    const bound = 8 * minute + 1.2 * 615 * second;
    expect(stuck(lost({ newest: stopping({ ...parked, requestedAt: at - minute }) }))).toBe(at - minute);
    for (const lease of [stopping(), stopping(acting)]) {
      const asked = lease.requestedAt;
      expect(stuck(terminated({ newest: lease }), asked + bound - 1)).toBeNull();
      expect(stuck(terminated({ newest: lease }), asked + bound)).toBe(asked + bound);
    }
  });

  it("past a clock that should have fired, not past a warning", () => {
    expect(stuck(session({ endAt: at - 5 }))).toBe(at - 5);
    expect(stuck(session({ endAt: at }))).toBe(at);
    expect(stuck(session({ endAt: at + 1 }))).toBeNull();
    const warned = at - minute + policy.pausedRetentionMs - policy.pausedWarningMs;
    expect(stuck(paused(), warned + hour)).toBeNull();
    const ended = at - minute + policy.pausedRetentionMs;
    expect(stuck(paused(), ended)).toBe(ended);
    expect(stuck(lost({ endAt: at - 7, newest: stopping({ ...parked, requestedAt: at - 3 }) }))).toBe(at - 7);
  });

  it("never when it is well", () => {
    for (const of of [session(), paused(), lost(), terminated()]) expect(stuck(of)).toBeNull();
  });
});

describe("a teardown is overdue", () => {
  const ghost = stopping({ ...parked, generation: ghostly });
  const from = (of: Session) => teardownOverdueFrom(of, policy);

  it("from the moment it is parked, or past the bound of its attempts; a ghost's as well as the newest lease's [FLT-13]", () => {
    expect(from(lost({ newest: stopping(parked) }))).toBe(parked.step.since);
    expect(from(session({ ghosts: [ghost] }))).toBe(parked.step.since);
    expect(from(terminated({ ghosts: [ghost] }))).toBe(parked.step.since);
    const lease = stopping();
    const bound = 8 * minute + 1.2 * 615 * second;
    expect(from(terminated({ newest: lease }))).toBe(lease.requestedAt + bound);
    // A running session with a ghost is not stuck: nothing of it must be ended for that.
    expect(stuck(session({ ghosts: [ghost] }))).toBeNull();
  });

  it("never where none is under way, nor where an operator's word stands", () => {
    for (const of of [session(), paused(), lost(), terminated(), session({ ghosts: [assertedGhost] })])
      expect(from(of)).toBeNull();
  });
});

describe("the time a session was idle", () => {
  it("counts while something is held and no job is believed to run", () => {
    const since = (changes: Partial<Session["activity"]>) =>
      session({ activity: { lastAt: at - minute, activeJobs: 0, reportedAt: at, ...changes } });
    expect(idleFor(since({}), at, policy)).toBe(minute);
    expect(idleFor(since({ activeJobs: 1 }), at, policy)).toBe(0);
    expect(idleFor(since({ activeJobs: 1, reportedAt: at - 150 * second }), at, policy)).toBe(minute);
    expect(idleFor(since({ lastAt: at + 1 }), at, policy)).toBe(0);
    for (const of of [paused(), lost({ newest: null }), provisioning()]) expect(idleFor(of, at + hour, policy)).toBe(0);
  });
});

describe("what a provider's call answers", () => {
  it("is a value, or a failure that says whether anything may have happened", () => {
    expect(succeeded(7)).toEqual({ ok: true, value: 7 });
    const failure = { code: "no_capacity", message: "full", effect: "none" };
    expect(failed("no_capacity", "full", "none")).toEqual({ ok: false, failure });
    expect(failed("no_capacity", "full", "none")).not.toHaveProperty("failure.retryAfterMs");
    expect(failed("no_capacity", "full", "none", 5)).toEqual({ ok: false, failure: { ...failure, retryAfterMs: 5 } });
  });
});
