import { describe, expect, it } from "vitest";
import type { Held } from "../../../../src/domain/state/lease.ts";
import { lapsesAt } from "../../../../src/domain/rules/lease-times.ts";
import { afterReload, renewEvery, sendIsCovered } from "../../../../src/domain/machine/lifetime/on-renewal.ts";
import { nextDeadline, quietWakeEnds, reconcile } from "../../../../src/domain/rules/reconcile.ts";
import type { Session } from "../../../../src/domain/state/session.ts";
import { statusOf } from "../../../../src/domain/rules/status.ts";
import { wrapperProtocol } from "../../../../src/domain/state/wrapper-protocol.ts";
import { failure } from "../../../support/every-event.ts";
import { generation } from "../../../support/reports.ts";
import {
  apply,
  at,
  candidate,
  held,
  hour,
  launching,
  look,
  minute,
  move,
  moveWith,
  newest,
  noted,
  policy,
  provisioning,
  second,
  session,
  when,
} from "../../../support/sessions.ts";

function heldOf(of: Session): Held {
  if (of.newest?.phase !== "held") throw new Error(`it is ${of.newest?.phase}`);
  return of.newest;
}

const accepted = (
  sequence: number,
  changes: { sentAt?: number; activeJobs?: number; idleMs?: number; protocol?: number } = {},
) =>
  ({
    type: "renewalAccepted",
    generation: newest,
    sequence,
    sentAt: at,
    protocol: wrapperProtocol,
    activeJobs: 0,
    idleMs: hour,
    jitter: 0,
    ...changes,
  }) as const;
const failed = (sequence: number, why = failure("timed_out", "unknown")) =>
  ({ type: "renewalFailed", generation: newest, sequence, failure: why, jitter: 0.5 }) as const;

describe("the first accepted renewal", () => {
  const asked = provisioning(
    { purpose: "create" },
    { newest: launching({ renewals: { sequence: 1, lastSentAt: at, sendsUntil: null } }), startedAt: null },
  );

  it("makes a launch held, and nothing before it does [LEA-1]", () => {
    const moved = moveWith(asked, accepted(1, { activeJobs: 2 }), when(second));
    expect(heldOf(moved.session)).toEqual({
      wrapper: { protocol: wrapperProtocol, launchedBy: wrapperProtocol, replacement: { type: "none" } },
      ...candidate(),
      host: "host-a",
      openedAt: at - second,
      phase: "held",
      heldAt: at + second,
      renewals: {
        sequence: 1,
        lastSentAt: at,
        sendsUntil: at + minute + policy.observeMs,
      },
      acceptedSentAt: at,
      acceptedTtlMs: policy.leaseTtlMs,
      nextRenewalAt: at + minute,
      failures: 0,
      launchNotAfter: at + 59 * second,
      gate: { type: "open" },
    });
    expect(moved.session).toMatchObject({
      desired: { type: "running", provision: null },
      startedAt: at + second,
      activity: { lastAt: at + second, activeJobs: 2, reportedAt: at + second },
    });
    expect(statusOf(moved.session)).toBe("running");
    expect(noted(moved)).toEqual(["running"]);
    expect(move({ ...asked, startedAt: at - hour }, accepted(1)).startedAt).toBe(at - hour);
    expect(apply(asked, accepted(0)).type).toBe("ignored");
    expect(apply(asked, accepted(2)).type).toBe("ignored");
  });

  it("of another sandbox than the client had says so", () => {
    for (const [purpose, notes] of [
      ["create", ["running"]],
      ["resume", ["running"]],
      ["relaunch", ["running", "sandbox_replaced"]],
      ["rebuild", ["running", "sandbox_replaced"]],
    ] as const) {
      const state = provisioning(
        { purpose },
        { newest: launching({ renewals: { sequence: 1, lastSentAt: at, sendsUntil: null } }) },
      );
      expect(noted(moveWith(state, accepted(1)))).toEqual(notes);
    }
  });

  it("in a protocol that is not supported stops the launch, and the next one waits", () => {
    const after = move(asked, accepted(1, { protocol: 99 }));
    expect(after.newest).toMatchObject({ phase: "stopping", reason: "protocol" });
    expect(after.desired).toMatchObject({
      provision: { failures: 1, step: { notBefore: at + minute }, lastError: { code: "protocol_unsupported" } },
    });
  });

  it("from a foreign instance stops the launch; any other failure is asked again", () => {
    const foreign = move(asked, failed(1, failure("foreign_instance")));
    expect(foreign.newest).toMatchObject({ phase: "stopping", reason: "foreign" });
    expect(foreign.desired).toMatchObject({ provision: { failures: 1, step: { notBefore: at + 2 * second } } });
    const again = provisioning(
      { failures: 3 },
      { newest: launching({ renewals: { sequence: 1, lastSentAt: at, sendsUntil: null } }) },
    );
    const later = move(again, failed(1, failure("foreign_instance")));
    expect(later.desired).toMatchObject({ provision: { failures: 4, step: { notBefore: at + 16 * second } } });
    expect(move(asked, failed(1)).newest).toMatchObject({
      phase: "launching",
      step: { type: "confirming", nextAt: at + second },
    });
    expect(apply(asked, failed(0)).type).toBe("ignored");
    const flying = launching({ step: { type: "acting", attemptId: "a" as never, deadline: at + 1 } });
    expect(apply(provisioning({}, { newest: flying }), failed(0)).type).toBe("ignored");
    expect(
      apply(provisioning({}, { newest: flying }), { type: "renewalStarted", generation: newest, sequence: 1 }).type,
    ).toBe("ignored");
  });
});

