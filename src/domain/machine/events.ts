/**
 * What can happen to a session, in the past tense. Times and randomness come in with the event or the context: the
 * machine reads no clock. An event about a lease names its generation; one about an attempt names the attempt.
 */
import type { HistoryEventType } from "../state/event-types.ts";
import type { SpaceRefusal } from "../rules/cold-admission.ts";
import type { ProviderFailure } from "../state/failure.ts";
import type { AttemptId, ContainerId, Generation } from "../state/ids.ts";
import type { Candidate, Closed } from "../state/lease.ts";
import type { Observation } from "../state/observation.ts";
import type { TerminateReason } from "../state/reasons.ts";
import type { RestoreProof, SnapshotRef } from "../state/session.ts";
import type { DeniedHost, SessionNetwork } from "../state/network.ts";
import type { Requester } from "../state/requester.ts";
import type { StepReport } from "../state/workspace.ts";

export interface OpeningFailure {
  readonly code:
    | "quota_exhausted"
    | "budget_spent"
    | "stale_generation"
    | "no_capacity"
    | "not_absent"
    | "unavailable"
    | "adapter_missing"
    | "env_unreadable"
    | SpaceRefusal;
  readonly message: string;
  /** Only while the tenant's launches are paused: until they are tried again. */
  readonly retryAfterMs?: number;
  /** With a space refusal: where, when it is a shared container. */
  readonly container?: ContainerId;
  /** With `stale_generation`: mint one above this. */
  readonly above?: number;
}

