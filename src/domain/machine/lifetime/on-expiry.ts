/**
 * What it means that a session's `end_at`, idle clock or max lifetime is due.
 *
 * A snapshot that no sandbox has been started from yet is never deleted by a clock: the session goes back to `paused` with
 * it, whatever `on_timeout` says. Otherwise `on_timeout: pause` keeps the contents of a running sandbox, or of a save that
 * is under way. A sandbox that cannot be saved is tried again with a stored delay, a bounded number of times; then the
 * session ends, and its view and history say what was lost and why (docs/decisions/0008).
 */
import { clockDue, clocks, type ClockAction, type ExpiryClock } from "../../rules/clocks.ts";
import { endSession, stopNewest, withoutCandidate } from "../stop/ending.ts";
import type { Gate, Held } from "../../state/lease.ts";
import { pauseBackoff } from "../../rules/backoff.ts";
import { moved, note, type Context, type Moved } from "../outcome.ts";
import type { PauseTries, Session } from "../../state/session.ts";
import { ownSnapshot } from "../../rules/saved-files.ts";

type TerminateAction = Extract<ClockAction, { readonly type: "terminate" }>;

export function expire(session: Session, clock: ExpiryClock, context: Context): Moved {
  const { reason } = clocks[clock].action;
  if (ownSnapshot(session) !== null) return pauseAsSaved(session, endWords[clock], context);
  if (session.lifecycle.onTimeout === "kill") return endSession(session, reason, null, context);
  // A half-prepared workspace is not worth saving: the session ends, or stays paused with what it had saved.
  const lease = session.newest;
  if (session.desired.type === "running" && lease?.phase === "held" && lease.gate.type !== "preparing")
    return saveAndPause(session, lease, lease.gate, clock, context);
  return endSession(session, reason, null, context);
}

/** A clock that ends sessions, whatever `on_timeout` says. */
export function endByClock(session: Session, action: TerminateAction, context: Context): Moved {
  return action.pausesSaved !== null && ownSnapshot(session) !== null
    ? pauseAsSaved(session, action.pausesSaved, context)
    : endSession(session, action.reason, null, context);
}

function saveAndPause(
  session: Session,
  lease: Held,
  open: Exclude<Gate, { type: "preparing" }>,
  clock: ExpiryClock,
  context: Context,
): Moved {
  const { now, policy } = context;
  const before = continued(session, clock, context);
  if (before !== null && before.tries >= policy.pauseTries) return giveUp(session, before, clock, context);
  const pauseTries: PauseTries = {
    since: before?.since ?? now,
    tries: (before?.tries ?? 0) + 1,
    notBefore: now,
    error: before?.error ?? null,
  };
  const gate = pausing(open, context);
  return moved(
    {
      ...session,
      pauseTries,
      newest: { ...lease, gate },
      desired: { type: "suspended", cause: "pause", since: now, resumeQueued: false, by: `clock:${clock}` },
    },
    note("pausing", `${clock} is due`, lease.generation, { clock, try: pauseTries.tries }),
  );
}

/**
 * The budget is used up: one save, and a pause. A sandbox that costs money is not kept for a second try, so what cannot be saved
 * then is lost, and the session's end says so.
 */
export function spendBudget(session: Session, context: Context): Moved {
  const { now } = context;
  const lease = session.newest;
  if (ownSnapshot(session) !== null) return pauseAsSaved(session, endWords.budget, context);
  const { pausedAt } = session.budget;
  if (lease?.phase !== "held" || lease.gate.type === "preparing") return endSession(session, "budget", null, context);
  if (pausedAt !== null) {
    const why = session.setback?.message ?? "the save did not finish";
    const words = `Its budget was used up and its contents could not be saved: ${why}`;
    const ended = endSession(session, "budget", words, context);
    return moved(ended.session, note("contents_lost", words, lease.generation, { clock: "budget" }), ...ended.effects);
  }
  return moved(
    {
      ...session,
      budget: { ...session.budget, pausedAt: now },
      newest: { ...lease, gate: pausing(lease.gate, context) },
      desired: { type: "suspended", cause: "pause", since: now, resumeQueued: false, by: "clock:budget" },
    },
    note("pausing", clocks.budget.words, lease.generation, { clock: "budget" }),
  );
}

/** A save that is under way is of the very contents a pause would save: it goes on, for the pause now. */
function pausing(open: Exclude<Gate, { type: "preparing" }>, { now, policy }: Context): Gate {
  return open.type === "open" || open.type === "copying"
    ? { type: "draining", for: "pause", deadline: now + policy.drainMs, attemptId: null }
    : { ...open, for: "pause" };
}

/** The series goes on as long as nothing has moved the clock since it began. */
function continued(session: Session, clock: ExpiryClock, { policy }: Context): PauseTries | null {
  const { pauseTries } = session;
  if (pauseTries === null) return null;
  const dueAt = clockDue(session, clock, policy);
  return dueAt !== null && dueAt <= pauseTries.since ? pauseTries : null;
}

function giveUp(session: Session, { tries, error, since }: PauseTries, clock: ExpiryClock, context: Context): Moved {
  const words = `Its contents could not be saved in ${tries} tries since ${new Date(since).toISOString()}: ${error ?? "the saves did not finish"}`;
  const ended = endSession(session, clocks[clock].action.reason, words, context);
  const lost = note("contents_lost", words, session.newest?.generation ?? null, { clock, tries, error });
  return moved(ended.session, lost, ...ended.effects);
}

/** Nothing ran since it was saved, so nothing is lost by not starting it. */
function pauseAsSaved(session: Session, words: string, context: Context): Moved {
  const provision = session.desired.type === "running" ? session.desired.provision : null;
  const why = provision?.lastError?.message ?? null;
  const message = `${words} before a sandbox ran from what is saved.${why === null ? "" : ` ${why}`}`;
  return backToPaused(session, { code: "ended_before_it_ran", message, at: context.now }, message, context);
}

const endWords = {
  end_at: "Its end came",
  idle: "Its idle timeout passed",
  budget: "Its budget was used up",
};

/** Suspended with the snapshot that it has. A launch that is under way is stopped. */
export function backToPaused(session: Session, setback: Session["setback"], why: string, context: Context): Moved {
  const generation = session.newest?.generation ?? null;
  return moved(
    {
      ...stopNewest(withoutCandidate(session), "paused", context),
      setback,
      desired: { type: "suspended", cause: "pause", since: context.now, resumeQueued: false },
    },
    note("pausing", why, generation),
  );
}

/** A pause that a clock asked for did not save anything: the next one waits. A client's own leaves the count alone. */
export function afterFailedPause(
  pauseTries: PauseTries | null,
  why: string,
  { now, policy }: Context,
): PauseTries | null {
  if (pauseTries === null) return null;
  return { ...pauseTries, error: why, notBefore: now + pauseBackoff(pauseTries.tries, policy) };
}
