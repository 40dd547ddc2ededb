/** Cells for opening a lease: everything that must be known before anything is launched. */
import { condemnsFilesystem, isSpaceRefusal } from "../../rules/cold-admission.ts";
import { failProvision } from "../stop/ending.ts";
import type { EventOf } from "../events.ts";
import { nextGeneration } from "../../state/ids.ts";
import type { Launching } from "../../state/lease.ts";
import { launchBackoff } from "../../rules/backoff.ts";
import { launchTerms } from "../../rules/lease-times.ts";
import { ignored, moved, note, type Context, type Outcome } from "../outcome.ts";
import type { Generation } from "../../state/ids.ts";
import { measuredMs } from "../../rules/policy.ts";
import { type FailedTry, failedTry, type Provision, type Session } from "../../state/session.ts";

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
        lastError: failedTry(
          provision.lastError,
          { code, message: withCause(event.failure, provision.lastError) },
          context.now,
        ),
      }),
      nextGeneration: Math.max(session.nextGeneration, (above ?? 0) + 1) as Generation,
      cancellations: leaves && left !== undefined ? [...session.cancellations, left] : session.cancellations,
    },
    note("provision_waits", message, provision.candidate?.generation ?? null, { code }),
  );
}

/** While the tenant's launches are paused, the words also say why this session's own last launch failed: only that can be mended. */
function withCause({ message, retryAfterMs }: EventOf<"openingFailed">["failure"], before: FailedTry | null): string {
  if (retryAfterMs === undefined || before === null) return message;
  return before.message.startsWith(message)
    ? before.message
    : `${message} This session's last try said: ${before.message}`;
}

/** Progress that a client can follow. With too little space what is stale is removed next, which takes longer than a look. */
export function spaceMeasured(session: Session, event: EventOf<"spaceMeasured">, { now, policy }: Context): Outcome {
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
      `there is ${enough ? "enough" : "too little"} disk space for a workspace`,
      provision.candidate?.generation ?? null,
      { free_bytes: freeBytes, total_bytes: totalBytes, needed_bytes: neededBytes },
    ),
  );
}

export function spaceReclaimed(session: Session, event: EventOf<"spaceReclaimed">): Outcome {
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
