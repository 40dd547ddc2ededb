/** Cells for what clients, operators and clocks ask for. Named for the event and, where it matters, the situation. */
import { beginResume, endSession } from "./stop/ending.ts";
import type { EventOf } from "./events.ts";
import type { Gate } from "../state/lease.ts";
import { nextCalls, say } from "../state/next-calls.ts";
import { backToPaused } from "./lifetime/on-expiry.ts";
import { budgetIsUsedUp, nanosPerUnit } from "../rules/price.ts";
import { type Context, ignored, moved, note, type Outcome, rejected } from "./outcome.ts";
import type { Requester } from "../state/requester.ts";
import type { Desired, Session } from "../state/session.ts";
import { discard, ownSnapshot, saveUnderWay } from "../rules/saved-files.ts";

export function terminate(session: Session, event: EventOf<"terminateRequested">, context: Context): Outcome {
  return endSession(session, event.reason, event.failure, context, event.words, event.by);
}

export const alreadyEnded = (): Outcome => ignored("the session has ended already");

export const refuseEnded = (): Outcome =>
  rejected(
    "session_ended",
    `The session has ended; it cannot be changed any more. ${say(nextCalls.create)} begins a new one.`,
  );

export const refusePaused = (): Outcome =>
  rejected(
    "session_paused",
    `The session is paused: its clocks stand still. Resume it first: ${say(nextCalls.resume)}.`,
  );

export const refuseLost = (): Outcome =>
  rejected(
    "sandbox_lost",
    `The sandbox of this session was lost. ${say(nextCalls.rebuild)} begins a new one; ${say(nextCalls.end)} ends the session.`,
  );

export const refuseNotRunning = (): Outcome =>
  rejected(
    "session_not_running",
    `The session has no running sandbox at the moment. Wait until ${say(nextCalls.read)} says \`running\`, then send this again.`,
  );

export function setEnd(session: Session, event: EventOf<"timeoutSet">, context: Context): Outcome {
  const asked = context.now + event.durationMs;
  const endAt = event.kind === "refresh" ? Math.max(session.endAt, asked) : asked;
  const next: Session = {
    ...session,
    endAt,
    refreshedAt: context.now,
    activity: { ...session.activity, lastAt: context.now },
    pauseTries: null,
    // What failed was asked for by the end that is moved here; why a suspended session has no sandbox still holds.
    setback: session.desired.type === "running" ? null : session.setback,
  };
  return moved(
    next,
    note(event.kind === "refresh" ? "refreshed" : "timeout_set", "a client asked for it", null, {
      end_at: new Date(endAt).toISOString(),
    }),
  );
}

/** A budget that is larger than before may be tried to be paused for again. */
export function setBudget(session: Session, event: EventOf<"budgetSet">, { policy }: Context): Outcome {
  const { maxNanos } = event;
  if (session.budget.maxNanos === maxNanos) return ignored("that is its budget already");
  return moved(
    { ...session, budget: { ...session.budget, maxNanos, pausedAt: null } },
    note("budget_set", "a client asked for it", null, {
      max_cost: maxNanos === null ? null : maxNanos / nanosPerUnit,
      currency: policy.prices.currency,
    }),
  );
}

export function noteTenantSpent(session: Session, _event: EventOf<"tenantBudgetSpent">, { now }: Context): Outcome {
  if (session.newest?.phase !== "held" || session.newest.terms?.nanosPerSecond === undefined)
    return ignored("nothing of it costs anything");
  if (session.budget.tenantSpentAt !== null) return ignored("it knows");
  return moved({ ...session, budget: { ...session.budget, tenantSpentAt: now } });
}

export function noteActivity(session: Session, event: EventOf<"activityNoted">, context: Context): Outcome {
  const { now } = context;
  // Dated by the sandbox: what we only hear of now does not put the idle clock off.
  const lastAt = event.at === undefined ? now : Math.max(session.activity.lastAt, Math.min(event.at, now));
  const activity =
    event.activeJobs === null
      ? { ...session.activity, lastAt }
      : { lastAt, activeJobs: event.activeJobs, reportedAt: now };
  return moved({ ...session, activity });
}

export const activityWithoutSandbox = (): Outcome => ignored("nothing runs whose idle clock could move");

export function pause(session: Session, event: EventOf<"pauseRequested">, context: Context): Outcome {
  const lease = session.newest;
  if (lease?.phase !== "held") return refuseNotRunning();
  if (lease.gate.type === "preparing") return refuseNotRunning();
  if (lease.gate.type === "open" && session.discarded.length >= context.policy.maxDiscarded)
    return refuseToSave(session);
  return moved(
    {
      ...session,
      setback: null,
      newest: { ...lease, gate: gateFor("pause", lease.gate, context) },
      desired: pausedBy(event.by, context.now),
    },
    note("pausing", "asked for", lease.generation),
  );
}

