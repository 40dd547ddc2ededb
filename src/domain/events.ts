/**
 * What can happen to a session, in the past tense. Times and randomness come in with the event or the context: the
 * machine reads no clock. An event about a lease names its generation; one about an attempt names the attempt.
 */
import type { SpaceRefusal } from "./cold-admission.ts";
import type { ProviderFailure } from "./failure.ts";
import type { AttemptId, ContainerId, Generation } from "./ids.ts";
import type { Candidate, Closed } from "./lease.ts";
import type { Observation } from "./observation.ts";
import type { TerminateReason } from "./reasons.ts";
import type { SnapshotRef } from "./session.ts";
import type { StepReport } from "./workspace.ts";

export interface OpeningFailure {
  readonly code:
    | "quota_exhausted"
    | "stale_generation"
    | "no_capacity"
    | "not_absent"
    | "unavailable"
    | "adapter_missing"
    | "env_unreadable"
    | SpaceRefusal;
  readonly message: string;
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
    }
  | { readonly type: "pauseRequested" }
  | { readonly type: "resumeRequested"; readonly timeoutMs: number }
  | { readonly type: "rebuildRequested" }
  | { readonly type: "timeoutSet"; readonly kind: "timeout" | "refresh"; readonly durationMs: number }
  /** A job was admitted, stdin written, keepalive called, or we learned what runs. */
  | { readonly type: "activityNoted"; readonly activeJobs: number | null }
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
      readonly type: "roomMeasured";
      readonly attemptId: AttemptId;
      readonly freeBytes: number;
      readonly totalBytes: number;
      readonly neededBytes: number;
    }
  | {
      readonly type: "roomReclaimed";
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
  | { readonly type: "probeStarted"; readonly generation: Generation }
  /** A client waits on a parked teardown. */
  | { readonly type: "probeRequested"; readonly generation: Generation }
  | {
      readonly type: "probeFinished";
      readonly generation: Generation;
      readonly retired: { readonly at: number; readonly host: string; readonly boot: string } | null;
      readonly looks: readonly Observation[];
      readonly settledAt: number;
    }
  | { readonly type: "ghostNeeded" }
  | { readonly type: "orphanFound"; readonly candidate: Candidate; readonly observation: Observation }
  // preparing
  | { readonly type: "preparationAsked"; readonly generation: Generation }
  | { readonly type: "preparationReported"; readonly generation: Generation; readonly steps: readonly StepReport[] }
  | { readonly type: "preparationUnanswered"; readonly generation: Generation; readonly failure: ProviderFailure }
  // saving
  | { readonly type: "drained"; readonly generation: Generation; readonly attemptId: AttemptId }
  /** Jobs still ran when the time to save had come, or nobody could say. */
  | { readonly type: "drainFailed"; readonly generation: Generation; readonly why: string }
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
  | { readonly type: "snapshotDeleted"; readonly snapshotId: string }
  // time
  | { readonly type: "timePassed"; readonly jitter: number };

export type EventType = SessionEvent["type"];
export type EventOf<T extends EventType> = Extract<SessionEvent, { readonly type: T }>;

/** A line of the session's history. */
export interface Note {
  readonly type: string;
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
