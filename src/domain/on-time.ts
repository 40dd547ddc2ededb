/**
 * What the passing of time alone decides: bounds of attempts that nobody reported back, leases that lapsed, clocks that
 * are due. Each is decided from the state as it is now, never from what an alarm was once set for (CLK-9).
 */
import { clocks, idleIsConfirmed, runningClocks } from "./clocks.ts";
import { endSession, failProvision, launchAgainLater, loseSandbox } from "./ending.ts";
import type { Effect, EventOf } from "./events.ts";
import { lapsesAt, launchBackoff, type Closed, type Held, type OpenLease } from "./lease.ts";
import { expire } from "./on-expiry.ts";
import { overduePreparation } from "./on-prepare.ts";
import { reopenGate } from "./on-save.ts";
import { abandonAttempt, onLease } from "./on-stop.ts";
import { dueUpgrade } from "./on-upgrade.ts";
import { ignored, moved, note, type Context, type Moved, type Outcome } from "./outcome.ts";
import { measuredMs, openingMs, type Policy } from "./policy.ts";
import type { Desired, PauseTries, Session } from "./session.ts";

type Rule = (session: Session, jitter: number, context: Context) => Outcome;

/** First of all the deadlines must be ones that this clock can have set; then what was in flight is settled before the clocks decide on the result. */
const rules: readonly Rule[] = [
  clockWentBack,
  overdueStops,
  overdueOpening,
  overdueLaunch,
  overdueSave,
  lapsedLease,
  (session, _jitter, context) => overduePreparation(session, context),
  dueClock,
  (session, _jitter, context) => dueUpgrade(session, context),
];

export function timePassed(session: Session, event: EventOf<"timePassed">, context: Context): Outcome {
  let current = session;
  const effects: Effect[] = [];
  let changed = false;
  for (const rule of rules) {
    const outcome = rule(current, event.jitter, context);
    if (outcome.type !== "moved") continue;
    current = outcome.session;
    effects.push(...outcome.effects);
    changed = true;
  }
  return changed ? moved(current, ...effects) : ignored("nothing is due");
}

/** Whoever finds it so has been told the time by a clock that an alarm set before does not follow. */
export function clockHasGoneBack(session: Session, context: Context): boolean {
  return clockWentBack(session, 0, context).type === "moved";
}

/**
 * A deadline further ahead than any that is ever set was set by a clock that has since gone back. Waiting for it could
 * outlast the lease itself (CLK-13). Clocks that clients set (`end_at` and the like) stay where they are: at worst they fire late.
 */
