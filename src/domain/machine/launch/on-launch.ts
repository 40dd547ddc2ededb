/** Cells for opening a lease and launching into it. */
import { condemnsFilesystem, isSpaceRefusal } from "../../rules/cold-admission.ts";
import { failProvision, launchAgainLater } from "../stop/ending.ts";
import type { EventOf } from "../events.ts";
import type { ProviderFailure } from "../../state/failure.ts";
import { nextGeneration } from "../../state/ids.ts";
import { launchBackoff, launchTerms, type LaunchAttempt, type Launching } from "../../state/lease.ts";
import { ignored, moved, note, type Context, type Outcome } from "../outcome.ts";
import type { Generation } from "../../state/ids.ts";
import { measuredMs } from "../../rules/policy.ts";
import { failedTry, type Provision, type Session } from "../../state/session.ts";

/** How soon an instance that was launched is asked again whether it accepts its lease. Its launch answer means it listens: this is for the unlucky. */
const confirmRetryMs = 1_000;

export function provisionOf(session: Session): Provision | null {
  return session.desired.type === "running" ? session.desired.provision : null;
}

export function withProvision(session: Session, provision: Provision): Session {
  return { ...session, desired: { type: "running", provision } };
}

export function startOpening(session: Session, event: EventOf<"openingStarted">, context: Context): Outcome {
  const provision = provisionOf(session);
  if (provision === null) return ignored("no sandbox is wanted");
  if (provision.step.type !== "waiting" || provision.step.notBefore > context.now)
    return ignored("it is not time to open a lease");
  const known = provision.candidate?.generation;
  if (
    known === undefined ? event.candidate.generation < session.nextGeneration : event.candidate.generation !== known
  ) {
    return ignored("another generation is minted");
  }
  return moved({
    ...withProvision(session, {
      ...provision,
      candidate: event.candidate,
      step: { type: "opening", attemptId: event.attemptId, deadline: event.deadline },
    }),
    nextGeneration: Math.max(session.nextGeneration, nextGeneration(event.candidate.generation)) as Generation,
  });
}

export function openingFailed(session: Session, event: EventOf<"openingFailed">, context: Context): Outcome {
  const provision = provisionOf(session);
  if (provision?.step.type !== "opening" || provision.step.attemptId !== event.attemptId)
    return ignored("an older opening");
  const { code, message, above } = event.failure;
  const failures = provision.failures + 1;
  // An upgrade has no client to tell: it waits for room, as a relaunch does.
  const final = code === "quota_exhausted" || code === "budget_spent" || isSpaceRefusal(code);
  if (final && (provision.purpose === "resume" || provision.purpose === "rebuild")) {
    // Asked for by a client, who is told at once: it stays paused or lost, with what is saved.
    const noted = withProvision(session, { ...provision, lastError: { code, message, at: context.now } });
    return failProvision(noted, "provision_timeout", context);
  }
  const stale = code === "stale_generation";
  const { container } = event.failure;
  // Out of that container, so that the next reservation joins another.
  const leaves = container !== undefined && isSpaceRefusal(code) && condemnsFilesystem(code);
  const left = provision.candidate?.generation;
  // At once for the first; a registry that refuses every number must not be asked without end.
  const delay =
    stale && provision.failures === 0 ? 0 : launchBackoff(failures, event.jitter, event.failure, context.policy);
  return moved(
    {
      ...withProvision(session, {
        ...provision,
        failures,
        candidate: stale || leaves ? null : provision.candidate,
        ...(leaves ? { unusable: { container, why: message } } : {}),
        step: { type: "waiting", notBefore: context.now + delay },
        lastError: failedTry(provision.lastError, { code, message }, context.now),
      }),
      nextGeneration: Math.max(session.nextGeneration, (above ?? 0) + 1) as Generation,
      cancellations: leaves && left !== undefined ? [...session.cancellations, left] : session.cancellations,
    },
    note("provision_waits", message, provision.candidate?.generation ?? null, { code }),
  );
}

