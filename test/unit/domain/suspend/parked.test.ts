import { describe, expect, it } from "vitest";
import type { Stopping } from "../../../../src/domain/state/lease.ts";
import { launchBackoff, nextProbe } from "../../../../src/domain/rules/backoff.ts";
import { nextDeadline, reconcile } from "../../../../src/domain/rules/reconcile.ts";
import type { Session } from "../../../../src/domain/state/session.ts";
import {
  attempt,
  acting,
  apply,
  at,
  goneEvidence,
  hour,
  look,
  minute,
  move,
  moveWith,
  newest,
  noted,
  parked,
  policy,
  second,
  stopping,
  terminated,
  when,
} from "../../../support/sessions.ts";
import { failure } from "../../../support/every-event.ts";

function stoppingOf(of: Session): Stopping {
  if (of.newest?.phase !== "stopping") throw new Error(`it is ${of.newest?.phase}`);
  return of.newest;
}

describe("a parked lease", () => {
  const state = terminated({ newest: stopping(parked) });

  it("is only probed, never stopped again by itself [LEA-11]", () => {
    for (const offset of [0, hour, 1_000 * hour]) {
      expect(reconcile(state, at + offset, policy)).toEqual([{ type: "probe", generation: newest }]);
    }
    expect(reconcile(state, at - 1, policy)).toEqual([]);
    expect(apply(state, { type: "timePassed", jitter: 0 }, when(1_000 * hour)).type).toBe("ignored");
  });

  it("is probed after a minute, every ten for an hour, then hourly, without end [LEA-10] [LEA-11]", () => {
    let now: number = at;
    const step = {
      type: "parked",
      since: at,
      nextProbeAt: at + minute,
      hastened: false,
      attemptId: attempt("probe-1"),
    } as const;
    let end = terminated({ newest: stopping({ ...parked, step }) });
    const since = now;
    const offsets: number[] = [];
    for (let count = 0; count < 40; count += 1) {
      const due = nextDeadline(end, policy);
      if (due === null) throw new Error("the probes stopped");
      offsets.push(Math.round((due - since) / minute));
      now = due;
      expect(
        apply(end, { type: "probeStarted", generation: newest, attemptId: attempt("probe-1") }, when(now - at)).type,
      ).toBe("moved");
      end = move(end, { type: "probeStarted", generation: newest, attemptId: attempt("probe-1") }, when(now - at));
      const looks = [look("unknown", now - at)];
      end = move(
        end,
        {
          type: "probeFinished",
          generation: newest,
          attemptId: attempt("probe-1"),
          retired: null,
          looks,
          settledAt: now,
        },
        when(now - at + 5 * second),
      );
    }
    expect(offsets.slice(0, 9)).toEqual([1, 11, 21, 31, 41, 51, 61, 121, 181]);
    expect(offsets[39]).toBe(61 + 33 * 60);
    expect(stoppingOf(end).attempts).toHaveLength(8);
    expect(stoppingOf(end).step).toMatchObject({ type: "parked", since });
  });

  it("has its next probe stored before one begins: a crash costs one probe, not the chain [LEA-11]", () => {
    const after = stoppingOf(move(state, { type: "probeStarted", generation: newest, attemptId: attempt("probe-1") }));
    expect(after.step).toEqual({
      type: "parked",
      attemptId: attempt("probe-1"),
      since: parked.step.since,
      nextProbeAt: at + 10 * minute,
      hastened: false,
    });
    expect(nextProbe(stopping(parked), at - hour + 1, at, policy)).toBe(at + 10 * minute);
    expect(nextProbe(stopping(parked), at - hour, at, policy)).toBe(at + hour);
  });

  it("is probed at once for a client that waits: once, however often it asks, and not out of turn [LEA-12]", () => {
    const ask = { type: "probeRequested", generation: newest } as const;
    const resting = terminated({ newest: stopping({ ...parked, step: { ...parked.step, nextProbeAt: at + 1 } }) });
    const asked = move(resting, ask);
    expect(stoppingOf(asked).step).toEqual({ ...parked.step, nextProbeAt: at, hastened: true });
    const probed = move(asked, { type: "probeStarted", generation: newest, attemptId: attempt("probe-1") });
    for (const offset of [0, minute, 9 * minute]) expect(apply(probed, ask, when(offset)).type).toBe("ignored");
    expect(apply(state, ask)).toEqual({ type: "ignored", why: "its extra probe was made, or the next one is due" });
    for (const lease of [stopping(), stopping(acting)]) {
      expect(apply(terminated({ newest: lease }), ask)).toEqual({ type: "ignored", why: "it is not parked" });
    }
  });

  it("closes by what a probe proves [LEA-13]", () => {
    const done = moveWith(
      state,
      { type: "probeFinished", generation: newest, attemptId: attempt("probe-1"), ...goneEvidence() },
      when(2 * second),
    );
    expect(done.session.newest).toMatchObject({
      phase: "closed",
      receipt: { verifiedAbsentAt: at + second, attempts: parked.attempts },
    });
    expect(noted(done)).toEqual(["sandbox_gone", "terminated"]);
  });

  it("keeps what a probe saw when it proves nothing", () => {
    const probed = {
      type: "probeFinished",
      generation: newest,
      attemptId: attempt("probe-1"),
      retired: null,
      looks: [look("present", 0)],
      settledAt: at,
    } as const;
    const after = stoppingOf(move(state, probed));
    expect(after.lastError).toBe("something of it is still there");
    expect(after.observations).toEqual([look("present", 0)]);
    expect(after.step).toEqual(parked.step);
    expect(after.attempts).toEqual(parked.attempts);
  });

  it("is not probed unless it is parked, and a probe's late answer moves no stop that goes on", () => {
    for (const lease of [stopping(), stopping(acting)]) {
      const going = terminated({ newest: lease });
      expect(apply(going, { type: "probeStarted", generation: newest, attemptId: attempt("probe-1") })).toEqual({
        type: "ignored",
        why: "it is not parked",
      });
      const late = apply(going, {
        type: "probeFinished",
        generation: newest,
        attemptId: attempt("probe-1"),
        ...goneEvidence(),
      });
      expect(late).toEqual({ type: "ignored", why: "it is not parked any more" });
    }
  });
});

describe("the delay after a failed launch", () => {
  it("doubles from 2 s to a minute, with jitter, and is never shorter than the provider asks [LEA-22]", () => {
    const delays = [1, 2, 3, 4, 5, 6, 7, 30].map((count) => launchBackoff(count, 0.5, null, policy) / second);
    expect(delays).toEqual([2, 4, 8, 16, 32, 60, 60, 60]);
    expect(launchBackoff(1, 0, null, policy)).toBe(1_600);
    expect(launchBackoff(1, 0.999_999_999, null, policy)).toBe(2_400);
    expect(launchBackoff(1, 0, failure("no_capacity", "none", 45 * second), policy)).toBe(45 * second);
    expect(launchBackoff(7, 0.5, failure("no_capacity", "none", 45 * second), policy)).toBe(minute);
  });

  it("is not the same for all that were told the same instant: they would fail together once more [LEA-22]", () => {
    const told = failure("no_capacity", "none", 50 * second);
    const delays = [0, 0.25, 0.5, 0.999].map((jitter) => launchBackoff(1, jitter, told, policy) / second);
    expect(delays).toEqual([50, 52.5, 55, 59.99]);
  });
});
