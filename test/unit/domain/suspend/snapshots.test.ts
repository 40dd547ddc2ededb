/** Deleting snapshots that nobody will restore: one at a time, with a stored backoff, visible, and with an operator's exit. */
import { describe, expect, it } from "vitest";
import { nextDeadline, reconcile } from "../../../../src/domain/rules/reconcile.ts";
import { blockedBy, statusOf } from "../../../../src/domain/rules/status.ts";
import { stuckSince } from "../../../../src/domain/rules/stuck.ts";
import type { Session } from "../../../../src/domain/state/session.ts";
import { failure } from "../../../support/every-event.ts";
import {
  apply,
  at,
  attempt,
  discarded,
  hour,
  minute,
  move,
  moveWith,
  noted,
  policy,
  session,
  snapshot,
  terminated,
  when,
} from "../../../support/sessions.ts";

const other = { ...snapshot, id: "snapshot-2" };
const time = { type: "timePassed", jitter: 0.5 } as const;
const forget = { type: "snapshotsForgotten", by: "ops", reason: "its bucket is gone" } as const;
const started = (attemptId = "d-1", snapshotId: string = snapshot.id) =>
  ({ type: "snapshotDeletionStarted", snapshotId, attemptId: attempt(attemptId) }) as const;
const failed = (attemptId = "d-1", snapshotId: string = snapshot.id) =>
  ({
    type: "snapshotDeletionFailed",
    snapshotId,
    attemptId: attempt(attemptId),
    failure: failure("unavailable"),
    jitter: 0.5,
  }) as const;

/** After `count` failed attempts in a row, each made when it was due. */
function afterFailures(count: number, from: Session): { readonly state: Session; readonly now: number } {
  let state = from;
  let now = at;
  for (let tries = 1; tries <= count; tries += 1) {
    const began = move(state, started(`d-${tries}`), { now, policy });
    state = move(began, failed(`d-${tries}`), { now, policy });
    if (tries < count) now = nextDeadline(state, policy) ?? 0;
  }
  return { state, now };
}

describe("a snapshot that is to be deleted", () => {
  const ended = (...of: Session["discarded"]) => terminated({ discarded: of });

  it("[BUG-7] has its attempt stored before the provider is asked, and one runs at a time [I1]", () => {
    const both = ended(discarded(snapshot, at - 2), discarded(other, at - 1));
    expect(reconcile(both, at, policy)).toEqual([{ type: "deleteSnapshot", snapshotId: snapshot.id }]);
    const began = move(both, started());
    expect(began.discarded[0]?.deletion).toEqual({
      type: "acting",
      attemptId: attempt("d-1"),
      deadline: at + policy.observeMs,
    });
    expect(reconcile(began, at + hour, policy)).toEqual([]);
    expect(nextDeadline(began, policy)).toBe(at + policy.observeMs);
    expect(apply(began, started("d-2", other.id)).type).toBe("ignored");
    expect(apply(began, started("d-2")).type).toBe("ignored");
  });

  it("[BUG-7] that fails waits for a stored time that grows, and lets the others go first [I7]", () => {
    const waits = [1, 2, 3, 12].map((count) => {
      const { state, now } = afterFailures(count, ended(discarded()));
      return (nextDeadline(state, policy) ?? 0) - now;
    });
    expect(waits).toEqual([5_000, 10_000, 20_000, hour]);
    const one = move(move(ended(discarded(), discarded(other)), started()), failed());
    expect(reconcile(one, at, policy)).toEqual([{ type: "deleteSnapshot", snapshotId: other.id }]);
    expect(apply(one, started("d-2")).type).toBe("ignored");
  });

  it("[BUG-7] whose attempt nobody reports back is tried again after its bound, and a late failure moves nothing", () => {
    const began = move(ended(discarded()), started());
    expect(apply(began, time, when(policy.observeMs - 1)).type).toBe("ignored");
    const late = move(began, time, when(policy.observeMs));
    expect(late.discarded[0]).toMatchObject({ failures: 1, deletion: { type: "waiting" } });
    expect(apply(late, failed(), when(policy.observeMs)).type).toBe("ignored");
    // What the provider has confirmed deleted is gone, whichever attempt it was.
    expect(statusOf(move(late, { type: "snapshotDeleted", snapshotId: snapshot.id }))).toBe("terminated");
  });

  it("[BUG-7] is shown as blocked and counts as stuck while an ended session waits for nothing else", () => {
    const fresh = ended(discarded());
    expect(blockedBy(fresh, false)).toBeNull();
    expect(stuckSince(fresh, at, policy)).toBeNull();
    const { state } = afterFailures(1, fresh);
    expect(blockedBy(state, false)).toEqual({
      code: "snapshot_not_deleted",
      since: at - minute,
      retryAt: at + 5_000,
    });
    expect(stuckSince(state, at, policy)).toBe(at - minute);
  });

  it("[BUG-7] does not count a session as stuck that goes on: a sweep must not end it for that", () => {
    const { state } = afterFailures(3, session({ discarded: [discarded()] }));
    expect(stuckSince(state, at, policy)).toBeNull();
    expect(blockedBy(state, false)).toBeNull();
  });

  it("[BUG-7] tells the first failure in the history, not each of them", () => {
    const first = moveWith(move(ended(discarded()), started()), failed());
    expect(noted(first)).toEqual(["snapshot_not_deleted"]);
    const { state, now } = afterFailures(1, ended(discarded()));
    const due = nextDeadline(state, policy) ?? 0;
    expect(due).toBeGreaterThan(now);
    const again = move(state, started("d-2"), { now: due, policy });
    expect(noted(moveWith(again, failed("d-2"), { now: due, policy }))).toEqual([]);
  });
});

describe("an operator who forgets snapshots", () => {
  it("[BUG-7] takes those that failed off the session, which then ends, and they are listed", () => {
    const { state } = afterFailures(2, terminated({ discarded: [discarded()] }));
    const moved = moveWith(state, forget, when(minute));
    expect(statusOf(moved.session)).toBe("terminated");
    expect(moved.session).toMatchObject({
      discarded: [],
      forgotten: [{ ...snapshot, forgottenAt: at + minute, by: "ops", reason: "its bucket is gone" }],
    });
    expect(noted(moved)).toEqual(["snapshots_forgotten", "terminated"]);
    // The answer of an attempt that was under way.
    expect(apply(moved.session, { type: "snapshotDeleted", snapshotId: snapshot.id }).type).toBe("ignored");
  });

  it("[BUG-7] is refused while none has failed, and leaves those that were not tried yet", () => {
    expect(apply(terminated({ discarded: [discarded()] }), forget)).toMatchObject({ rejection: { code: "not_stuck" } });
    expect(apply(session(), forget)).toMatchObject({ rejection: { code: "not_stuck" } });
    const { state } = afterFailures(1, terminated({ discarded: [discarded(), discarded(other)] }));
    const after = move(state, forget);
    expect(after.discarded.map(({ id }) => id)).toEqual([other.id]);
    expect(after.forgotten.map(({ id }) => id)).toEqual([snapshot.id]);
  });
});
