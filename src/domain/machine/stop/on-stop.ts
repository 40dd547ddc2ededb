/**
 * Cells for stopping. Each works on one lease, the newest or a ghost alike; `onLease` puts the result back in its place.
 * Attempts are bounded and persisted; a lease closes by proof only and nothing but an operator's retry, or a ghost seen
 * alive after an assertion, begins a new round.
 */
import { withoutSandbox } from "./ending.ts";
import type { Effect, EventOf } from "../events.ts";
import {
  type Closed,
  identityOf,
  type Lease,
  observationsKept,
  type Retirement,
  type StopAttempt,
  type Stopping,
} from "../../state/lease.ts";
import { ghostFrom } from "../../rules/lease-times.ts";
import { nextProbe, stopBackoff } from "../../rules/backoff.ts";
import { nextCalls, say } from "../../state/next-calls.ts";
import type { Observation } from "../../state/observation.ts";
import { type Context, ignored, moved, note, type Outcome, rejected } from "../outcome.ts";
import { judgeAbsence, type Verdict } from "../../rules/proof.ts";
import type { Session } from "../../state/session.ts";
import { became, type LeaseOutcome, resumeIfQueued } from "./stopping-lease.ts";

export function stopStarted(lease: Stopping, event: EventOf<"stopStarted">, { now, policy }: Context): LeaseOutcome {
  if (lease.step.type !== "waiting" || lease.step.nextAttemptAt > now) return ignored("no attempt is due");
  const attempt: StopAttempt = {
    attemptId: event.attemptId,
    startedAt: now,
    endedAt: null,
    outcome: "acting",
    error: null,
  };
  return became({
    ...lease,
    attempts: [...lease.attempts, attempt],
    step: { type: "acting", attemptId: event.attemptId, deadline: now + policy.stopAttemptMs },
  });
}

export function stopFinished(lease: Stopping, event: EventOf<"stopFinished">, context: Context): LeaseOutcome {
  if (lease.step.type !== "acting" || lease.step.attemptId !== event.attemptId)
    return ignored("the result of an older attempt");
  const seen = withEvidence(lease, event.retired, event.looks);
  const verdict = judgeAbsence(seen, seen.retired, event.looks, event.settledAt, context.policy);
  if (verdict.type === "proven") return close(endAttempt(seen, "verified_absent", null, context.now), verdict);
  const error = event.error ?? verdict.why;
  const outcome = event.error !== null ? "failed" : verdict.type === "present" ? "still_present" : "unverified";
  const ended = endAttempt(seen, outcome, error, context.now);
  const [next, ...effects] = afterFailedAttempt(ended, event.jitter, context);
  if (verdict.type !== "present" || next.assertion === null) return became(next, ...effects);
  return became({ ...next, assertion: null }, ...effects, assertionWithdrawn(lease));
}

function assertionWithdrawn(lease: Stopping): Effect {
  return note("assertion_withdrawn", "asserted gone, but seen alive: the stop goes on", lease.generation);
}

/** The attempt's bound passed with nothing heard: a crash, or a provider that hangs. Its late result will be ignored. */
export function abandonAttempt(lease: Stopping, jitter: number, context: Context): LeaseOutcome {
  const error = "The attempt did not finish within its bound.";
  return became(...afterFailedAttempt(endAttempt(lease, "abandoned", error, context.now), jitter, context));
}

function endAttempt(lease: Stopping, outcome: StopAttempt["outcome"], error: string | null, now: number): Stopping {
  return {
    ...lease,
    lastError: error,
    attempts: lease.attempts.map((attempt) =>
      attempt.outcome === "acting" ? { ...attempt, endedAt: now, outcome, error } : attempt,
    ),
  };
}

function afterFailedAttempt(lease: Stopping, jitter: number, { now, policy }: Context): [Stopping, ...Effect[]] {
  const count = lease.attempts.length;
  const facts = { attempt: count, error: lease.lastError };
  if (count >= policy.stopAttempts) {
    return [
      {
        ...lease,
        step: {
          type: "parked",
          since: now,
          nextProbeAt: now + policy.parkedFirstProbeMs,
          hastened: false,
          attemptId: null,
        },
      },
      note("parked", "stop attempts are used up; it is only observed from now on", lease.generation, facts),
    ];
  }
  return [
    { ...lease, step: { type: "waiting", nextAttemptAt: now + stopBackoff(count, jitter, policy) } },
    note("stop_failed", lease.lastError ?? "not verified", lease.generation, facts),
  ];
}

/** The next probe is stored before this one begins: a crash costs one probe, not the chain. */
export function probeStarted(lease: Stopping, event: EventOf<"probeStarted">, { now, policy }: Context): LeaseOutcome {
  if (lease.step.type !== "parked") return ignored("it is not parked");
  const nextProbeAt = nextProbe(lease, lease.step.since, now, policy);
  return became({ ...lease, step: { ...lease.step, nextProbeAt, attemptId: event.attemptId } });
}

/** Somebody waits for it: one probe comes at once, however often they ask. */
export function probeNow(lease: Stopping, _event: EventOf<"probeRequested">, { now }: Context): LeaseOutcome {
  if (lease.step.type !== "parked") return ignored("it is not parked");
  if (lease.step.hastened || lease.step.nextProbeAt <= now)
    return ignored("its extra probe was made, or the next one is due");
  return became({ ...lease, step: { ...lease.step, nextProbeAt: now, hastened: true } });
}

