/**
 * What it means that a session's `end_at` or idle clock is due: `on_timeout`. With `pause` its contents are kept wherever
 * they are at that moment: in the running sandbox, in a save that is under way, or in a snapshot that nobody has restored
 * yet. A sandbox that cannot be saved is tried again with a stored delay, a bounded number of times; then the session ends,
 * and its history says what was lost and why (docs/decisions/0008).
 */
import { clockDue, clocks, type ExpiryClock } from "./clocks.ts";
import { endSession, stopNewest, withoutCandidate } from "./ending.ts";
import { pauseBackoff, type Gate, type Held } from "./lease.ts";
import { moved, note, type Context, type Moved } from "./outcome.ts";
import type { PauseTries, Session } from "./session.ts";

export function expire(session: Session, clock: ExpiryClock, context: Context): Moved {
  const { reason } = clocks[clock].action;
  if (session.lifecycle.onTimeout === "kill") return endSession(session, reason, null, context);
  // What is half prepared is worth nothing saved: a session whose end comes before it ran ends, or stays as it was saved.
  const lease = session.newest;
  if (session.desired.type === "running" && lease?.phase === "held" && lease.gate.type !== "preparing")
    return saveAndPause(session, lease, lease.gate, clock, context);
  if (session.snapshot !== null) return pauseAsSaved(session, context);
  return endSession(session, reason, null, context);
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
  // A save that is under way is of the very contents a pause would save: it goes on, for the pause now.
  const gate =
    open.type === "open"
      ? ({ type: "draining", for: "pause", deadline: now + policy.drainMs } as const)
      : ({ ...open, for: "pause" } as const);
  return moved(
    {
      ...session,
      pauseTries,
      newest: { ...lease, gate },
      desired: { type: "suspended", cause: "pause", since: now, resumeQueued: false },
    },
    note("pausing", `${clock} is due`, lease.generation, { clock, try: pauseTries.tries }),
  );
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
function pauseAsSaved(session: Session, context: Context): Moved {
  const generation = session.newest?.generation ?? null;
  return moved(
    {
      ...stopNewest(withoutCandidate(session), "paused", context),
      desired: { type: "suspended", cause: "pause", since: context.now, resumeQueued: false },
    },
    note("pausing", "its end came before it ran; what was saved is kept", generation),
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
