/**
 * The lease: one per generation, four phases. What physically may exist is exactly what the open leases say.
 * Unions only: a phase holds what it needs and nothing else.
 */
import type { ProviderFailure } from "./failure.ts";
import type { AttemptId, ContainerId, Generation, InstanceId, SandboxId } from "./ids.ts";
import type { Observation } from "./observation.ts";
import type { Policy } from "../rules/policy.ts";
import type { ProviderName } from "./provider-names.ts";
import type { Asker } from "./asker.ts";
import type { StopReason, TerminateReason } from "./reasons.ts";
import type { Limits, Provision } from "./session.ts";
import { backoffAfter, spread } from "../rules/backoff.ts";

/** What a launch will be: minted and stored before quota is asked for, so that a repeat asks for the same. */
export interface Candidate {
  readonly generation: Generation;
  readonly instanceId: InstanceId;
  readonly sandboxId: SandboxId;
  /** The shared container it is a place in; absent: a container of its own, or not joined yet. */
  readonly container?: ContainerId;
  readonly provider: ProviderName;
  /** The instance secret. Never leaves the session's storage but to the provider at launch. */
  readonly secret: string;
}

/**
 * What the instance was told at its launch. A deploy may change the policy; the instance keeps to what it was told, and so
 * does every bound on its life. After a repeated launch the longer of the two.
 */
export interface LeaseTerms {
  readonly ttlMs: number;
  readonly stopGraceMs: number;
  /** What a second of it costs, fixed at its launch: a new price table changes no running sandbox. Absent: it has no price. */
  readonly nanosPerSecond?: number;
}

export interface LeaseIdentity extends Candidate {
  /** Absent in a row that older code wrote: today's policy is taken. */
  readonly terms?: LeaseTerms;
  /** First the host whose look found the sandbox id free; after the launch, the host that answered it. null: a row that older code wrote before it knew a host. */
  readonly host: string | null;
  readonly openedAt: number;
  /**
   * A save that was under way when this lease was stopped while the session's record was unreadable. Its snapshot may still
   * land, so the end of the session deletes it. Absent: there was none.
   */
  readonly unsettledSave?: AttemptId;
  /** What its sandbox could not prove about its jobs when it started, in sentences. Absent: it did not try, or never answered. */
  readonly unproven?: readonly string[];
}

export interface LaunchAttempt {
  readonly attemptId: AttemptId;
  readonly sentAt: number;
  readonly outcome: "acting" | "launched" | "failed" | "unknown";
  readonly error: string | null;
}

export type LaunchStep =
  | { readonly type: "waiting"; readonly notBefore: number }
  | { readonly type: "acting"; readonly attemptId: AttemptId; readonly deadline: number }
  /** Sent, and perhaps started: renewals are tried until one is accepted. */
  | { readonly type: "confirming"; readonly nextAt: number };

export interface Renewals {
  /** Of the last one sent; it counts up for the life of the instance. */
  readonly sequence: number;
  /** null before the first. A wrapper may live `ttlMs` from here, accepted or not: the reply may have been lost. */
  readonly lastSentAt: number | null;
  /**
   * How long from `lastSentAt` (and from a covered send) a wrapper may act on anything that it was sent: the TTL of that
   * renewal, or what an earlier and longer one had left. Absent before the first, and in a row that older code wrote.
   */
  readonly ttlMs?: number;
  /**
   * A send up to here is covered by what is stored: it needs no write of its own. null: the next one is stored before it is sent.
   * Set with the acceptance of the one before, so that a renewal of a quiet session costs one row.
   */
  readonly sendsUntil: number | null;
}

export type Gate =
  | { readonly type: "open" }
  /** Its workspace is being prepared: asked about at `nextAt`, given up at `deadline`. */
  | {
      readonly type: "preparing";
      readonly purpose: Provision["purpose"];
      readonly nextAt: number;
      readonly deadline: number;
      /** The last question; null before the first. Only its answer counts. */
      readonly attemptId: AttemptId | null;
    }
  /** `attemptId`: of the drain under way; null before it began. Only its answer counts. */
  | {
      readonly type: "draining";
      readonly for: SaveFor;
      readonly deadline: number;
      readonly attemptId: AttemptId | null;
    }
  | { readonly type: "saving"; readonly for: SaveFor; readonly attemptId: AttemptId; readonly deadline: number }
  /** Its files are being saved as a snapshot of the tenant. What runs stands still meanwhile, and goes on afterwards. */
  | { readonly type: "copying"; readonly snapshotId: string; readonly deadline: number };