export function probeFinished(lease: Stopping, event: EventOf<"probeFinished">, context: Context): LeaseOutcome {
  if (lease.step.type !== "parked") return ignored("it is not parked any more");
  // An older probe may have looked before an operator's assertion, or before a new round of attempts.
  if (lease.step.attemptId !== event.attemptId) return ignored("the result of an older probe");
  const seen = withEvidence(lease, event.retired, event.looks);
  const verdict = judgeAbsence(seen, seen.retired, event.looks, event.settledAt, context.policy);
  if (verdict.type === "proven") return close(seen, verdict);
  if (verdict.type === "present" && seen.assertion !== null) {
    return became({ ...newRound(seen, context.now), assertion: null }, assertionWithdrawn(lease));
  }
  return became({ ...seen, lastError: verdict.why });
}

function withEvidence(lease: Stopping, retired: Retirement | null, looks: readonly Observation[]): Stopping {
  // An acknowledgement by another host than the recorded one retires nothing here.
  const valid = retired !== null && (lease.host === null || lease.host === retired.host) ? retired : lease.retired;
  return { ...lease, retired: valid, observations: [...lease.observations, ...looks].slice(-observationsKept) };
}

function close(lease: Stopping, verdict: Extract<Verdict, { type: "proven" }>): LeaseOutcome {
  const { reason, requestedAt, attempts, earlierAttempts, observations, retired, assertion } = lease;
  if (retired === null) return ignored("never without retirement");
  const closed: Closed = {
    ...identityOf(lease),
    host: lease.host ?? retired.host,
    phase: "closed",
    receipt: {
      reason,
      requestedAt,
      attempts,
      earlierAttempts,
      observations,
      retired,
      verifiedAbsentAt: verdict.at,
      assertion,
    },
  };
  return became(
    closed,
    note("sandbox_gone", "verified absent", lease.generation, { attempts: attempts.length + earlierAttempts }),
  );
}

function newRound(lease: Stopping, now: number): Stopping {
  return {
    ...lease,
    attempts: [],
    earlierAttempts: lease.earlierAttempts + lease.attempts.length,
    step: { type: "waiting", nextAttemptAt: now },
  };
}

export function retryStop(lease: Stopping, _event: EventOf<"stopRetryRequested">, { now }: Context): LeaseOutcome {
  if (lease.step.type !== "parked")
    return rejected(
      "not_stuck",
      `Its stop is not parked: attempts are still being made by themselves. ${say(nextCalls.inspect)} shows them.`,
    );
  return became(newRound(lease, now), note("stop_retried", "an operator asked for it", lease.generation));
}

/**
 * Its pending attempt or probe comes at once. The attempt counts like any other and the backoff goes on from it: a
 * container is proven gone once, so this brings forward one try of each member.
 */
export function containerGone(session: Session, event: EventOf<"containerGone">, { now }: Context): Outcome {
  const hastened = <L extends Lease | null>(lease: L): L => {
    if (lease?.phase !== "stopping" || lease.container !== event.container) return lease;
    const { step } = lease;
    if (step.type === "waiting" && step.nextAttemptAt > now) return { ...lease, step: { ...step, nextAttemptAt: now } };
    if (step.type === "parked" && step.nextProbeAt > now) return { ...lease, step: { ...step, nextProbeAt: now } };
    return lease;
  };
  const newest = hastened(session.newest);
  const ghosts = session.ghosts.map(hastened);
  return newest === session.newest && ghosts.every((ghost, index) => ghost === session.ghosts[index])
    ? ignored("nothing waits in that container")
    : moved({ ...session, newest, ghosts });
}

/** The newest steps aside as a ghost; a ghost stays one. The word is kept apart from any verification. */
export function assertAbsent(session: Session, event: EventOf<"absenceAsserted">, context: Context): Outcome {
  const { now, policy } = context;
  const lease =
    session.newest?.phase === "stopping" && session.newest.generation === event.generation
      ? session.newest
      : session.ghosts.find((ghost) => ghost.generation === event.generation);
  if (lease === undefined)
    return rejected("not_stuck", `No lease of that generation is stopping. ${say(nextCalls.inspect)} shows what is.`);
  if (lease.assertion !== null) return ignored("its absence is asserted already");
  const from = ghostFrom(lease, policy);
  if (now < from)
    return rejected(
      "lease_not_expired",
      `Its lease has not certainly expired: it may still act. Its stop goes on; send this again then (retry_at).`,
      from,
    );
  // An attempt in flight is over for us: its result will be ignored.
  const ended = lease.step.type === "acting" ? endAttempt(lease, "abandoned", "Its absence was asserted.", now) : lease;
  const asserted: Stopping = {
    ...ended,
    assertion: { at: now, by: event.by, reason: event.reason },
    step: { type: "parked", since: now, nextProbeAt: now + policy.assertedProbeMs, hastened: true, attemptId: null },
  };
  const effects: readonly Effect[] = [
    note("absence_asserted", event.reason, lease.generation, { by: event.by }),
    { type: "settleJobs", generation: lease.generation, as: "lost" },
  ];
  if (lease !== session.newest) {
    return moved(
      { ...session, ghosts: session.ghosts.map((ghost) => (ghost === lease ? asserted : ghost)) },
      ...effects,
    );
  }
  const freed = withoutSandbox({ ...session, newest: null, ghosts: [...session.ghosts, asserted] }, now);
  return resumeIfQueued(freed, context, ...effects);
}