describe("a renewal", () => {
  const state = session();
  const asked = () =>
    provisioning({}, { newest: launching({ renewals: { sequence: 1, lastSentAt: at, sendsUntil: null } }) });

  it("is stored before it is sent: its send extends certain expiry whether an answer comes or not [LEA-6]", () => {
    const sent = move(state, { type: "renewalStarted", generation: newest, sequence: 8 }, when(minute));
    expect(heldOf(sent)).toEqual({
      ...held(),
      renewals: { sequence: 8, lastSentAt: at + minute, sendsUntil: null, ttlMs: policy.leaseTtlMs },
      nextRenewalAt: at + minute + 11 * second,
    });
    const ended = move(sent, { type: "terminateRequested", reason: "requested", failure: null }, when(minute + 1));
    expect(ended.newest).toMatchObject({ certainExpiry: at + minute + policy.leaseTtlMs });
    const back = move(
      session({ newest: held({ renewals: { sequence: 7, lastSentAt: at + hour, sendsUntil: null } }) }),
      {
        type: "renewalStarted",
        generation: newest,
        sequence: 8,
      },
    );
    expect(heldOf(back).renewals.lastSentAt).toBe(at + hour);
    const asking = provisioning({}, { newest: launching() });
    expect(move(asking, { type: "renewalStarted", generation: newest, sequence: 1 }).newest).toMatchObject({
      renewals: { sequence: 1, lastSentAt: at, sendsUntil: null },
      step: { type: "confirming", nextAt: at + 11 * second },
    });
  });

  it("that was accepted covers the next send: it needs no write, certain expiry counts it, and its number is skipped after a crash [I1] [I8]", () => {
    const renewed = move(session(), accepted(7, { sentAt: at }));
    const { sendsUntil } = heldOf(renewed).renewals;
    expect(sendsUntil).toBe(at + minute + policy.observeMs);
    expect(sendIsCovered(renewed, at + minute + policy.observeMs, policy)).toBe(true);
    expect(sendIsCovered(renewed, at + minute + policy.observeMs + 1, policy)).toBe(false);
    // One that failed covers nothing: its wrapper's life is counted from what was sent and stored.
    expect(sendIsCovered(move(renewed, failed(7)), at, policy)).toBe(false);
    expect(sendIsCovered(asked(), at, policy)).toBe(false);
    const ended = move(renewed, { type: "terminateRequested", reason: "requested", failure: null }, when(second));
    expect(ended.newest).toMatchObject({ certainExpiry: at + minute + policy.observeMs + policy.leaseTtlMs });
    // Sent, not stored, crashed: what is loaded skips the number that may be out there.
    expect(heldOf(afterReload(renewed)).renewals.sequence).toBe(8);
    expect(move(afterReload(renewed), { type: "renewalStarted", generation: newest, sequence: 9 })).toMatchObject({
      newest: { renewals: { sequence: 9 } },
    });
    const uncovered = session();
    expect(afterReload(uncovered)).toBe(uncovered);
    expect(afterReload(asked())).toEqual(asked());
  });

  it("keeps to whole seconds, so that a quiet wake knows where it ends before it begins [I5]", () => {
    const renewed = move(session(), accepted(7, { sentAt: at }));
    const woken = at + minute + 3;
    const ends = quietWakeEnds(renewed, woken, policy);
    expect(ends).toBe(at + 2 * minute);
    const sent = move(renewed, { type: "renewalStarted", generation: newest, sequence: 8 }, when(minute + 3));
    const again = move(sent, accepted(8, { sentAt: woken }), when(minute + 40));
    expect(nextDeadline(again, policy)).toBe(ends);
    // Nothing is due, something else is due, or it failed before: what follows is not known.
    expect(quietWakeEnds(renewed, at + second, policy)).toBeNull();
    expect(quietWakeEnds({ ...renewed, cancellations: [newest] }, woken, policy)).toBeNull();
    expect(quietWakeEnds(move(renewed, failed(7)), woken, policy)).toBeNull();
    // One is out there still, whose answer is not known: this wake sends none, so none makes up for it.
    expect(quietWakeEnds(sent, woken + policy.observeMs + 2 * second, policy)).toBeNull();
    // A clock that comes before the next renewal is where it ends.
    expect(quietWakeEnds({ ...renewed, endAt: woken + second, warnedOfEnd: woken + second }, woken, policy)).toBe(
      woken + second,
    );
  });

  it("is one at a time: only the next number is sent, only the last is answered [LEA-8]", () => {
    for (const sequence of [6, 7, 9])
      expect(apply(state, { type: "renewalStarted", generation: newest, sequence }).type).toBe("ignored");
    for (const sequence of [6, 8]) {
      expect(apply(state, accepted(sequence)).type).toBe("ignored");
      expect(apply(state, failed(sequence)).type).toBe("ignored");
    }
  });

  it("accepted counts from its send, and brings the activity [CLK-7]", () => {
    const late = session({ newest: held({ failures: 3 }) });
    const after = move(late, accepted(7, { sentAt: at - 2 * second, idleMs: 5 * second }));
    expect(heldOf(after)).toMatchObject({
      acceptedSentAt: at - 2 * second,
      nextRenewalAt: at + 58 * second,
      failures: 0,
    });
    expect(after.activity).toEqual({ lastAt: at - 7 * second, activeJobs: 0, reportedAt: at });
    expect(move(state, accepted(7, { activeJobs: 1 })).activity).toEqual({ lastAt: at, activeJobs: 1, reportedAt: at });
    expect(move(state, accepted(7)).activity.lastAt).toBe(state.activity.lastAt);
    const busy = session({ activity: { lastAt: at, activeJobs: 1, reportedAt: at - minute } });
    expect(move(busy, accepted(7)).activity).toEqual({ lastAt: at, activeJobs: 0, reportedAt: at });
    const fresh = session({ activity: { lastAt: at, activeJobs: 0, reportedAt: at - minute } });
    expect(move(fresh, accepted(7, { activeJobs: 1 })).activity).toEqual({ lastAt: at, activeJobs: 1, reportedAt: at });
  });

  it("is due each minute, sooner for a short idle timeout, and asked again after 10 s when it failed", () => {
    expect(reconcile(state, at + 50 * second - 1, policy)).toEqual([]);
    expect(reconcile(state, at + 50 * second, policy)).toEqual([{ type: "renew", generation: newest }]);
    expect(nextDeadline(state, policy)).toBe(at + 50 * second);
    const after = move(state, failed(7));
    expect(heldOf(after)).toMatchObject({ failures: 1, nextRenewalAt: at + 10 * second });
    const every = (idleTimeoutMs: number | null) =>
      renewEvery(session({ limits: { ...state.limits, idleTimeoutMs } }), policy);
    expect([null, hour, minute, 5 * second, 10].map(every)).toEqual([minute, minute, minute, 5 * second, second]);
  });

  it("answered by a foreign instance or in an unknown protocol loses the sandbox", () => {
    expect(move(state, failed(7, failure("foreign_instance"))).newest).toMatchObject({
      phase: "stopping",
      reason: "foreign",
    });
    expect(move(state, failed(7, failure("protocol_unsupported"))).newest).toMatchObject({
      phase: "stopping",
      reason: "protocol",
    });
    expect(move(state, accepted(7, { protocol: 99 })).newest).toMatchObject({
      phase: "stopping",
      reason: "protocol",
    });
  });
});