function clockWentBack(session: Session, _jitter: number, { now, policy }: Context): Outcome {
  const longestWait = policy.stopBackoffCapMs * (1 + policy.stopBackoffJitter);
  const longestRenewal = Math.max(policy.renewMs, policy.renewRetryMs, policy.observeMs + 1_000);
  const mend = <L extends OpenLease | Closed>(lease: L): L => {
    switch (lease.phase) {
      case "held":
        if (lease.nextRenewalAt <= now + longestRenewal && lease.acceptedSentAt <= now && lease.heldAt <= now)
          return lease;
        // What lies ahead of now was before it: a look from now on must count as later.
        return {
          ...lease,
          nextRenewalAt: lease.nextRenewalAt > now + longestRenewal ? now : lease.nextRenewalAt,
          acceptedSentAt: Math.min(lease.acceptedSentAt, now),
          heldAt: Math.min(lease.heldAt, now),
        };
      case "launching": {
        const deadline = Math.min(
          lease.deadline,
          now + policy.launchCallMs + policy.readyWaitMs + policy.launchBackoffCapMs * 2,
        );
        const step = lease.step;
        if (step.type === "confirming" && step.nextAt > now + longestRenewal)
          return { ...lease, deadline, step: { ...step, nextAt: now } };
        if (step.type === "waiting" && step.notBefore > now + policy.provisionMs)
          return { ...lease, deadline, step: { ...step, notBefore: now } };
        if (step.type === "acting" && step.deadline > now + policy.launchCallMs) {
          return { ...lease, deadline, step: { ...step, deadline: now + policy.launchCallMs } };
        }
        return deadline === lease.deadline ? lease : { ...lease, deadline };
      }
      case "stopping": {
        const step = lease.step;
        if (step.type === "waiting" && step.nextAttemptAt > now + longestWait)
          return { ...lease, step: { ...step, nextAttemptAt: now } };
        if (step.type === "acting" && step.deadline > now + policy.stopAttemptMs) {
          return { ...lease, step: { ...step, deadline: now + policy.stopAttemptMs } };
        }
        const slowest = Math.max(policy.parkedProbeSlowMs, policy.assertedProbeMs);
        return step.type === "parked" && step.nextProbeAt > now + slowest
          ? { ...lease, step: { ...step, nextProbeAt: now } }
          : lease;
      }
      case "closed":
        return lease;
    }
  };
  const mended = session.newest === null ? null : mend(session.newest);
  const newest = mended?.phase === "held" ? withPossibleDates(mended, now, policy) : mended;
  const ghosts = session.ghosts.map(mend);
  const desired = mendProvision(session.desired, now, policy);
  const pauseTries = mendPauseTries(session.pauseTries, now, policy);
  if (
    newest === session.newest &&
    desired === session.desired &&
    pauseTries === session.pauseTries &&
    ghosts.every((ghost, index) => ghost === session.ghosts[index])
  ) {
    return ignored("every deadline is one that this clock can have set");
  }
  return moved(
    { ...session, newest, ghosts, desired, pauseTries },
    note("clock_went_back", "deadlines were set anew", newest?.generation ?? null),
  );
}

function mendPauseTries(tries: PauseTries | null, now: number, policy: Policy): PauseTries | null {
  return tries !== null && tries.notBefore > now + policy.pauseBackoffCapMs ? { ...tries, notBefore: now } : tries;
}

/** What a held lease waits for besides its renewal. */
function withPossibleDates(lease: Held, now: number, policy: Policy): Held {
  const { gate, wrapper } = lease;
  const lastAsk = now + policy.observeMs + policy.renewRetryMs;
  if (gate.type === "preparing" && (gate.nextAt > lastAsk || gate.deadline > now + policy.prepareMs))
    return { ...lease, gate: { ...gate, nextAt: now, deadline: Math.min(gate.deadline, now + policy.prepareMs) } };
  return wrapper.replacement.type === "due" && wrapper.replacement.at > now + policy.upgradeRetryMs
    ? { ...lease, wrapper: { ...wrapper, replacement: { type: "due", at: now } } }
    : lease;
}

function mendProvision(desired: Desired, now: number, policy: Policy): Desired {
  if (desired.type !== "running" || desired.provision === null) return desired;
  const { provision } = desired;
  const deadline = Math.min(provision.deadline, now + policy.provisionMs);
  const step = provision.step;
  const opening =
    step.type === "opening" && step.deadline > now + Math.max(openingMs(policy), measuredMs(false, policy));
  // A provider may ask for patience, but not for more than the whole provision has.
  const waiting = step.type === "waiting" && step.notBefore > now + policy.provisionMs;
  if (deadline === provision.deadline && !opening && !waiting) return desired;
  return {
    type: "running",
    provision: {
      ...provision,
      deadline,
      step: opening ? { ...step, deadline: now } : waiting ? { ...step, notBefore: now } : step,
    },
  };
}

function overdueStops(session: Session, jitter: number, context: Context): Outcome {
  let current = session;
  const effects: Effect[] = [];
  for (const lease of [...session.ghosts, session.newest]) {
    if (lease?.phase !== "stopping" || lease.step.type !== "acting" || context.now < lease.step.deadline) continue;
    const outcome = onLease(current, lease.generation, context, (stopping) =>
      abandonAttempt(stopping, jitter, context),
    );
    if (outcome.type !== "moved") continue;
    current = outcome.session;
    effects.push(...outcome.effects);
  }
  return current === session ? ignored("no stop is overdue") : moved(current, ...effects);
}