export type SaveFor = "pause" | "rebuild" | "upgrade";

export interface WrapperVersion {
  /** The protocol it speaks with us. */
  readonly protocol: number;
  /** The protocol of the code that launched it: only a deploy since then can mean that there is a newer wrapper to have. */
  readonly launchedBy: number;
  readonly replacement:
    | { readonly type: "none" }
    | { readonly type: "due"; readonly at: number }
    /** The provider cannot carry its files over: it stays until its session ends. */
    | { readonly type: "impossible" };
}

export interface Launching extends LeaseIdentity {
  readonly phase: "launching";
  readonly step: LaunchStep;
  readonly attempts: readonly LaunchAttempt[];
  /** Past this instant a launch that lands must start nothing: last send + launch bound. */
  readonly launchNotAfter: number;
  /** No accepted renewal by then: it is stopped. */
  readonly deadline: number;
  readonly renewals: Renewals;
}

export interface Held extends LeaseIdentity {
  readonly phase: "held";
  readonly heldAt: number;
  readonly renewals: Renewals;
  /** The send time of the last *accepted* renewal, and the TTL that it gave (absent in a row that older code wrote). */
  readonly acceptedSentAt: number;
  readonly acceptedTtlMs?: number;
  /** When the next renewal is due; earlier after a failure. */
  readonly nextRenewalAt: number;
  /** Failures in a row. */
  readonly failures: number;
  /** Kept so that certain expiry covers a launch that was repeated late. */
  readonly launchNotAfter: number;
  readonly wrapper: WrapperVersion;
  readonly gate: Gate;
}

export interface StopAttempt {
  readonly attemptId: AttemptId;
  readonly startedAt: number;
  readonly endedAt: number | null;
  readonly outcome: "acting" | "verified_absent" | "still_present" | "unverified" | "failed" | "abandoned";
  readonly error: string | null;
}

export type StopStep =
  | { readonly type: "waiting"; readonly nextAttemptAt: number }
  | { readonly type: "acting"; readonly attemptId: AttemptId; readonly deadline: number }
  /** `hastened`: a client that waits has had its one extra probe. `attemptId`: of the last probe; null before the first. */
  | {
      readonly type: "parked";
      readonly since: number;
      readonly nextProbeAt: number;
      readonly hastened: boolean;
      readonly attemptId: AttemptId | null;
    };

/** The provider's durable word that nothing of this generation may start any more. */
export interface Retirement {
  readonly at: number;
  readonly host: string;
  readonly boot: string;
}

export interface Assertion {
  readonly at: number;
  readonly by: string;
  readonly reason: string;
}

export interface Stopping extends LeaseIdentity {
  readonly phase: "stopping";
  readonly reason: StopReason;
  readonly requestedAt: number;
  /** The instant past which no wrapper of this instance can still act by itself. */
  readonly certainExpiry: number;
  readonly step: StopStep;
  /** Of this round, oldest first; an operator's retry opens a new round and keeps the old ones in `earlierAttempts`. */
  readonly attempts: readonly StopAttempt[];
  readonly earlierAttempts: number;
  readonly retired: Retirement | null;
  /** The newest observations, oldest first, at most `observationsKept`. */
  readonly observations: readonly Observation[];
  readonly lastError: string | null;
  readonly assertion: Assertion | null;
  /** Since when it was held before it began to stop. Absent: it never was, or older code wrote the row. */
  readonly heldAt?: number;
  /** Who or what ended it, as it was known when the stop began. Absent in a row that older code wrote. */
  readonly cause?: StopCause;
  /** Absent: it had no price, or was never held. */
  readonly charge?: Charge;
}

/** What one sandbox cost, in billionths of the operator's currency. */
export interface Charge {
  readonly ms: number;
  readonly nanosPerSecond: number;
  readonly nanos: number;
}

export interface StopCause {
  readonly by: Asker;
  /** Why the session ended; null: it did not end, only this sandbox did. */
  readonly terminateReason: TerminateReason | null;
}

export interface Closed extends LeaseIdentity {
  readonly phase: "closed";
  readonly receipt: Receipt;
}