describe("a held lease", () => {
  const time = { type: "timePassed", jitter: 0.5 } as const;
  const limits = { timeoutMs: 10 * hour, idleTimeoutMs: null, maxLifetimeMs: 24 * hour };
  const silent = session({ newest: held({ failures: 1, acceptedSentAt: at }), limits, endAt: at + 10 * hour });

  it("that nobody can reach is lost when it and its grace are over, not before, and goes on to stop [LEA-23]", () => {
    expect(lapsesAt(heldOf(silent), policy)).toBe(at + 310 * second);
    expect(apply(silent, time, when(310 * second - 1)).type).toBe("ignored");
    expect(nextDeadline({ ...silent, newest: { ...heldOf(silent), nextRenewalAt: at + hour } }, policy)).toBe(
      at + 310 * second,
    );
    const moved = moveWith(silent, time, when(310 * second));
    expect(moved.session.newest).toMatchObject({ phase: "stopping", reason: "lapsed" });
    expect(noted(moved)).toEqual(["sandbox_lost"]);
    expect(moved.effects).toContainEqual({ type: "settleJobs", generation: newest, as: "lost" });
  });

  it("is asked before it is given up: after an outage or a clock that jumped, the first thing is a renewal [CLK-13]", () => {
    const unasked = session({ newest: held({ failures: 0 }), limits, endAt: at + 10 * hour });
    expect(apply(unasked, time, when(hour)).type).toBe("ignored");
    expect(reconcile(unasked, at + hour, policy)).toEqual([{ type: "renew", generation: newest }]);
  });

  it("is renewed at once when the clock went back, instead of an hour later [CLK-13]", () => {
    const back = move(session({ newest: held({ nextRenewalAt: at + hour }) }), time);
    expect(reconcile(back, at, policy)).toEqual([{ type: "renew", generation: newest }]);
    const plausible = session({ newest: held({ nextRenewalAt: at + minute }) });
    expect(apply(plausible, time).type).toBe("ignored");
  });

  it("is lost when its own host, provider and sandbox say absent, in a look younger than its last sign of life [PHY-16]", () => {
    const seen = (beganAt: number, changes = {}) =>
      ({
        type: "observedAbsent",
        generation: newest,
        observation: look("absent", beganAt, candidate(), changes),
      }) as const;
    const state = session();
    const wrong = [
      { provider: "local" as const },
      { host: "host-b" },
      { host: null },
      { sandboxId: candidate(generation(9)).sandboxId },
      { generation: generation(9) },
    ];
    for (const changes of wrong) expect(apply(state, seen(0, changes)).type).toBe("ignored");
    expect(apply(state, seen(-10 * second - 1))).toEqual({
      type: "ignored",
      why: "it was alive after that look began",
    });
    const young = session({ newest: held({ heldAt: at, acceptedSentAt: at - minute }) });
    expect(apply(young, seen(-1)).type).toBe("ignored");
    for (const of of [state, session({ newest: held({ host: null }) })]) {
      const moved = moveWith(of, seen(-10 * second));
      expect(moved.session.newest).toMatchObject({ phase: "stopping", reason: "lost" });
    }
    expect(apply(young, seen(0)).type).toBe("moved");
  });

  it("is not lost by any look that says unknown or present [I4]", () => {
    for (const type of ["observedPresent", "observedUnknown"] as const) {
      const seen = look(type === "observedPresent" ? "present" : "unknown", hour);
      expect(apply(session(), { type, generation: newest, observation: seen }, when(hour)).type).toBe("ignored");
    }
  });
});

describe("a call to the wrapper that failed", () => {
  const noticed = { type: "wrapperFailed", generation: newest } as const;
  const sent = (lastSentAt: number, nextRenewalAt: number) =>
    session({ newest: held({ renewals: { sequence: 7, lastSentAt, sendsUntil: null }, nextRenewalAt }) });

  it("brings the next renewal forward to now, but no closer to the last one than a retry is [BUG-43]", () => {
    expect(heldOf(move(sent(at - minute, at + minute), noticed)).nextRenewalAt).toBe(at);
    const justSent = move(sent(at - second, at + minute), noticed);
    expect(heldOf(justSent).nextRenewalAt).toBe(at - second + policy.renewRetryMs);
  });

  it("puts no renewal off, and means nothing where none is held", () => {
    expect(apply(sent(at - second, at + second), noticed).type).toBe("ignored");
    expect(apply(session({ newest: launching() }), noticed).type).toBe("ignored");
  });
});
