/**
 * A clock that went back: every stored instant that this clock cannot have set is set anew, in one move. This is the
 * list of those instants; a new one belongs here. Each line says how it reads (rules/instants.ts) and its longest wait.
 *
 * Two kinds stay as they are. Facts of the history (`requestedAt`, attempts, observations) are never rewritten. What bounds
 * the life of a wrapper that another clock measures (`launchNotAfter`, `certainExpiry`) may only be too late, never too early.
 */
import type { Gate, Held, Launching, LaunchStep, Lease, Renewals, Stopping, StopStep } from "../../state/lease.ts";
import { deleteBackoff, stopBackoff } from "../../rules/backoff.ts";
import type { Desired, Session } from "../../state/session.ts";
import { orDueNow, orNow, orFullLength } from "../../rules/instants.ts";
import { measuredMs, openingMs, type Policy } from "../../rules/policy.ts";
import { ignored, moved, note, type Context, type Outcome } from "../outcome.ts";

/** With this much of its spread a backoff is the longest that it can be. */
const mostJitter = 1;

export function clockWentBack(session: Session, context: Context): Outcome {
  const mended = withReachableInstants(session, context);
  return mended === session
    ? ignored("every instant is one that this clock can have set")
    : moved(
        mended,
        note("clock_went_back", "instants lay further ahead than any that are set", session.newest?.generation ?? null),
      );
}

/** True when stored instants are later than this clock could have produced: an alarm set for them may be as late. */
export function clockHasGoneBack(session: Session, context: Context): boolean {
  return withReachableInstants(session, context) !== session;
}

function withReachableInstants(session: Session, context: Context): Session {
  const { now, policy } = context;
  const { pauseTries, activity, alive } = session;
  const ghosts = session.ghosts.map((ghost) => ofStopping(ghost, context));
  const desired = ofDesired(session.desired, context);
  return patched(session, {
    newest: session.newest === null ? null : ofLease(session.newest, context),
    ghosts: ghosts.every((ghost, index) => ghost === session.ghosts[index]) ? session.ghosts : ghosts,
    desired,
    // It names the pause that it warned of by its beginning.
    warnedOfPause: session.warnedOfPause === sinceOf(session.desired) ? sinceOf(desired) : session.warnedOfPause,
    discarded: ofDiscarded(session.discarded, context),
    pauseTries:
      pauseTries && patched(pauseTries, { notBefore: orDueNow(pauseTries.notBefore, now, policy.pauseBackoffCapMs) }),
    activity: patched(activity, {
      lastAt: orNow(activity.lastAt, now),
      reportedAt: orNow(activity.reportedAt, now),
    }),
    budget: patched(session.budget, {
      pausedAt: session.budget.pausedAt === null ? null : orNow(session.budget.pausedAt, now),
      tenantSpentAt: session.budget.tenantSpentAt === null ? null : orNow(session.budget.tenantSpentAt, now),
    }),
    alive: patched(alive, { since: alive.since === null ? null : orNow(alive.since, now) }),
  });
}

function ofLease(lease: Lease, context: Context): Lease {
  switch (lease.phase) {
    case "launching":
      return ofLaunching(lease, context);
    case "held":
      return ofHeld(lease, context);
    case "stopping":
      return ofStopping(lease, context);
    case "closed":
      return lease;
  }
}

function ofLaunching(lease: Launching, context: Context): Launching {
  const { now, policy } = context;
  const longest = policy.launchCallMs + policy.readyWaitMs + policy.launchBackoffCapMs * 2;
  return patched(lease, {
    deadline: orFullLength(lease.deadline, now, longest),
    renewals: ofRenewals(lease.renewals, context),
    step: ofLaunchStep(lease.step, context),
  });
}

function ofLaunchStep(step: LaunchStep, { now, policy }: Context): LaunchStep {
  switch (step.type) {
    case "waiting":
      // A provider may ask for patience, but not for more than the whole provision has.
      return patched(step, { notBefore: orDueNow(step.notBefore, now, policy.provisionMs) });
    case "acting":
      return patched(step, { deadline: orFullLength(step.deadline, now, policy.launchCallMs) });
    case "confirming":
      return patched(step, { nextAt: orDueNow(step.nextAt, now, longestRenewalMs(policy)) });
  }
}

function ofHeld(lease: Held, context: Context): Held {
  const { now, policy } = context;
  const { replacement } = lease.wrapper;
  return patched(lease, {
    nextRenewalAt: orDueNow(lease.nextRenewalAt, now, longestRenewalMs(policy)),
    // A look from now on must count as later than the last sign of life.
    acceptedSentAt: orNow(lease.acceptedSentAt, now),
    heldAt: orNow(lease.heldAt, now),
    renewals: ofRenewals(lease.renewals, context),
    gate: ofGate(lease.gate, context),
    wrapper:
      replacement.type === "due"
        ? patched(lease.wrapper, {
            replacement: patched(replacement, { at: orDueNow(replacement.at, now, longestUpgradeWaitMs(policy)) }),
          })
        : lease.wrapper,
  });
}