function overdueOpening(session: Session, jitter: number, context: Context): Outcome {
  const { desired } = session;
  if (desired.type !== "running" || desired.provision?.step.type !== "opening") return ignored("no opening");
  if (context.now < desired.provision.step.deadline) return ignored("the opening still has time");
  const failures = desired.provision.failures + 1;
  const notBefore = context.now + launchBackoff(failures, jitter, null, context.policy);
  return moved({
    ...session,
    desired: { type: "running", provision: { ...desired.provision, failures, step: { type: "waiting", notBefore } } },
  });
}

function overdueLaunch(session: Session, jitter: number, context: Context): Outcome {
  const lease = session.newest;
  if (lease?.phase !== "launching") return ignored("no launch");
  const { now, policy } = context;
  if (now >= lease.deadline && lease.step.type !== "waiting") {
    const failures = session.desired.type === "running" ? (session.desired.provision?.failures ?? 0) + 1 : 1;
    const message = "The instance did not accept its lease in time.";
    return launchAgainLater(
      session,
      "launch_timeout",
      { code: "timed_out", message },
      now + launchBackoff(failures, jitter, null, policy),
      context,
    );
  }
  if (lease.step.type !== "acting" || now < lease.step.deadline) return ignored("the launch still has time");
  const attempts = lease.attempts.map((attempt) =>
    attempt.outcome === "acting" ? { ...attempt, outcome: "unknown" as const } : attempt,
  );
  return moved({ ...session, newest: { ...lease, attempts, step: { type: "confirming", nextAt: now } } });
}

function overdueSave(session: Session, _jitter: number, context: Context): Outcome {
  const lease = session.newest;
  if (lease?.phase !== "held" || lease.gate.type !== "saving" || context.now < lease.gate.deadline)
    return ignored("no save is overdue");
  return reopenGate(session, lease, "Saving took longer than its bound.", context);
}

/**
 * Unknown for longer than the lease and its grace. Only after a renewal has been tried and failed since: after an outage, or a
 * clock that jumped ahead, the first thing to do is to ask.
 */
function lapsedLease(session: Session, _jitter: number, context: Context): Outcome {
  const lease = session.newest;
  if (lease?.phase !== "held" || lease.failures === 0) return ignored("no lease failed to renew");
  if (context.now < lapsesAt(lease, context.policy)) return ignored("the lease has not lapsed");
  return loseSandbox(session, "lapsed", "its lease could not be renewed in time", context);
}

/** The first that changes something fires; announcements on the way to it are made as well. */
function dueClock(session: Session, _jitter: number, context: Context): Outcome {
  let current = session;
  const effects: Effect[] = [];
  for (const { name, dueAt } of runningClocks(session, context.policy)) {
    if (dueAt > context.now) break;
    if (name === "idle" && !idleIsConfirmed(current, dueAt, context.now, context.policy)) continue;
    const fired = fire(current, name, context);
    current = fired.session;
    effects.push(...fired.effects);
    if (clocks[name].action.type !== "announce") break;
  }
  return current === session ? ignored("no clock is due") : moved(current, ...effects);
}

function fire(session: Session, name: keyof typeof clocks, context: Context): Moved {
  const action = clocks[name].action;
  switch (action.type) {
    case "terminate":
      return endSession(session, action.reason, null, context);
    case "announce": {
      const { desired } = session;
      const since = desired.type === "suspended" ? desired.since : null;
      const endsAt = new Date((since ?? context.now) + context.policy.pausedRetentionMs).toISOString();
      return moved(
        { ...session, warnedOfPause: since },
        note(action.note, clocks[name].words, null, { ends_at: endsAt }),
      );
    }
    case "provisionFailed":
      return failProvision(session, "provision_timeout", context);
    case "onTimeout":
      return expire(session, action.reason === "timeout" ? "end_at" : "idle", context);
  }
}