export interface Receipt {
  readonly reason: StopReason;
  readonly requestedAt: number;
  readonly attempts: readonly StopAttempt[];
  readonly earlierAttempts: number;
  readonly observations: readonly Observation[];
  readonly retired: Retirement;
  readonly verifiedAbsentAt: number;
  /** The operator's word, if one was given before the proof came. */
  readonly assertion: Assertion | null;
  /** What the signed statement adds to the proof. Absent in a row that older code wrote. */
  readonly facts?: ReceiptFacts;
}

/** How the session stood when this lease closed. */
export interface ReceiptFacts {
  readonly cause: StopCause;
  /** null: it never accepted a renewal. */
  readonly heldAt: number | null;
  readonly endAt: number;
  readonly limits: Limits;
  /** What it cost; null: it had no price, or was never held. */
  readonly charge: Charge | null;
  /** The newest snapshot of this sandbox's contents; null: none was taken. */
  readonly snapshot: { readonly id: string; readonly bytes: number | null; readonly fate: "kept" | "discarded" } | null;
}

export type Lease = Launching | Held | Stopping | Closed;
export type OpenLease = Launching | Held | Stopping;

export const observationsKept = 20;

export function isOpen(lease: Lease | null): lease is OpenLease {
  return lease !== null && lease.phase !== "closed";
}

/**
 * When no wrapper of this lease can still be alive by its own clock: nothing extends it once it is stopping.
 *
 * A wrapper measures a renewal from its send only once it has learned what a quick one takes (lease-clock.ts). One that was
 * frozen since its start reads its first renewal as late as its own TTL allows, takes that delay for the distance between the
 * two clocks, and adds it to every later one. As long as none was accepted in time, that has to be waited for as well.
 */
export function certainExpiry(lease: Launching | Held, policy: Policy): number {
  const { launchNotAfter, openedAt, renewals } = lease;
  const { lastSentAt, sendsUntil } = renewals;
  const unrenewed = launchNotAfter + (lease.terms?.ttlMs ?? policy.leaseTtlMs);
  if (lastSentAt === null) return unrenewed;
  const longestDelay = lease.phase === "launching" ? unrenewed - openedAt : 0;
  return Math.max(unrenewed, Math.max(lastSentAt, sendsUntil ?? 0) + longestDelay + sentTtl(renewals, policy));
}

function sentTtl(renewals: Renewals, policy: Policy): number {
  return renewals.ttlMs ?? policy.leaseTtlMs;
}

/** What `Renewals.ttlMs` is once a renewal was sent at `sentAt`: an earlier and longer TTL may have more left than this one gives. */
export function ttlAfterSend(before: Renewals, sentAt: number, policy: Policy): number {
  const { lastSentAt } = before;
  const left = lastSentAt === null ? 0 : lastSentAt + sentTtl(before, policy) - sentAt;
  return Math.max(policy.leaseTtlMs, left);
}

/** When its wrapper fences itself, unless it is renewed. */
export function leaseEndsAt(lease: Held, policy: Policy): number {
  return lease.acceptedSentAt + (lease.acceptedTtlMs ?? policy.leaseTtlMs);
}

/** Held, and not renewed since: from here on it is taken for lost. */
export function lapsesAt(lease: Held, policy: Policy): number {
  return leaseEndsAt(lease, policy) + stopGraceOf(lease, policy);
}

function stopGraceOf(lease: LeaseIdentity, policy: Policy): number {
  return lease.terms?.stopGraceMs ?? policy.stopGraceMs;
}

/** The terms of a launch under this policy, when it may be the repeat of one under another. */
export function launchTerms(before: LeaseTerms | undefined, policy: Policy, provider: ProviderName): LeaseTerms {
  const price = before === undefined ? policy.prices.nanosPerSecond[provider] : before.nanosPerSecond;
  return {
    ...(price === undefined ? {} : { nanosPerSecond: price }),
    ttlMs: Math.max(before?.ttlMs ?? 0, policy.leaseTtlMs),
    stopGraceMs: Math.max(before?.stopGraceMs ?? 0, policy.stopGraceMs),
  };
}

/** A stopping lease may be replaced before it is proven gone only from here on. */
export function ghostFrom(lease: Stopping, policy: Policy): number {
  return lease.certainExpiry + stopGraceOf(lease, policy) + policy.alarmSlipMs;
}

