/** The ways a session or its sandbox comes to an end, shared by every event that can cause one. */
import type { Requester } from "../../state/requester.ts";
import type { Effect } from "../events.ts";
import { isOpen } from "../../state/lease.ts";
import { beginStop } from "./begin-stop.ts";
import { nextGeneration, type Generation } from "../../state/ids.ts";
import { desiredAfterLoss } from "../../rules/on-loss.ts";
import { moved, note, type Context, type Moved } from "../outcome.ts";
import { terminateReasons, type StopReason, type TerminateReason } from "../../state/reasons.ts";
import { type FailedTry, failedTry, type Session, type Setback, startProvision } from "../../state/session.ts";
import { discard, saveUnderWay } from "../../rules/saved-files.ts";

/**
 * The generation to which the registry hands on the place of an upgrade's old sandbox; null: no place is kept. Told with
 * each report, so the registry can free the one and reserve the other in the same write.
 */
export function reservationKeptFor(session: Session): Generation | null {
  const { desired, newest } = session;
  if (desired.type !== "running" || desired.provision?.purpose !== "upgrade") return null;
  if (newest === null || newest.phase === "launching" || newest.phase === "held") return null;
  return desired.provision.candidate?.generation ?? session.nextGeneration;
}

/** The candidate of an opening that will not happen: its reservation, if it was made, is to be given back. */
export function withoutCandidate(session: Session): Session {
  if (session.desired.type !== "running" || session.desired.provision === null) return session;
  const { provision } = session.desired;
  const kept = reservationKeptFor(session);
  if (provision.candidate === null && kept === null) return session;
  // An upgrade's place may be reserved before its candidate is minted: that generation is used up with it.
  const generation = provision.candidate?.generation ?? kept;
  return {
    ...session,
    nextGeneration:
      kept === null ? session.nextGeneration : (Math.max(session.nextGeneration, nextGeneration(kept)) as Generation),
    desired: { type: "running", provision: { ...provision, candidate: null } },
    cancellations: generation === null ? session.cancellations : [...session.cancellations, generation],
  };
}

/** Nobody will resume the session, so its saved files, and a save under way, are discarded. */
function withoutSnapshots(session: Session, now: number): Session {
  return { ...discard(discard(session, session.snapshot, now), saveUnderWay(session, now), now), snapshot: null };
}

export function stopNewest(session: Session, reason: StopReason, context: Context): Session {
  return isOpen(session.newest)
    ? { ...session, newest: beginStop(session.newest, reason, context.now, context.policy) }
    : session;
}

/** Terminate wins over everything but an earlier termination: the caller has checked that. */
export function endSession(
  session: Session,
  reason: TerminateReason,
  failure: string | null,
  context: Context,
  words: string = terminateReasons[reason].words,
  by?: Requester,
): Moved {
  const ended: Session = {
    ...stopNewest(withoutCandidate(withoutSnapshots(session, context.now)), "terminated", context),
    desired: {
      type: "terminated",
      reason,
      at: context.now,
      endedAt: null,
      failure,
      ...(by === undefined ? {} : { by }),
    },
  };
  return moved(ended, note("terminating", words, session.newest?.generation ?? null, { reason, failure }), {
    type: "dropQueue",
  });
}

/** A held (or saving) sandbox is lost: the lease goes on to stop, the session as `on_loss` says. */
export function loseSandbox(session: Session, reason: StopReason, why: string, context: Context): Moved {
  const generation = session.newest?.generation ?? null;
  const stopped = stopNewest(discard(session, saveUnderWay(session, context.now), context.now), reason, context);
  const effects: Effect[] = [note("sandbox_lost", why, generation, { reason })];
  if (generation !== null) effects.push({ type: "settleJobs", generation, as: "lost" });
  if (session.desired.type === "terminated") return moved(stopped, ...effects);
  if (session.desired.type === "suspended") {
    // Gone before its contents were saved: said plainly, whatever was asked for.
    const lost: Session = {
      ...stopped,
      desired: { type: "suspended", cause: "loss", since: context.now, resumeQueued: false },
    };
    return moved(lost, ...effects);
  }
  const decision = desiredAfterLoss(session, why, context.now, context.policy);
  if (decision.desired.type === "terminated") effects.push({ type: "dropQueue" });
  return moved({ ...stopped, desired: decision.desired, relaunches: decision.relaunches }, ...effects);
}

/** A launch that did not become a held lease: stop what may be there, and try another generation after a delay. */
export function launchAgainLater(
  session: Session,
  reason: StopReason,
  why: { code: string; message: string },
  notBefore: number,
  context: Context,
): Moved {
  const generation = session.newest?.generation ?? null;
  const stopped = stopNewest(session, reason, context);
  const effect = note("launch_failed", why.message, generation, { code: why.code });
  if (stopped.desired.type !== "running" || stopped.desired.provision === null) return moved(stopped, effect);
  const { provision } = stopped.desired;
  return moved(
    {
      ...stopped,
      desired: {
        type: "running",
        provision: {
          ...provision,
          failures: provision.failures + 1,
          step: { type: "waiting", notBefore },
          lastError: failedTry(provision.lastError, why, context.now),
        },
      },
    },
    effect,
  );
}

/** No sandbox became ready in time, or none ever can. The consequence depends on the purpose: a snapshot is never thrown away. */
export function failProvision(session: Session, reason: "provision_timeout" | "failed", context: Context): Moved {
  if (session.desired.type !== "running" || session.desired.provision === null) return moved(session);
  const { purpose, lastError } = session.desired.provision;
  const words = lastError === null ? "no launch succeeded" : `${lastError.code}: ${lastError.message}`;
  if (purpose === "create") return endSession(session, reason, `The sandbox could not be started. ${words}`, context);
  // The provider never had an instance for it. That is no failed launch and does not count for the tenant's breaker.
  const full =
    lastError?.code === "no_capacity" &&
    session.newest?.phase === "launching" &&
    session.newest.step.type === "waiting";
  const back: Session = {
    ...stopNewest(withoutCandidate(session), full ? "no_capacity" : "launch_timeout", context),
    setback: setbackOf(lastError, context.now),
    desired: {
      type: "suspended",
      // An upgrade stopped the sandbox after a save, as a pause does: nothing of it was lost.
      cause: purpose === "resume" || purpose === "upgrade" ? "pause" : "loss",
      since: context.now,
      resumeQueued: false,
    },
  };
  return moved(back, note("provision_failed", words, session.newest?.generation ?? null, { purpose }));
}

/** The reason why no sandbox became ready. */
export function setbackOf(lastError: FailedTry | null, now: number): Setback {
  return lastError === null
    ? { code: "provision_timeout", message: "No launch succeeded in time.", at: now }
    : { code: lastError.code, message: lastError.message, at: lastError.at };
}

export function beginResume(session: Session, timeoutMs: number, context: Context): Session {
  return {
    ...session,
    endAt: context.now + timeoutMs,
    refreshedAt: context.now,
    pauseTries: null,
    setback: null,
    budget: { ...session.budget, pausedAt: null, tenantSpentAt: null },
    activity: { lastAt: context.now, activeJobs: 0, reportedAt: context.now },
    desired: { type: "running", provision: startProvision("resume", context.now, context.policy.provisionMs) },
  };
}

/** Time with a sandbox ends when the newest lease closes or becomes a ghost; of a suspended session, when its sandbox begins to stop. */
export function withoutSandbox(session: Session, now: number): Session {
  if (session.alive.since === null) return session;
  return {
    ...session,
    alive: { totalMs: session.alive.totalMs + Math.max(0, now - session.alive.since), since: null },
  };
}
