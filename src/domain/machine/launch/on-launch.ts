/** Cells for launching into an open lease. */
import { condemnsFilesystem } from "../../rules/cold-admission.ts";
import { launchBackoff } from "../../rules/backoff.ts";
import { launchTerms } from "../../rules/lease-times.ts";
import type { ProviderFailure } from "../../state/failure.ts";
import type { LaunchAttempt, Launching } from "../../state/lease.ts";
import { failedTry, type Session, type SnapshotRef } from "../../state/session.ts";
import type { EventOf } from "../events.ts";
import { ignored, moved, note, type Context, type Outcome } from "../outcome.ts";
import { failProvision, launchAgainLater } from "../stop/ending.ts";
import { provisionOf, withProvision } from "./on-open.ts";

/** How soon an instance that was launched is asked again whether it accepts its lease. Its launch answer means it listens: this is for the unlucky. */
const confirmRetryMs = 1_000;

function asLaunching(session: Session): Launching | null {
  return session.newest?.phase === "launching" ? session.newest : null;
}

function settledAttempts(
  lease: Launching,
  outcome: LaunchAttempt["outcome"],
  error: string | null,
): readonly LaunchAttempt[] {
  return lease.attempts.map((attempt) => (attempt.outcome === "acting" ? { ...attempt, outcome, error } : attempt));
}

export function launchStarted(session: Session, event: EventOf<"launchStarted">, context: Context): Outcome {
  const lease = asLaunching(session);
  if (lease?.step.type !== "waiting" || lease.step.notBefore > context.now) return ignored("it is not time to launch");
  const { now, policy } = context;
  return moved({
    ...session,
    newest: {
      ...lease,
      // A row that older code wrote does not say what was sent: today's terms are taken for that as well.
      terms: launchTerms(lease.terms, policy, lease.provider),
      step: { type: "acting", attemptId: event.attemptId, deadline: now + policy.launchCallMs },
      attempts: [
        ...lease.attempts.slice(-19),
        { attemptId: event.attemptId, sentAt: now, outcome: "acting", error: null },
      ],
      launchNotAfter: Math.max(lease.launchNotAfter, now + policy.launchCallMs),
      deadline: now + policy.launchCallMs + policy.readyWaitMs,
    },
  });
}

export function launchSucceeded(session: Session, event: EventOf<"launchSucceeded">, context: Context): Outcome {
  const lease = asLaunching(session);
  if (lease?.step.type !== "acting" || lease.step.attemptId !== event.attemptId)
    return ignored("the answer of an older launch");
  return moved({
    ...session,
    newest: {
      ...lease,
      host: event.host,
      step: { type: "confirming", nextAt: context.now },
      attempts: settledAttempts(lease, "launched", null),
    },
  });
}

/** Trying the same again is useless whatever the delay. */
const hopeless: ReadonlySet<string> = new Set(["invalid", "unsupported", "protocol_unsupported"]);
/** Nothing happened and the same order may be sent again. */
const repeatable: ReadonlySet<string> = new Set([
  "no_capacity",
  "unavailable",
  // No evidence against the sandbox: it is not given up for these.
  "insufficient_space",
  "space_unmeasurable",
]);