export function identityOf(lease: LeaseIdentity): LeaseIdentity {
  const { generation, instanceId, sandboxId, container, provider, secret, host, openedAt, terms } = lease;
  const { unsettledSave, unproven } = lease;
  return {
    ...{ generation, instanceId, sandboxId, provider, secret, host, openedAt },
    ...(container === undefined ? {} : { container }),
    ...(terms === undefined ? {} : { terms }),
    ...(unsettledSave === undefined ? {} : { unsettledSave }),
    ...(unproven === undefined ? {} : { unproven }),
  };
}

/** Any open lease begins to stop. A lease that is stopping already keeps its reason, attempts and backoff. */
export function beginStop(lease: OpenLease, reason: StopReason, now: number, policy: Policy): Stopping {
  if (lease.phase === "stopping") return lease;
  return {
    ...identityOf(lease),
    ...(lease.phase === "held" ? { heldAt: lease.heldAt } : {}),
    phase: "stopping",
    reason,
    requestedAt: now,
    certainExpiry: certainExpiry(lease, policy),
    step: { type: "waiting", nextAttemptAt: now },
    attempts: [],
    earlierAttempts: 0,
    retired: null,
    observations: [],
    lastError: null,
    assertion: null,
  };
}

/**
 * A teardown of which nothing is known but the identity. Its launch may have been sent a moment ago, its first renewal as
 * well, and that may have been read with the longest delay there is (`certainExpiry`).
 */
export function stoppingFrom(identity: LeaseIdentity, now: number, policy: Policy): Stopping {
  const lastLaunch = Math.min(now, identity.openedAt + policy.provisionMs) + policy.launchCallMs;
  const longestDelay = lastLaunch + policy.leaseTtlMs - identity.openedAt;
  return {
    ...identity,
    phase: "stopping",
    reason: "terminated",
    requestedAt: now,
    certainExpiry: now + longestDelay + policy.leaseTtlMs,
    step: { type: "waiting", nextAttemptAt: now },
    attempts: [],
    earlierAttempts: 0,
    retired: null,
    observations: [],
    lastError: null,
    assertion: null,
  };
}

/** The delay after the `count`-th failed stop attempt. `jitter` in [0, 1). */
export function stopBackoff(count: number, jitter: number, policy: Policy): number {
  const plain = backoffAfter(count, { baseMs: policy.stopBackoffBaseMs, capMs: policy.stopBackoffCapMs });
  return spread(plain, policy.stopBackoffJitter, jitter);
}

/** The delay after the `failures`-th failed deletion of one snapshot. `jitter` in [0, 1). */
export function deleteBackoff(failures: number, jitter: number, policy: Policy): number {
  const plain = backoffAfter(failures, { baseMs: policy.deleteBackoffBaseMs, capMs: policy.deleteBackoffCapMs });
  return spread(plain, policy.stopBackoffJitter, jitter);
}

/** The delay after the `tries`-th failed save of a session whose clock asks for a pause. */
export function pauseBackoff(tries: number, policy: Policy): number {
  return backoffAfter(tries, { baseMs: policy.pauseBackoffBaseMs, capMs: policy.pauseBackoffCapMs });
}

/**
 * The delay after the `count`-th failed launch or opening. `failure`: with `retryAfterMs`, the delay is never shorter than that, and spread
 * beyond it: the tenant's breaker tells all sessions that it holds the same instant, and launches that come back together fail together.
 */
export function launchBackoff(
  count: number,
  jitter: number,
  failure: Pick<ProviderFailure, "retryAfterMs"> | null,
  policy: Policy,
): number {
  const plain = backoffAfter(count, { baseMs: policy.launchBackoffBaseMs, capMs: policy.launchBackoffCapMs });
  const told = Math.round((failure?.retryAfterMs ?? 0) * (1 + policy.stopBackoffJitter * jitter));
  return Math.max(spread(plain, policy.stopBackoffJitter, jitter), told);
}

/** When to probe next a lease parked `since`, after a probe at `now`. */
export function nextProbe(lease: Stopping, since: number, now: number, policy: Policy): number {
  if (lease.assertion !== null) return now + policy.assertedProbeMs;
  return now + (now - since < policy.parkedProbeSlowAfterMs ? policy.parkedProbeMs : policy.parkedProbeSlowMs);
}