export type SessionEvent =
  // asked for
  | {
      readonly type: "terminateRequested";
      readonly reason: TerminateReason;
      readonly failure: string | null;
      /** What was asked, by whom; null: the reason's own words say enough. */
      readonly words?: string;
      /** Who asked, for the receipt; absent: the reason says enough. */
      readonly by?: Requester;
    }
  | { readonly type: "pauseRequested"; readonly by?: Requester }
  | { readonly type: "resumeRequested"; readonly timeoutMs: number }
  | { readonly type: "rebuildRequested" }
  /** null: without one. */
  | { readonly type: "budgetSet"; readonly maxNanos: number | null }
  /** The tenant's budget for the month is used up. */
  | { readonly type: "tenantBudgetSpent" }
  | { readonly type: "timeoutSet"; readonly kind: "timeout" | "refresh"; readonly durationMs: number }
  | { readonly type: "networkChanged"; readonly network: Omit<SessionNetwork, "version" | "state"> }
  /** The sandbox of that generation goes by the rules of that version. `web`: only for HTTP and HTTPS, until its next start. */
  | {
      readonly type: "networkApplied";
      readonly generation: Generation;
      readonly version: number;
      readonly enforced: "all" | "web";
    }
  | { readonly type: "hostsDenied"; readonly generation: Generation; readonly hosts: readonly DeniedHost[] }
  /** A job was admitted, stdin written, keepalive called, or we learned what runs. `at`: when it was, as the sandbox dated it; absent: now. */
  | { readonly type: "activityNoted"; readonly activeJobs: number | null; readonly at?: number }
  /** A call to the wrapper came to nothing: whether it lives is not left to the next renewal. */
  | { readonly type: "wrapperFailed"; readonly generation: Generation }
  | { readonly type: "stopRetryRequested"; readonly generation: Generation }
  | { readonly type: "absenceAsserted"; readonly generation: Generation; readonly by: string; readonly reason: string }
  // opening a lease
  | {
      readonly type: "openingStarted";
      readonly attemptId: AttemptId;
      readonly candidate: Candidate;
      readonly deadline: number;
    }
  | {
      readonly type: "openingFailed";
      readonly attemptId: AttemptId;
      readonly failure: OpeningFailure;
      readonly jitter: number;
    }
  /** On the cold path: a workspace is about to be prepared. */
  | {
      readonly type: "spaceMeasured";
      readonly attemptId: AttemptId;
      readonly freeBytes: number;
      readonly totalBytes: number;
      readonly neededBytes: number;
    }
  | {
      readonly type: "spaceReclaimed";
      readonly attemptId: AttemptId;
      readonly removed: number;
      readonly freedBytes: number;
      readonly kept: number;
      /** null: it went through. */
      readonly failed: string | null;
    }
  | {
      readonly type: "leaseOpened";
      readonly attemptId: AttemptId;
      readonly launchAttemptId: AttemptId;
      readonly observation: Observation;
      /** The shared container that the reservation is a place in. */
      readonly container?: ContainerId;
    }
  | { readonly type: "reservationCancelled"; readonly generation: Generation }
  // launching
  | { readonly type: "launchStarted"; readonly generation: Generation; readonly attemptId: AttemptId }
  | {
      readonly type: "launchSucceeded";
      readonly generation: Generation;
      readonly attemptId: AttemptId;
      readonly host: string;
    }
  | {
      readonly type: "launchFailed";
      readonly generation: Generation;
      readonly attemptId: AttemptId;
      readonly failure: ProviderFailure;
      readonly jitter: number;
    }
  // renewing
  | { readonly type: "renewalStarted"; readonly generation: Generation; readonly sequence: number }
  | {
      readonly type: "renewalAccepted";
      readonly generation: Generation;
      readonly sequence: number;
      readonly sentAt: number;
      /** The version that the wrapper answered in. */
      readonly protocol: number;
      readonly activeJobs: number;
      readonly idleMs: number;
      /** What it could not prove of its jobs. Absent: it did not try. */
      readonly unproven?: readonly string[];
      /** In [0, 1): spreads the upgrades that a deploy makes due. */
      readonly jitter: number;
    }
  | {
      readonly type: "renewalFailed";
      readonly generation: Generation;
      readonly sequence: number;
      readonly failure: ProviderFailure;
      readonly jitter: number;
    }
  | { readonly type: "observedPresent"; readonly generation: Generation; readonly observation: Observation }
  | { readonly type: "observedAbsent"; readonly generation: Generation; readonly observation: Observation }
  | { readonly type: "observedUnknown"; readonly generation: Generation; readonly observation: Observation }
  // stopping
  | { readonly type: "stopStarted"; readonly generation: Generation; readonly attemptId: AttemptId }
  | {
      readonly type: "stopFinished";
      readonly generation: Generation;
      readonly attemptId: AttemptId;
      /** Who acknowledged the retirement in this attempt; null when nobody did. */
      readonly retired: { readonly at: number; readonly host: string; readonly boot: string } | null;
      readonly looks: readonly Observation[];
      /** When the stop call returned or was given up. */
      readonly settledAt: number;
      readonly error: string | null;
      readonly jitter: number;
    }
  | { readonly type: "probeStarted"; readonly generation: Generation; readonly attemptId: AttemptId }
  /** A client waits on a parked teardown. */
  | { readonly type: "probeRequested"; readonly generation: Generation }
  | {
      readonly type: "probeFinished";
      readonly generation: Generation;
      readonly attemptId: AttemptId;
      readonly retired: { readonly at: number; readonly host: string; readonly boot: string } | null;
      readonly looks: readonly Observation[];
      readonly settledAt: number;
    }
  /** The shared container was proven gone as a whole: what is still to be stopped in it can be proven now. */
  | { readonly type: "containerGone"; readonly container: ContainerId }
  | { readonly type: "ghostNeeded" }
  | { readonly type: "orphanFound"; readonly candidate: Candidate; readonly observation: Observation }
  // preparing
  | { readonly type: "preparationAsked"; readonly generation: Generation; readonly attemptId: AttemptId }
  | {
      readonly type: "preparationReported";
      readonly generation: Generation;
      readonly attemptId: AttemptId;
      readonly steps: readonly StepReport[];
    }
  | {
      readonly type: "preparationUnanswered";
      readonly generation: Generation;
      readonly attemptId: AttemptId;
      readonly failure: ProviderFailure;
    }
  // saving
  | { readonly type: "drainStarted"; readonly generation: Generation; readonly attemptId: AttemptId }
  /** `attemptId` is the drain's, `saveAttemptId` that of the save which follows. */
  | {
      readonly type: "drained";
      readonly generation: Generation;
      readonly attemptId: AttemptId;
      readonly saveAttemptId: AttemptId;
    }
  /** Jobs still ran when the time to save had come, or nobody could say. */
  | {
      readonly type: "drainFailed";
      readonly generation: Generation;
      readonly attemptId: AttemptId;
      readonly why: string;
    }
  | {
      readonly type: "saveSucceeded";
      readonly generation: Generation;
      readonly attemptId: AttemptId;
      readonly snapshot: SnapshotRef;
    }
  | {
      readonly type: "saveFailed";
      readonly generation: Generation;
      readonly attemptId: AttemptId;
      readonly failure: ProviderFailure;
    }
  // snapshots of the tenant
  | { readonly type: "copyRequested"; readonly snapshotId: string }
  | {
      readonly type: "copySucceeded";
      readonly generation: Generation;
      readonly snapshotId: string;
      readonly bytes: number;
    }
  | {
      readonly type: "copyFailed";
      readonly generation: Generation;
      readonly snapshotId: string;
      readonly failure: ProviderFailure;
    }
  /** The registry knows what became of it. */
  | { readonly type: "copySettled"; readonly snapshotId: string }
  // deleting snapshots
  | {
      readonly type: "snapshotDeletionStarted";
      readonly snapshotId: string;
      readonly attemptId: AttemptId;
    }
  /** Whichever attempt it was: the provider says that it is gone for good. */
  | { readonly type: "snapshotDeleted"; readonly snapshotId: string }
  | {
      readonly type: "snapshotDeletionFailed";
      readonly snapshotId: string;
      readonly attemptId: AttemptId;
      readonly failure: ProviderFailure;
      readonly jitter: number;
    }
  | { readonly type: "snapshotsForgotten"; readonly by: string; readonly reason: string }
  /** A snapshot of it was restored elsewhere, to see whether it can be. */
  | {
      readonly type: "restoreDrilled";
      readonly snapshotId: string;
      readonly found: Omit<RestoreProof, "at" | "snapshotId"> | { readonly failed: string };
    }
  // time
  /** `rule`: only what this one decides; absent: every rule, in order. */
  | { readonly type: "timePassed"; readonly jitter: number; readonly rule?: TimeRule };

