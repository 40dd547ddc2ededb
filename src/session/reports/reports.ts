/**
 * What a session tells the rest of Mooring, and whom it asks for quota.
 *
 * There is one message, the whole present picture with the row version: a receiver keeps the newest and ignores older ones, so
 * reports may be lost, repeated or overtaken. The session repeats it from its alarm until both receivers have confirmed.
 */
import type { ContainerId, Generation, SandboxId, SessionId, TenantId } from "../../domain/state/ids.ts";
import type { ProviderName } from "../../domain/state/provider-names.ts";
import type { ForgottenSnapshot, ProvisionPurpose, TakenSnapshot } from "../../domain/state/session.ts";
import type { StopReason } from "../../domain/state/reasons.ts";
import type { ReceiptBody } from "../../protocol/resources/session/receipts.ts";
import type { TeardownView, SessionView } from "../../protocol/resources/session/sessions.ts";
import type { SnapshotView } from "../../protocol/resources/tenant/snapshots.ts";

export interface LeaseReport {
  readonly generation: Generation;
  readonly sandboxId: SandboxId;
  readonly phase: "launching" | "held" | "stopping" | "closed";
  /** Replaced before it was proven gone. */
  readonly ghost: boolean;
  /** An operator asserted its absence: counted in a column of its own. */
  readonly asserted: boolean;
  readonly openedAt: number;
  /** The host that answered first, and the shared container it is a member of; where either is known. */
  readonly host?: string;
  readonly container?: ContainerId;
  readonly stopAttempts: number;
  readonly lastError: string | null;
  /** Why it is or was stopped; null while it is not. */
  readonly stopReason: StopReason | null;
  /** With phase `closed` only: the evidence. */
  readonly receipt: TeardownView | null;
  /** What it costs; `ms` null: it is held and goes on costing. Absent: it has no price, or was never held. */
  readonly charge?: { readonly since: number; readonly ms: number | null; readonly nanosPerSecond: number };
  /** With a receipt: what is signed of it. Absent: of a lease that older code closed. */
  readonly statement?: ReceiptBody;
}

/** Time spent in one status with one provider since the session was made. */
export interface UsageFigure {
  readonly status: SessionView["status"];
  readonly provider: ProviderName;
  readonly ms: number;
}

/**
 * How it went so far in this incarnation of the session's object: each only grows until `since` changes. For alerts, where
 * little is lost with an incarnation; not for bills.
 */
export interface OutcomeCounts {
  /** When the counting began. */
  readonly since: number;
  /** Leases opened, and leases that came to be held. */
  readonly launches: number;
  readonly launched: number;
  /** Openings and launches that failed, however it went on. */
  readonly provisionFailures: number;
  /** Sessions that ended because no sandbox became ready in time. */
  readonly provisionTimeouts: number;
  /** Jobs that had been handed over and ended, in any way; and those that ran into their own limit. */
  readonly jobsEnded: number;
  readonly jobsTimedOut: number;
  /** Provider calls without an answer within their bound. */
  readonly callsTimedOut: number;
}

export interface SessionReport {
  /** The session's row version. */
  readonly version: number;
  /** When it was made. Tells heartbeats of one version apart. */
  readonly asOf: number;
  readonly sessionId: SessionId;
  readonly tenant: TenantId;
  readonly createdAt: number;
  readonly status: SessionView["status"];
  readonly blocked: string | null;
  readonly terminateReason: SessionView["terminate_reason"];
  readonly provider: ProviderName;
  readonly endAt: number;
  readonly expiresAt: number | null;
  /** When its alarm is due; null when nothing is left to do. Overdue beyond the slip: maintenance pokes it. */
  readonly nextDeadline: number | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly agentType: string | null;
  readonly taskId: string | null;
  readonly critical: boolean;
  readonly isolation: "session" | "shared";
  /** What its sandboxes start from. Absent: told by code that did not know. */
  readonly template?: string;
  readonly startedAt: number | null;
  /** When something last ran or was asked, and how many jobs ran, as of this report (a held session's is at most some minutes old). */
  readonly lastActivityAt: number;
  readonly activeJobs: number;
  /** Since when it is in a transition that should pass, or past a clock; null: it is well. */
  readonly stuckSince: number | null;
  /** When its oldest running teardown (or a ghost's) becomes overdue; may be in the future. null: nothing is being torn down. */
  readonly teardownOverdueFrom: number | null;
  /** Up to `asOf`; the sum is the session's age. */
  readonly usage: readonly UsageFigure[];
  readonly outcomes: OutcomeCounts;
  /**
   * The reservation of a proven lease passes to this sandbox instead of being given back: the session replaces its own sandbox.
   * Absent: nothing is handed on.
   */
  readonly successor?: { readonly generation: Generation; readonly sandboxId: SandboxId };
  /** Snapshots that an operator took off the session. The registry keeps them with the report. Absent: none. */
  readonly forgotten?: readonly ForgottenSnapshot[];
  /** Bytes of all its snapshots, including those still to be deleted. Absent: older code reported, which did not count them. */
  readonly savedBytes?: number;
  /** Every open lease, and every closed one whose receipt is not confirmed yet. */
  readonly leases: readonly LeaseReport[];
  /** The last report of all: the session's rows are about to be erased. Receipts stay in the registry. */
  readonly erased: boolean;
}

