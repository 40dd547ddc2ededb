/** When something is wrong with a session for long enough to act on: not merely old. */
import { clocks, jobsBelievedRunning, runningClocks } from "./clocks.ts";
import type { Policy } from "./policy.ts";
import { openLeases, type Session } from "../state/session.ts";
import { failingDeletions } from "./saved-files.ts";

/** Since when it has been in a transition that should pass, or past a clock; null: it is well. Epoch ms. */
export function stuckSince(session: Session, now: number, policy: Policy): number | null {
  const since: number[] = [];
  const { newest, desired } = session;
  if (newest?.phase === "launching") since.push(newest.openedAt);
  if (newest?.phase === "stopping") since.push(scheduledStopSince(newest.requestedAt, newest.step.type, policy));
  if (desired.type === "running" && desired.provision !== null && newest?.phase !== "launching") {
    since.push(desired.provision.deadline - policy.provisionMs);
  }
  // An ended session waits only for these deletions. A session that continues is not ended for a file that its store will not delete.
  if (desired.type === "terminated") {
    since.push(...failingDeletions(session).map(({ discardedAt }) => Math.max(discardedAt, desired.at)));
  }
  for (const { name, dueAt } of runningClocks(session, policy)) {
    // A warning that is late is no reason to end what it warns of.
    if (dueAt <= now && clocks[name].action.type !== "announce") since.push(dueAt);
  }
  const earliest = Math.min(...since);
  return earliest <= now ? earliest : null;
}

/**
 * From when a teardown of this session counts as overdue: the newest lease's or a ghost's. null: no teardown is under way. A lease that
 * an operator asserted gone does not count. The instant may lie in the future.
 */
export function teardownOverdueFrom(session: Session, policy: Policy): number | null {
  const from = openLeases(session).flatMap((lease) => {
    if (lease.phase !== "stopping" || lease.assertion !== null) return [];
    return [lease.step.type === "parked" ? lease.step.since : scheduledStopSince(lease.requestedAt, "waiting", policy)];
  });
  return from.length === 0 ? null : Math.min(...from);
}

/** A stop in scheduled backoff is not stuck: its attempts have a bound of their own, and only past it does it count. */
function scheduledStopSince(requestedAt: number, step: "waiting" | "acting" | "parked", policy: Policy): number {
  return step === "parked" ? requestedAt : requestedAt + stopsBoundMs(policy.stopAttemptMs, policy);
}

/** How long all attempts of a round may take, with the longest waits between them. */
export function stopsBoundMs(attemptMs: number, policy: Policy): number {
  let bound = policy.stopAttempts * attemptMs;
  for (let failed = 1; failed < policy.stopAttempts; failed += 1) {
    bound +=
      Math.min(policy.stopBackoffCapMs, policy.stopBackoffBaseMs * 2 ** (failed - 1)) * (1 + policy.stopBackoffJitter);
  }
  return bound;
}

/** For how long nothing ran and nothing was asked of it; 0 while a job runs or nothing is held. ms */
export function idleFor(session: Session, now: number, policy: Policy): number {
  if (session.newest?.phase !== "held" || jobsBelievedRunning(session, now, policy)) return 0;
  return Math.max(0, now - session.activity.lastAt);
}