function pausedBy(by: Requester | undefined, since: number): Desired {
  return { type: "suspended", cause: "pause", since, resumeQueued: false, ...(by === undefined ? {} : { by }) };
}

/** A drain or save that is under way for something else is of the very contents that this one would save: it goes on. */
export function gateFor(
  purpose: "pause" | "rebuild",
  gate: Exclude<Gate, { type: "preparing" }>,
  { now, policy }: Context,
): Gate {
  // A copy that is under way is given up: what is saved here must be what the sandbox ended with.
  if (gate.type === "open" || gate.type === "copying")
    return { type: "draining", for: purpose, deadline: now + policy.drainMs, attemptId: null };
  // An upgrade waits for jobs; a pause or rebuild has a whole drain's time before it interrupts them.
  if (gate.type === "draining" && gate.for === "upgrade")
    return { ...gate, for: purpose, deadline: now + policy.drainMs };
  return { ...gate, for: purpose };
}

/** Asked for while a sandbox is started from what is saved: nothing has run since, so it stays as it was saved. */
export function pauseWhileStarting(session: Session, _event: EventOf<"pauseRequested">, context: Context): Outcome {
  return ownSnapshot(session) === null ? refuseNotRunning() : backToPaused(session, null, "asked for", context);
}

/** The last word counts: a resume that waits for the old sandbox is taken back. */
export function unqueueResume(session: Session): Outcome {
  const { desired } = session;
  if (desired.type !== "suspended" || !desired.resumeQueued) return alreadyPausing();
  return moved(
    { ...session, desired: { ...desired, resumeQueued: false } },
    note("resume_cancelled", "a pause was asked for after it", session.newest?.generation ?? null),
  );
}

/** Each save leaves a name to be deleted; while none can be, no more are begun. */
export function refuseToSave({ discarded }: Session): Outcome {
  return rejected(
    "conflict",
    `${discarded.length} earlier saves of this session are still to be deleted, and the provider does not answer for them. It runs on; send this again in some minutes. ${say(nextCalls.events)} tells when they are deleted.`,
  );
}

export const alreadyPausing = (): Outcome => ignored("it is paused, or on its way there");

/** Saving is cancelled: the contents are still in the running sandbox. */
export function cancelPause(session: Session, event: EventOf<"resumeRequested">, context: Context): Outcome {
  if (session.newest?.phase !== "held") return refuseNotRunning();
  // A budget is used up before its sandbox's cost is settled: what runs on would be ended, and what is saved now lost with it.
  if (budgetIsUsedUp(session) || session.budget.pausedAt !== null) return refuseSpent();
  return moved(
    {
      ...discard(session, saveUnderWay(session, context.now), context.now),
      setback: null,
      endAt: context.now + event.timeoutMs,
      refreshedAt: context.now,
      pauseTries: null,
      activity: { ...session.activity, lastAt: context.now },
      newest: { ...session.newest, gate: { type: "open" } },
      desired: { type: "running", provision: null },
    },
    note("pause_cancelled", "resumed while saving", session.newest.generation),
  );
}

/** The old sandbox is still going: the start waits for it, once. Its end is set when it is asked for. */
export function queueResume(session: Session, event: EventOf<"resumeRequested">, context: Context): Outcome {
  if (session.desired.type !== "suspended") return ignored("it is not paused");
  if (session.desired.resumeQueued) return ignored("a resume is queued already");
  if (lifetimeIsUsedUp(session)) return refuseUsedUp();
  if (budgetIsUsedUp(session)) return refuseSpent();
  return moved(
    {
      ...session,
      endAt: context.now + event.timeoutMs,
      refreshedAt: context.now,
      setback: null,
      desired: { ...session.desired, resumeQueued: true },
    },
    note("resume_queued", "asked for while its old sandbox stops", session.newest?.generation ?? null),
  );
}

export function resume(session: Session, event: EventOf<"resumeRequested">, context: Context): Outcome {
  if (lifetimeIsUsedUp(session)) return refuseUsedUp();
  if (budgetIsUsedUp(session)) return refuseSpent();
  return moved(beginResume(session, event.timeoutMs, context), note("resuming", "asked for", null));
}

/** A sandbox that is started now would be stopped at once. */
function lifetimeIsUsedUp({ alive, limits }: Session): boolean {
  return alive.since === null && alive.totalMs >= limits.maxLifetimeMs;
}

function refuseUsedUp(): Outcome {
  return rejected(
    "conflict",
    `The session has used up its max lifetime: no sandbox is started for it any more. What is saved is kept until its retention ends. ${say(nextCalls.create)} begins a new session.`,
  );
}

export function refuseSpent(): Outcome {
  return rejected(
    "conflict",
    `The session has used up its max_cost, or its tenant the month's: no sandbox is started for it. What is saved is kept until its retention ends. ${say(nextCalls.budget)} gives it more.`,
  );
}

export const alreadyRunning = (): Outcome => ignored("it runs already, or is on its way there");
