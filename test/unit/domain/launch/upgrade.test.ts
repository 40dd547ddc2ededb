/** Wrappers of another version than this code: what is concluded from a number, and how an older one is replaced. */
import { describe, expect, it } from "vitest";
import type { SessionEvent } from "../../../../src/domain/machine/events.ts";
import type { Held } from "../../../../src/domain/state/lease.ts";
import { nextDeadline } from "../../../../src/domain/rules/reconcile.ts";
import type { Session } from "../../../../src/domain/state/session.ts";
import {
  oldestWrapperProtocol,
  protocolFor,
  wrapperProtocol,
  wrapperStanding,
} from "../../../../src/domain/state/wrapper-protocol.ts";
import { failure } from "../../../support/every-event.ts";
import {
  apply,
  at,
  attempt,
  held,
  launching,
  minute,
  move,
  moveWith,
  newest,
  outdated,
  policy,
  provisioning,
  session,
  snapshot,
} from "../../../support/sessions.ts";

const renewed = (protocol: number, activeJobs = 0, sequence = 7): SessionEvent => ({
  type: "renewalAccepted",
  generation: newest,
  sequence,
  sentAt: at,
  protocol,
  activeJobs,
  idleMs: 0,
  jitter: 0,
});
const passed: SessionEvent = { type: "timePassed", jitter: 0.5 };
const heldOf = ({ newest: lease }: Session): Held => {
  if (lease?.phase !== "held") throw new Error(`${lease?.phase ?? "no lease"}, not held`);
  return lease;
};
/** What an event that moves nothing leaves. */
const stays = (before: Session, event: SessionEvent): Session => {
  expect(apply(before, event).type).toBe("ignored");
  return before;
};
const launchedBefore = { protocol: 1, launchedBy: 1, replacement: { type: "none" } } as const;
const old = (changes: Partial<Session> = {}) => session({ newest: held({ wrapper: launchedBefore }), ...changes });

describe("two sides of different versions", () => {
  it("speak the lower one, so that a rollback strands no newer wrapper [LEA-17]", () => {
    expect([protocolFor(null), protocolFor(1), protocolFor(2), protocolFor(7)]).toEqual([1, 1, 2, 2]);
    expect(wrapperStanding(protocolFor(wrapperProtocol))).toBe("current");
  });

  it("an older version is understood, an unknown one is never guessed at [LEA-17]", () => {
    const standings = [0, oldestWrapperProtocol, wrapperProtocol, wrapperProtocol + 1, 1.5, Number.NaN].map(
      wrapperStanding,
    );
    expect(standings).toEqual(["unsupported", "older", "current", "unsupported", "unsupported", "unsupported"]);
  });
});

describe("an older wrapper under lease", () => {
  it("stays held while a job of it runs, and is replaced once it is idle [LEA-17]", () => {
    const working = move(old(), renewed(1, 1));
    expect(heldOf(stays(working, passed)).gate).toEqual({ type: "open" });
    const idle = move(working, renewed(1, 0));
    expect(heldOf(idle).wrapper.replacement).toEqual({ type: "due", at });
    expect(nextDeadline(idle, policy)).toBe(at);
    const { session: after, effects } = moveWith(idle, passed);
    expect(heldOf(after).gate).toEqual({
      type: "draining",
      for: "upgrade",
      deadline: at + policy.drainMs,
      attemptId: null,
    });
    expect(effects).toMatchObject([{ note: { type: "upgrading", facts: { protocol: 1, current: wrapperProtocol } } }]);
  });

  it("its files go over into a sandbox of another generation", () => {
    const saving = session({
      newest: held({
        wrapper: outdated,
        gate: { type: "saving", for: "upgrade", attemptId: attempt("s"), deadline: at + minute },
      }),
    });
    const saved = { type: "saveSucceeded", generation: newest, attemptId: attempt("s"), snapshot } as const;
    expect(move(saving, saved)).toMatchObject({
      snapshot,
      newest: { phase: "stopping", reason: "upgraded" },
      desired: { type: "running", provision: { purpose: "upgrade" } },
    });
  });

  it("runs on when it cannot be saved now, and is tried again later", () => {
    const gate = { type: "saving", for: "upgrade", attemptId: attempt("s"), deadline: at + minute } as const;
    const saving = session({ newest: held({ wrapper: outdated, gate }) });
    const failed = (code: "unavailable" | "unsupported"): SessionEvent => ({
      type: "saveFailed",
      generation: newest,
      attemptId: attempt("s"),
      failure: failure(code),
    });
    const later = move(saving, failed("unavailable"));
    expect(heldOf(later)).toMatchObject({
      gate: { type: "open" },
      wrapper: { replacement: { type: "due", at: at + policy.upgradeRetryMs } },
    });
    expect(heldOf(move(later, renewed(1))).wrapper.replacement).toEqual({
      type: "due",
      at: at + policy.upgradeRetryMs,
    });
    const never = move(saving, failed("unsupported"));
    expect(heldOf(never).wrapper.replacement).toEqual({ type: "impossible" });
    expect(heldOf(stays(move(never, renewed(1)), passed)).gate).toEqual({ type: "open" });
  });

  it("is not replaced by what would be no newer: its host's bundle is behind [LEA-17]", () => {
    const launched = provisioning(
      {},
      { newest: launching({ renewals: { sequence: 1, lastSentAt: at, sendsUntil: null } }) },
    );
    const now = move(launched, renewed(1, 0, 1));
    const lease = heldOf(now);
    expect(lease.wrapper).toEqual({ protocol: 1, launchedBy: wrapperProtocol, replacement: { type: "none" } });
    const again = move({ ...now, newest: { ...lease, renewals: { ...lease.renewals, sequence: 7 } } }, renewed(1));
    expect(heldOf(again).wrapper.replacement).toEqual({ type: "none" });
  });
});

it("a current wrapper is left alone, and so is one that newer code launched [LEA-17]", () => {
  expect(heldOf(move(session(), renewed(wrapperProtocol))).wrapper.replacement).toEqual({ type: "none" });
  const rolledBack = session({ newest: held({ wrapper: { ...launchedBefore, protocol: 3, launchedBy: 3 } }) });
  expect(heldOf(move(rolledBack, renewed(wrapperProtocol))).wrapper).toMatchObject({
    protocol: wrapperProtocol,
    replacement: { type: "none" },
  });
});

it("one that speaks no version of ours is stopped, and its session is told of the loss [LEA-17]", () => {
  expect(move(session(), renewed(wrapperProtocol + 1))).toMatchObject({
    newest: { phase: "stopping", reason: "protocol" },
    desired: { type: "suspended", cause: "loss" },
  });
});
