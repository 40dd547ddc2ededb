import { describe, expect, it } from "vitest";
import { terminateReasons, type TerminateReason } from "../../../../src/domain/state/reasons.ts";
import type { DesiredKey, PhaseKey, Session } from "../../../../src/domain/state/session.ts";
import { blockedBy, statusOf, type Status } from "../../../../src/domain/rules/status.ts";
import {
  acting,
  at,
  closed,
  everySession,
  minute,
  parked,
  provisioning,
  second,
  session,
  discarded,
  stopping,
  terminated,
} from "../../../support/sessions.ts";

/** The table of statuses in docs/SPEC.md, cell by cell. `none` and `closed` are its "no open lease". */
const design: Readonly<Record<DesiredKey, Readonly<Record<PhaseKey, Status>>>> = {
  running: {
    none: "provisioning",
    closed: "provisioning",
    launching: "provisioning",
    held: "running",
    stopping: "recovering",
  },
  paused: { none: "paused", closed: "paused", launching: "pausing", held: "pausing", stopping: "pausing" },
  lost: { none: "lost", closed: "lost", launching: "recovering", held: "recovering", stopping: "recovering" },
  terminated: {
    none: "terminated",
    closed: "terminated",
    launching: "terminating",
    held: "terminating",
    stopping: "terminating",
  },
};

function ended(reason: TerminateReason, changes: Partial<Session> = {}): Session {
  return terminated({
    ...changes,
    desired: { type: "terminated", reason, at: at - minute, endedAt: at - second, failure: null },
  });
}

describe("the public status", () => {
  it("is the design's, in every cell of desired × newest phase [LEA-21]", () => {
    const seen = new Set<string>();
    for (const { session: state, desired, phase, name } of everySession()) {
      if (state.desired.type === "terminated" && state.discarded.length > 0) continue;
      // A sandbox in which a workspace is being prepared is not one yet.
      const preparing = state.newest?.phase === "held" && state.newest.gate.type === "preparing";
      expect(statusOf(state), name).toBe(preparing ? "provisioning" : design[desired][phase]);
      seen.add(`${desired} × ${phase}`);
    }
    expect(seen.size).toBe(20);
  });

  it("tells a failure from an end by its reason", () => {
    const failures = (Object.keys(terminateReasons) as TerminateReason[]).filter(
      (reason) => statusOf(ended(reason)) === "failed",
    );
    expect(failures).toEqual(["provision_timeout", "failed"]);
    expect(statusOf(ended("retention"))).toBe("terminated");
  });

  it("is terminating until the snapshot of an ended session is deleted", () => {
    expect(statusOf(terminated({ discarded: [discarded()] }))).toBe("terminating");
    expect(statusOf(terminated({ discarded: [discarded()], newest: null }))).toBe("terminating");
  });

  it("of an ended session stays while a latecomer is reaped [I10]", () => {
    for (const lease of [stopping({ reason: "orphaned" }), stopping(acting), stopping(parked)]) {
      expect(statusOf(ended("requested", { newest: lease }))).toBe("terminated");
      expect(statusOf(ended("failed", { newest: lease }))).toBe("failed");
    }
  });
});

describe("what blocks a session", () => {
  it("is a parked stop, until it is probed", () => {
    const since = at - 30 * minute;
    expect(blockedBy(terminated({ newest: stopping(parked) }), false)).toEqual({ code: "parked", since, retryAt: at });
    expect(blockedBy(terminated({ newest: stopping() }), false)).toBeNull();
    expect(blockedBy(terminated({ newest: stopping(acting) }), false)).toBeNull();
  });

  it("is an adapter that is not there, above all else", () => {
    const blocked = { code: "adapter_missing", retryAt: null };
    expect(blockedBy(terminated({ newest: stopping(parked) }), true)).toEqual({ ...blocked, since: at - 5 * minute });
    expect(blockedBy(session({ newest: null }), true)).toEqual({ ...blocked, since: at - 10 * minute });
  });

  it("is a provider or a tenant that is full, while the next try waits", () => {
    for (const code of ["no_capacity", "quota_exhausted"] as const) {
      const lastError = { code, message: "full", at: at - second };
      const waiting = provisioning({ lastError, step: { type: "waiting", notBefore: at + second } });
      expect(blockedBy(waiting, false)).toEqual({ code, since: at - second, retryAt: at + second });
      const trying = provisioning({ lastError, step: { type: "opening", attemptId: "a" as never, deadline: at } });
      expect(blockedBy(trying, false)).toBeNull();
    }
  });

  it("is nothing, when a try failed that the next may mend", () => {
    const lastError = { code: "timed_out", message: "slow", at };
    expect(blockedBy(provisioning({ lastError }), false)).toBeNull();
    expect(blockedBy(provisioning(), false)).toBeNull();
    expect(blockedBy(session(), false)).toBeNull();
    expect(blockedBy(terminated({ newest: closed() }), false)).toBeNull();
  });
});
