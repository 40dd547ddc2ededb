/**
 * The lease: one per generation, four phases. What physically may exist is exactly what the open leases say.
 * Unions only: a phase holds what it needs and nothing else.
 */
import type { AttemptId, ContainerId, Generation, InstanceId, SandboxId } from "./ids.ts";
import type { Observation } from "./observation.ts";
import type { ProviderName } from "./provider-names.ts";
import type { Requester } from "./requester.ts";
import type { StopReason, TerminateReason } from "./reasons.ts";
import type { Limits, Provision } from "./session.ts";

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
  /** The sequence of the last renewal sent. It counts up for the life of the instance. */
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
  /** The protocol of the code that launched it: only a deploy since then can have brought a newer wrapper. */
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
  readonly by: Requester;
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