/** Whatever was sent was sent before now. What covered the sends to come covers none: the next one is stored first. */
function ofRenewals(renewals: Renewals, { now, policy }: Context): Renewals {
  const { lastSentAt, sendsUntil } = renewals;
  const longest = longestRenewalMs(policy) + policy.observeMs;
  return patched(renewals, {
    lastSentAt: lastSentAt === null ? null : orNow(lastSentAt, now),
    sendsUntil: sendsUntil !== null && sendsUntil > now + longest ? null : sendsUntil,
  });
}

function ofGate(gate: Gate, { now, policy }: Context): Gate {
  switch (gate.type) {
    case "open":
      return gate;
    case "preparing":
      return patched(gate, {
        nextAt: orDueNow(gate.nextAt, now, policy.observeMs + policy.renewRetryMs),
        deadline: orFullLength(gate.deadline, now, policy.prepareMs),
      });
    case "draining":
      return patched(gate, { deadline: orFullLength(gate.deadline, now, policy.drainMs) });
    case "saving":
    case "copying":
      return patched(gate, { deadline: orFullLength(gate.deadline, now, policy.snapshotMs) });
  }
}

function ofStopping(lease: Stopping, context: Context): Stopping {
  const { retired } = lease;
  return patched(lease, {
    step: ofStopStep(lease, context),
    // Looks count only after it.
    retired: retired && patched(retired, { at: orNow(retired.at, context.now) }),
  });
}

function ofStopStep({ step, attempts }: Stopping, { now, policy }: Context): StopStep {
  switch (step.type) {
    case "waiting":
      return patched(step, {
        nextAttemptAt: orBackoff(step.nextAttemptAt, attempts.length, now, (failed) =>
          stopBackoff(failed, mostJitter, policy),
        ),
      });
    case "acting":
      return patched(step, { deadline: orFullLength(step.deadline, now, policy.stopAttemptMs) });
    case "parked": {
      const longest = Math.max(policy.parkedProbeSlowMs, policy.assertedProbeMs);
      return patched(step, {
        since: orNow(step.since, now),
        nextProbeAt: orDueNow(step.nextProbeAt, now, longest),
      });
    }
  }
}

function ofDesired(desired: Desired, { now, policy }: Context): Desired {
  if (desired.type === "suspended") return patched(desired, { since: orNow(desired.since, now) });
  if (desired.type !== "running" || desired.provision === null) return desired;
  const { provision } = desired;
  const { step } = provision;
  const longestOpening = Math.max(openingMs(policy), measuredMs(false, policy));
  return patched(desired, {
    provision: patched(provision, {
      deadline: orFullLength(provision.deadline, now, policy.provisionMs),
      step:
        step.type === "opening"
          ? patched(step, { deadline: orDueNow(step.deadline, now, longestOpening) })
          : patched(step, { notBefore: orDueNow(step.notBefore, now, policy.provisionMs) }),
    }),
  });
}

function ofDiscarded(discarded: Session["discarded"], { now, policy }: Context): Session["discarded"] {
  const mended = discarded.map((snapshot) => {
    const { deletion, failures } = snapshot;
    return patched(snapshot, {
      deletion:
        deletion.type === "waiting"
          ? patched(deletion, {
              notBefore: orBackoff(deletion.notBefore, failures, now, (failed) =>
                deleteBackoff(failed, mostJitter, policy),
              ),
            })
          : patched(deletion, { deadline: orFullLength(deletion.deadline, now, policy.observeMs) }),
    });
  });
  return mended.every((snapshot, index) => snapshot === discarded[index]) ? discarded : mended;
}

/** The attempt after `failed` ones: never before its backoff, also when the clock cannot say how much of that has passed. */
function orBackoff(at: number, failed: number, now: number, longestMs: (failed: number) => number): number {
  if (failed === 0) return orDueNow(at, now, longestMs(Number.POSITIVE_INFINITY));
  return orFullLength(at, now, longestMs(failed));
}

function sinceOf(desired: Desired): number | null {
  return desired.type === "suspended" ? desired.since : null;
}

function longestRenewalMs(policy: Policy): number {
  return Math.max(policy.renewMs, policy.renewRetryMs, policy.observeMs + 1_000);
}

/** The longest that the replacement of an older wrapper is put off. */
function longestUpgradeWaitMs(policy: Policy): number {
  return Math.max(policy.upgradeRetryMs, policy.upgradeSpreadMs);
}

/** The same object when nothing in it changes. */
function patched<T extends object>(of: T, changes: Partial<T>): T {
  const differs = (Object.keys(changes) as (keyof T)[]).some((key) => changes[key] !== of[key]);
  return differs ? { ...of, ...changes } : of;
}