/** Progress that a client can follow. With too little room what is stale is removed next, which takes longer than a look. */
export function roomMeasured(session: Session, event: EventOf<"roomMeasured">, { now, policy }: Context): Outcome {
  const { attemptId, freeBytes, totalBytes, neededBytes } = event;
  const provision = provisionOf(session);
  if (provision?.step.type !== "opening" || provision.step.attemptId !== attemptId) return ignored("an older opening");
  const enough = freeBytes >= neededBytes;
  const deadline = Math.max(provision.step.deadline, now + measuredMs(enough, policy));
  const step = { ...provision.step, deadline };
  return moved(
    withProvision(session, { ...provision, step }),
    note(
      "space_measured",
      `there is ${enough ? "room" : "too little room"} for a workspace`,
      provision.candidate?.generation ?? null,
      { free_bytes: freeBytes, total_bytes: totalBytes, needed_bytes: neededBytes },
    ),
  );
}

export function roomReclaimed(session: Session, event: EventOf<"roomReclaimed">): Outcome {
  const { attemptId, removed, freedBytes, kept, failed } = event;
  const provision = provisionOf(session);
  if (provision?.step.type !== "opening" || provision.step.attemptId !== attemptId) return ignored("an older opening");
  const cause = failed ?? "stale workspaces were looked for";
  return moved(
    session,
    note("space_reclaimed", cause, provision.candidate?.generation ?? null, { removed, freed_bytes: freedBytes, kept }),
  );
}

/** The newest is closed or a ghost (the table sees to that), quota is reserved, and the new sandbox id was seen absent. */
export function openLease(session: Session, event: EventOf<"leaseOpened">, context: Context): Outcome {
  const provision = provisionOf(session);
  if (
    provision?.step.type !== "opening" ||
    provision.step.attemptId !== event.attemptId ||
    provision.candidate === null
  ) {
    return ignored("an older opening");
  }
  const { candidate } = provision;
  const { observation } = event;
  if (
    observation.answer !== "absent" ||
    observation.sandboxId !== candidate.sandboxId ||
    observation.provider !== candidate.provider
  ) {
    return ignored("the new sandbox id was not seen absent");
  }
  // The launch goes where this look was answered. If its reply is lost, only that host can prove that nothing of it is left.
  if (observation.host === null) return ignored("nobody says which host the new sandbox id was seen absent at");
  const { now, policy } = context;
  const lease: Launching = {
    ...candidate,
    ...(event.container === undefined ? {} : { container: event.container }),
    host: observation.host,
    openedAt: now,
    terms: launchTerms(undefined, policy, candidate.provider),
    phase: "launching",
    step: { type: "acting", attemptId: event.launchAttemptId, deadline: now + policy.launchCallMs },
    attempts: [{ attemptId: event.launchAttemptId, sentAt: now, outcome: "acting", error: null }],
    launchNotAfter: now + policy.launchCallMs,
    deadline: now + policy.launchCallMs + policy.readyWaitMs,
    renewals: { sequence: 0, lastSentAt: null, sendsUntil: null },
  };
  return moved(
    {
      ...withProvision(session, { ...provision, candidate: null, step: { type: "waiting", notBefore: now } }),
      newest: lease,
      alive: { ...session.alive, since: session.alive.since ?? now },
    },
    note("launching", provision.purpose, candidate.generation, {
      sandbox_id: candidate.sandboxId,
      ...(event.container === undefined ? {} : { container_id: event.container }),
    }),
  );
}

export const openingIsLate = (): Outcome => ignored("the session went on without this opening");

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
  const missing = failure.code === "not_found" ? session.snapshot : null;
  const why =
    missing === null
      ? { code: failure.code, message: failure.message }
      : {
          code: "snapshot_missing",
          message: `The provider has no snapshot ${missing.id} of this session: ${failure.message}`,
        };
  // No later try finds what is not there either: whoever asked learns it now.
  if (hopeless.has(failure.code) || missing !== null) {
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
