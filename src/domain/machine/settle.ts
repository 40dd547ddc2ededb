/** The conclusions that hold after every move, whatever it was. */
import { withoutSandbox } from "./stop/ending.ts";
import { note, type Context, type Moved } from "./outcome.ts";
import { chargeOf } from "../rules/price.ts";
import type { StopCause } from "../state/lease.ts";
import { requesterOf, type StopReason } from "../state/reasons.ts";
import { endIsUndated, type Session } from "../state/session.ts";

export function settle(outcome: Moved, context: Context, before: Session): Moved {
  const charged = withSetback(withCharge(withCause(withoutLostJobs(outcome)), context, before), before);
  return dateEnd(stopLifetime(charged, context), context);
}

/** Stores who ended the sandbox with its lease, in the move that begins the stop: until the proof the session may change again. */
function withCause(outcome: Moved): Moved {
  const { session } = outcome;
  const { newest } = session;
  if (newest?.phase !== "stopping" || newest.cause !== undefined) return outcome;
  return { ...outcome, session: { ...session, newest: { ...newest, cause: causeOf(session, newest.reason) } } };
}

/** What a sandbox cost is added up once, in the move that takes it from being held. */
function withCharge(outcome: Moved, { now }: Context, before: Session): Moved {
  const { session } = outcome;
  const charge = chargeOf(before, now);
  const stillHeld = session.newest?.phase === "held" && session.newest.generation === before.newest?.generation;
  if (charge === null || stillHeld) return outcome;
  const { budget, newest } = session;
  return {
    ...outcome,
    session: {
      ...session,
      budget: { ...budget, spentNanos: budget.spentNanos + charge.nanos },
      newest: newest?.phase === "stopping" ? { ...newest, charge } : newest,
    },
  };
}

/** People are told of what went wrong by one event, whatever it was that failed. */
function withSetback(outcome: Moved, before: Session): Moved {
  const { setback, newest } = outcome.session;
  if (setback === null || setback === before.setback) return outcome;
  const told = note("setback", setback.message, newest?.generation ?? null, { code: setback.code });
  return { ...outcome, effects: [...outcome.effects, told] };
}

function causeOf({ desired }: Session, reason: StopReason): StopCause {
  switch (desired.type) {
    case "terminated":
      return { by: desired.by ?? requesterOf(desired.reason), terminateReason: desired.reason };
    case "suspended":
      return { by: desired.cause === "loss" ? "mooring" : (desired.by ?? "client"), terminateReason: null };
    case "running":
      return { by: reason === "rebuilt" ? "client" : "mooring", terminateReason: null };
  }
}

/** Without a sandbox that lives, nothing runs: neither the index nor a later sandbox may count the jobs of the one before. */
function withoutLostJobs(outcome: Moved): Moved {
  const { session } = outcome;
  const { newest, activity } = session;
  if (activity.activeJobs === 0 || newest?.phase === "held" || newest?.phase === "launching") return outcome;
  return { ...outcome, session: { ...session, activity: { ...activity, activeJobs: 0 } } };
}

/** Max lifetime counts a paused or lost session's sandbox until it begins to stop, however long the proof takes. */
function stopLifetime(outcome: Moved, { now }: Context): Moved {
  const { desired, newest } = outcome.session;
  if (desired.type !== "suspended" || newest?.phase === "held" || newest?.phase === "launching") return outcome;
  return { ...outcome, session: withoutSandbox(outcome.session, now) };
}

/** The instant at which nothing of a terminated session was left, or is only somebody's word, is written once and stays. */
function dateEnd(outcome: Moved, { now }: Context): Moved {
  const { session } = outcome;
  const { desired, newest } = session;
  if (desired.type !== "terminated" || !endIsUndated(session)) return outcome;
  return {
    type: "moved",
    session: { ...session, desired: { ...desired, endedAt: now } },
    effects: [...outcome.effects, note("terminated", desired.reason, newest?.generation ?? null)],
  };
}