export function launchFailed(session: Session, event: EventOf<"launchFailed">, context: Context): Outcome {
  const lease = asLaunching(session);
  if (lease?.step.type !== "acting" || lease.step.attemptId !== event.attemptId)
    return ignored("the answer of an older launch");
  const { failure } = event;
  const { now, policy } = context;
  if (failure.effect === "unknown") {
    // It may have started, or may still: never sent again blindly. Only the instance itself can say.
    const confirming: Launching = {
      ...lease,
      step: { type: "confirming", nextAt: now + confirmRetryMs },
      attempts: settledAttempts(lease, "unknown", failure.message),
    };
    return moved(
      { ...session, newest: confirming },
      note("launch_unknown", failure.message, lease.generation, { code: failure.code }),
    );
  }
  if (failure.code === "restoring") return stillRestoring(session, lease, failure, context);
  const settled: Session = {
    ...session,
    newest: { ...lease, attempts: settledAttempts(lease, "failed", failure.message) },
  };
  const failures = (provisionOf(session)?.failures ?? 0) + 1;
  const notBefore = now + launchBackoff(failures, event.jitter, failure, policy);
  const unrestorable = session.snapshot === null ? null : whyUnrestorable(session.snapshot, failure);
  const why = unrestorable ?? { code: failure.code, message: failure.message };
  // No later try finds what is not there or not whole either: whoever asked learns it now.
  if (hopeless.has(failure.code) || unrestorable !== null) {
    const noted = launchAgainLater(settled, "launch_failed", why, notBefore, context);
    const given = failProvision(noted.session, "failed", context);
    return moved(given.session, ...noted.effects, ...given.effects);
  }
  if (!repeatable.has(failure.code)) {
    const given = launchAgainLater(settled, "launch_failed", why, notBefore, context);
    return condemnsFilesystem(failure.code)
      ? { ...given, session: avoiding(given.session, lease, failure.message) }
      : given;
  }
  const provision = provisionOf(settled);
  const waiting: Session = {
    ...settled,
    newest: {
      ...lease,
      attempts: settledAttempts(lease, "failed", failure.message),
      step: { type: "waiting", notBefore },
      deadline: Math.max(lease.deadline, notBefore + policy.launchCallMs),
    },
  };
  const withError =
    provision === null
      ? waiting
      : withProvision(waiting, {
          ...provision,
          failures,
          step: { type: "waiting", notBefore },
          lastError: failedTry(provision.lastError, why, now),
        });
  return moved(withError, note("launch_waits", failure.message, lease.generation, { code: failure.code }));
}

/** null: this failure says nothing about the snapshot. */
function whyUnrestorable(
  { id }: SnapshotRef,
  { code, message }: ProviderFailure,
): { readonly code: string; readonly message: string } | null {
  if (code === "not_found")
    return { code: "snapshot_missing", message: `The provider has no snapshot ${id} of this session: ${message}` };
  if (code === "damaged")
    return { code: "snapshot_damaged", message: `The provider has snapshot ${id} no longer whole: ${message}` };
  return null;
}

/** The restore tells by itself how far it is as soon as it is asked: this only spaces the questions. */
const restorePollMs = 1_000;

/**
 * Its workspace is still being restored, which is progress and no failed try: it has a bound of its own, and until that has
 * passed no deadline of the launch or of the provision ends it. After that it goes back to paused or lost, with what is saved.
 */
function stillRestoring(session: Session, lease: Launching, failure: ProviderFailure, context: Context): Outcome {
  const { now, policy } = context;
  const { message, progress } = failure;
  const provision = provisionOf(session);
  const notBefore = now + restorePollMs;
  const waiting: Session = {
    ...session,
    newest: {
      ...lease,
      // Nothing was sent that could start anything.
      attempts: lease.attempts.filter(({ outcome }) => outcome !== "acting"),
      step: { type: "waiting", notBefore },
      deadline: Math.max(lease.deadline, notBefore + policy.launchCallMs),
    },
  };
  if (provision === null) return moved(waiting);
  const isFirst = provision.lastError?.code !== "restoring";
  const late = now >= lease.openedAt + policy.restoreMs;
  const noted = withProvision(waiting, {
    ...provision,
    step: { type: "waiting", notBefore },
    deadline: late
      ? provision.deadline
      : Math.max(provision.deadline, notBefore + policy.launchCallMs + policy.readyWaitMs),
    lastError: failedTry(
      provision.lastError,
      { code: "restoring", message, ...(progress === undefined ? {} : { progress }) },
      now,
    ),
  });
  if (late) return failProvision(noted, "provision_timeout", context);
  return isFirst ? moved(noted, note("launch_waits", message, lease.generation, { code: "restoring" })) : moved(noted);
}

/** The next reservation tells the registry about it, and joins another container. */
function avoiding(session: Session, { container }: Launching, why: string): Session {
  const provision = provisionOf(session);
  if (container === undefined || provision === null) return session;
  return withProvision(session, { ...provision, unusable: { container, why } });
}

export const launchIsOver = (): Outcome => ignored("that launch is over");