/** What the passing of time alone decides (on-time.ts). */
export type TimeRule =
  | "clock_went_back"
  | "overdue_stops"
  | "overdue_opening"
  | "overdue_launch"
  | "overdue_save"
  | "overdue_copy"
  | "overdue_deletion"
  | "lapsed_lease"
  | "overdue_preparation"
  | "due_clock"
  | "due_upgrade"
  | "undated_end";

export type EventType = SessionEvent["type"];
export type EventOf<T extends EventType> = Extract<SessionEvent, { readonly type: T }>;

/** A line of the session's history. */
export interface Note {
  readonly type: HistoryEventType;
  readonly cause: string;
  readonly generation: Generation | null;
  readonly facts: Readonly<Record<string, string | number | boolean | null>>;
}

/** What the shell does with a move besides storing it: in the same write. */
export type Effect =
  | { readonly type: "note"; readonly note: Note }
  /** Jobs handed to this generation can never report again. */
  | { readonly type: "settleJobs"; readonly generation: Generation; readonly as: "lost" | "interrupted" }
  /** Jobs that were never handed over will not be. */
  | { readonly type: "dropQueue" }
  /** A ghost was proven gone: its row becomes a receipt (it is in no field of the session any more). */
  | { readonly type: "storeReceipt"; readonly lease: Closed };

export type RejectionCode =
  | "session_ended"
  | "session_paused"
  | "session_not_running"
  | "sandbox_lost"
  | "not_stuck"
  | "lease_not_expired"
  | "conflict";

export interface Rejection {
  readonly code: RejectionCode;
  readonly detail: string;
  readonly retryAt: number | null;
}
