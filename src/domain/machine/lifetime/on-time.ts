/**
 * What the passing of time alone decides: bounds of attempts that nobody reported back, leases that lapsed, clocks that
 * are due. Each is decided from the state as it is now, never from what an alarm was once set for.
 */
import { clocks, idleIsConfirmed, runningClocks } from "../../rules/clocks.ts";
import { failProvision, launchAgainLater, loseSandbox } from "../stop/ending.ts";
import type { Effect, EventOf, TimeRule } from "../events.ts";
import { lapsesAt } from "../../rules/lease-times.ts";
import { launchBackoff } from "../../rules/backoff.ts";
import { clockWentBack } from "./on-clock-back.ts";
import { overdueCopy } from "../suspend/on-copy.ts";
import { endByClock, expire, spendBudget } from "./on-expiry.ts";
import { costReachedAt, nanosPerUnit, spentBy } from "../../rules/price.ts";
import { overdueDeletion } from "../suspend/on-snapshot.ts";
import { overduePreparation } from "../launch/on-prepare.ts";
import { reopenGate } from "../suspend/on-save.ts";
import { abandonAttempt } from "../stop/on-stop.ts";
import { onLease } from "../stop/stopping-lease.ts";
import { dueUpgrade } from "../launch/on-upgrade.ts";
import { ignored, moved, note, type Context, type Moved, type Outcome } from "../outcome.ts";
import { endIsUndated, failedTry, type Session } from "../../state/session.ts";

type Rule = (session: Session, jitter: number, context: Context) => Outcome;

/**
 * In this order: first every instant must be one that this clock can have set, then what was in flight is settled, stops
 * first, and then the session's clocks decide on the result. The shell makes each its own write: a rule whose move
 * cannot be stored must not hold up the others.
 */
const rules: Readonly<Record<TimeRule, Rule>> = {
  clock_went_back: (session, _jitter, context) => clockWentBack(session, context),
  overdue_stops: overdueStops,
  overdue_opening: overdueOpening,
  overdue_launch: overdueLaunch,
  overdue_save: overdueSave,
  overdue_copy: (session, _jitter, context) => overdueCopy(session, context),
  overdue_deletion: overdueDeletion,
  lapsed_lease: lapsedLease,
  overdue_preparation: (session, _jitter, context) => overduePreparation(session, context),
  due_clock: dueClock,
  due_upgrade: (session, _jitter, context) => dueUpgrade(session, context),
  undated_end: undatedEnd,
};

export const timeRules = Object.keys(rules) as readonly TimeRule[];

export function timePassed(session: Session, event: EventOf<"timePassed">, context: Context): Outcome {
  let current = session;
  const effects: Effect[] = [];
  let changed = false;
  for (const name of event.rule === undefined ? timeRules : [event.rule]) {
    const outcome = rules[name](current, event.jitter, context);
    if (outcome.type !== "moved") continue;
    current = outcome.session;
    effects.push(...outcome.effects);
    changed = true;
  }
  return changed ? moved(current, ...effects) : ignored("nothing is due");
}

/**
 * The last lease of an ended session may close while its record cannot be read: then only the lease row is written. Once the
 * record can be read again no event is left to come, so the passing of time dates the end.
 */
function undatedEnd(session: Session): Outcome {
  return endIsUndated(session) ? moved(session) : ignored("no end is without a date");
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
  const why = { code: "unavailable", message: "Nobody answered in time whether a sandbox may be opened." };
  const lastError = failedTry(desired.provision.lastError, why, context.now);
  return moved({
    ...session,
    desired: {
      type: "running",
      provision: { ...desired.provision, failures, lastError, step: { type: "waiting", notBefore } },
    },
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
      return endByClock(session, action, context);
    case "announce":
      return announce(session, action.note, clocks[name].words, context);
    case "budget":
      return spendBudget(session, context);
    case "provisionFailed":
      return failProvision(session, "provision_timeout", context);
    case "onTimeout":
      return expire(session, action.reason === "timeout" ? "end_at" : "idle", context);
  }
}

function announce(
  session: Session,
  what: "retention_warning" | "budget_warning" | "ending_soon",
  words: string,
  { policy, now }: Context,
): Moved {
  const generation = session.newest?.generation ?? null;
  switch (what) {
    case "retention_warning": {
      const since = session.desired.type === "suspended" ? session.desired.since : null;
      const endsAt = new Date((since ?? now) + policy.pausedRetentionMs).toISOString();
      return moved({ ...session, warnedOfPause: since }, note(what, words, null, { ends_at: endsAt }));
    }
    case "ending_soon": {
      // After an outage its end may be due as well: that says it all.
      if (now >= session.endAt) return moved({ ...session, warnedOfEnd: session.endAt });
      const facts = { end_at: new Date(session.endAt).toISOString(), on_timeout: session.lifecycle.onTimeout };
      return moved({ ...session, warnedOfEnd: session.endAt }, note(what, words, generation, facts));
    }
    case "budget_warning": {
      const { budget } = session;
      const endsAt = budget.maxNanos === null ? null : costReachedAt(session, budget.maxNanos);
      return moved(
        { ...session, budget: { ...budget, warnedOf: budget.maxNanos } },
        note(what, words, generation, {
          cost: spentBy(session, now) / nanosPerUnit,
          max_cost: (budget.maxNanos ?? 0) / nanosPerUnit,
          currency: policy.prices.currency,
          used_up_at: endsAt === null ? null : new Date(endsAt).toISOString(),
        }),
      );
    }
  }
}