export interface ReserveOrder {
  readonly sessionId: SessionId;
  readonly generation: Generation;
  readonly sandboxId: SandboxId;
  readonly createdAt: number;
  /** A new session, or an existing one on its way back: only the first is refused while the fleet drains. */
  readonly purpose: ProvisionPurpose;
  /** A place in a shared container of that provider is wanted; absent: a container of its own. */
  readonly shared?: SharedContainerRequest;
}

export interface SharedContainerRequest {
  readonly provider: ProviderName;
  /** What this session met lately: that container takes no writes. */
  readonly unusable?: UnusableContainer;
}

export interface UnusableContainer {
  readonly container: ContainerId;
  readonly why: string;
}

export type ReserveReply =
  /** `container`: where, when a place in a shared one was asked for. A repeat is told the same. */
  | { readonly granted: true; readonly container?: ContainerId }
  | { readonly granted: false; readonly code: "quota_exhausted"; readonly limit: number; readonly used: number }
  /** The tenant's budget for the month is used up. */
  | {
      readonly granted: false;
      readonly code: "budget_spent";
      /** Absent in what older code answers. */
      readonly month?: MonthSpend;
      readonly currency?: string;
    }
  /** The tenant may have more, the fleet has no room: what all tenants may have together is in use. */
  | { readonly granted: false; readonly code: "capacity_exhausted"; readonly limit: number; readonly used: number }
  /** Its last launches failed one after the other: nothing is launched before `closesAt`. */
  | { readonly granted: false; readonly code: "spawn_breaker_open"; readonly closesAt: number }
  /** No new sessions: an operator is emptying the fleet. */
  | { readonly granted: false; readonly code: "draining" }
  /** Released or passed already: mint one above `above`. */
  | { readonly granted: false; readonly code: "stale_generation"; readonly above: number };

/** A session that is about to drain its sandbox and save it, to be paused. */
export interface PauseOrder {
  readonly sessionId: SessionId;
  readonly createdAt: number;
}

export type PauseReply =
  | { readonly admitted: true }
  | {
      readonly admitted: false;
      readonly of: "paused_sessions" | "snapshot_bytes";
      readonly limit: number;
      readonly used: number;
    };

/** A session is about to save its files as a snapshot of the tenant. */
export interface SnapshotOrder {
  readonly id: string;
  readonly sessionId: SessionId;
  readonly name: string | null;
  /** The older one of that name is deleted once this one is saved. */
  readonly replaces: boolean;
  readonly purpose: "kept" | "fork";
  readonly provider: ProviderName;
  readonly template: string | null;
  /** The longest that the session may take. */
  readonly withinMs: number;
}

export type SnapshotReply =
  | { readonly granted: true }
  | { readonly granted: false; readonly of: "name"; readonly holder: string }
  | {
      readonly granted: false;
      readonly of: "snapshots" | "snapshot_bytes";
      readonly limit: number;
      readonly used: number;
    };

/** What a tenant has spent in the calendar month (UTC), in billionths of the currency. */
export interface MonthSpend {
  readonly from: number;
  readonly until: number;
  /** Up to now. */
  readonly nanos: number;
  /** What a second of all that runs adds. */
  readonly nanosPerSecond: number;
  /** TENANT_MAX_COST_PER_MONTH; null: without a bound. */
  readonly maxNanos: number | null;
}

/** The tenant's registry as a session sees it. Calls may throw (object RPC): the session then knows nothing and asks again. */
export interface TenantPort {
  /** Atomic, idempotent by (session, generation). */
  reserve(order: ReserveOrder): Promise<ReserveReply>;
  /** Gives back a reservation for which no lease was ever opened. Leaves a tombstone. */
  cancelReservation(sessionId: SessionId, generation: Generation): Promise<void>;
  /** Atomic. A place that was admitted is kept while the session is pausing; asking again is answered the same. */
  admitPause(order: PauseOrder): Promise<PauseReply>;
  /** A place for a snapshot, before anything is saved. Atomic, idempotent by id. */
  reserveSnapshot(order: SnapshotOrder): Promise<SnapshotReply>;
  /** The outcome of taking it. A snapshot whose outcome never arrives is deleted. */
  settleSnapshot(sessionId: SessionId, taken: TakenSnapshot): Promise<void>;
  /** By id or by name; null: there is none. */
  snapshot(reference: string): Promise<SnapshotView | null>;
  /** Confirms the version that it now holds (at least the one sent). */
  report(report: SessionReport): Promise<{ readonly version: number }>;
}

/** Stands in for a report when newer code wrote the session's rows, which are then not read. */
export interface BlockedMark {
  readonly sessionId: SessionId;
  readonly blocked: "newer_record";
  readonly nextDeadline: number;
}

/** The index of lists and stats. Derived: may be lost and rebuilt. */
export interface IndexPort {
  report(report: SessionReport): Promise<{ readonly version: number }>;
  /** Ignored for an unknown session. The next report of the session replaces the mark. */
  markBlocked(mark: BlockedMark): Promise<void>;
}
