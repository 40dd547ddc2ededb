/** What a FleetShard answers. Derived rows only; the sessions and the tenant's registry are the truth. */
import type { ContainerId, SandboxId, SessionId, TenantId } from "../../domain/state/ids.ts";
import type { SessionListItem } from "../../protocol/resources/session/sessions.ts";
import type { IndexPort, OutcomeCounts } from "../../session/reports/reports.ts";
import type { RecentEnd } from "./recent-ends.ts";

/** Keyset: strictly after this (created_at, id), newest first. */
export interface ListPosition {
  readonly createdAt: number;
  readonly id: SessionId;
}

export interface ListQuery {
  readonly tenant: TenantId;
  readonly limit: number;
  readonly after: ListPosition | null;
  readonly status: SessionListItem["status"] | null;
  readonly template: string | null;
  readonly blocked: string | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly createdAfter: number | null;
}

export interface OverdueSession {
  readonly sessionId: SessionId;
  readonly nextDeadline: number;
}

/** Phase of the newest open lease, or of the newest of all. `none`: no lease was reported yet. */
export type RowPhase = "none" | "launching" | "held" | "stopping" | "closed";

/** One session as the fleet sees it: its newest report, as old as `asOf`. Instants in epoch ms. */
export interface FleetRow {
  readonly sessionId: SessionId;
  readonly tenant: TenantId;
  readonly createdAt: number;
  readonly version: number;
  readonly status: SessionListItem["status"];
  readonly terminateReason: string | null;
  readonly blocked: string | null;
  readonly provider: string;
  readonly isolation: "session" | "shared";
  /** null: it has not reported since the index keeps templates. */
  readonly template: string | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly agentType: string | null;
  readonly taskId: string | null;
  readonly critical: boolean;
  readonly startedAt: number | null;
  readonly endAt: number;
  readonly expiresAt: number | null;
  readonly nextDeadline: number | null;
  readonly lastActivityAt: number;
  readonly activeJobs: number;
  readonly stuckSince: number | null;
  /** From when on a teardown of it, a ghost's too, is past its bound; null: none is under way. */
  readonly teardownOverdueFrom: number | null;
  readonly generation: number | null;
  readonly phase: RowPhase;
  readonly sandboxId: SandboxId | null;
  readonly ghosts: number;
  readonly stopAttempts: number;
  readonly lastError: string | null;
  /** When the shard heard it. */
  readonly asOf: number;
}

/** Every condition given must hold. Over all tenants unless one is named. */
export interface FleetQuery {
  readonly limit: number;
  readonly tenant?: TenantId;
  readonly statuses?: readonly SessionListItem["status"][];
  readonly phases?: readonly RowPhase[];
  /** A lease is open: something physical may exist (ghosts too). */
  readonly open?: boolean;
  readonly labels?: Readonly<Record<string, string>>;
  readonly provider?: string;
  readonly template?: string;
  /** With `template`: the value of this label stands for the template of a session that has it. */
  readonly templateLabel?: string;
  readonly agentType?: string;
  readonly taskId?: string;
  readonly critical?: boolean;
  readonly blocked?: string;
  readonly createdBefore?: number;
  readonly createdAfter?: number;
  /** `stuckSince` at or before this. */
  readonly stuckBefore?: number;
  /** `teardownOverdueFrom` at or before this. */
  readonly teardownOverdueBefore?: number;
  /** `expiresAt` at or before this. */
  readonly expiredBefore?: number;
  /** No job ran, and nothing was asked since this. */
  readonly idleBefore?: number;
  /** `newest`, `oldest`: by creation; `idlest`: the longest without activity first. Keyset paging needs `newest` or `oldest`. */
  readonly order: "newest" | "oldest" | "idlest";
  readonly after?: ListPosition;
}

/**
 * Counts of one shard. Those of sessions are kept as they change; those of sandboxes are the sums of the tenants' own tallies, each
 * told as one whole picture: so `created` − `destroyed` = provisioning + active + terminating at all times.
 */
export interface ShardStats {
  /** Reserved and launching. */
  readonly provisioning: number;
  /** Held. */
  readonly active: number;
  /** Stopping; ghosts and parked ones too. */
  readonly terminating: number;
  /** Reservations ever granted. */
  readonly created: number;
  /** Proven gone, given back before a launch, and asserted gone. */
  readonly destroyed: number;
  /** Of `destroyed`: on an operator's word alone. */
  readonly asserted: number;
  readonly tenants: number;
  /** Sessions by status; statuses that none has are left out. */
  readonly sessions: Readonly<Record<string, number>>;
  /** Sessions whose report says that they are stuck, parked, or unreadable. */
  readonly stuck: number;
  readonly blocked: Readonly<Record<string, number>>;
  /** When the oldest picture among the tenants' was told. null: there is none. */
  readonly asOf: number | null;
  /** How launches, jobs and provider calls went in the last `recentMs`. This and what follows is absent in what older code told. */
  readonly recent?: OutcomeTotals;
  /** The session that has run the longest. null: none runs. */
  readonly oldestRunning?: Pick<FleetRow, "sessionId" | "tenant" | "createdAt"> | null;
  /** What all that runs now costs a second, in billionths of the currency of the operator's prices. */
  readonly nanosPerSecond?: number;
}

/** A tenant's tallies (ledger.ts), as one picture. */
export interface TenantCounts {
  readonly tenant: TenantId;
  /** Counts up with each change; an older one changes nothing. */
  readonly version: number;
  readonly granted: number;
  readonly reserved: number;
  readonly launching: number;
  readonly held: number;
  readonly stopping: number;
  readonly asserted: number;
  readonly proven: number;
  readonly cancelled: number;
  /** Its shared containers whose end is or will be past its bound, the first few. Absent in what older code told. */
  readonly overdueContainers?: readonly OverdueContainer[];
  /** How it stands to its budget for the month; null: nothing to tell. Absent in what older code told. */
  readonly budget?: BudgetNews | null;
  /** What its sandboxes that run now cost a second. Absent in what older code told. */
  readonly nanosPerSecond?: number;
}

/** A tenant is near its budget for the month, or has used it up. */
export interface BudgetNews {
  readonly level: "near" | "used_up";
  /** The end of that month: from then on it says nothing. */
  readonly until: number;
}

export interface OverdueContainer {
  readonly id: ContainerId;
  /** From when on. May lie ahead. */
  readonly from: number;
}

export interface CountsPort {
  /** Confirms the version that it now holds (at least the one sent). */
  counts(counts: TenantCounts): Promise<{ readonly version: number }>;
}

/** How launches, jobs and provider calls of all its sessions went. */
export type OutcomeTotals = Omit<OutcomeCounts, "since">;

/** How far a shard has its rows. Lists and stats of one that is not `built` throw: never a short page. */
export type ShardBuild =
  | { readonly type: "built"; readonly shards: number; readonly at: number; readonly sessions: number }
  | { readonly type: "building"; readonly shards: number; readonly since: number; readonly sessions: number };

export interface FleetShardApi extends IndexPort, CountsPort {
  /** A caller was told that this session ends: lists say so from now on, before its report comes. */
  toldEnd(end: RecentEnd): Promise<void>;
  list(query: ListQuery): Promise<readonly SessionListItem[]>;
  /** For operators and the layers. At most 1,000 rows. */
  select(query: FleetQuery): Promise<readonly FleetRow[]>;
  stats(): Promise<ShardStats>;
  /** Sessions whose next deadline passed before `before`, oldest first. */
  overdue(before: number, limit: number): Promise<readonly OverdueSession[]>;
  /** Shared containers whose end is past its bound at `now`, the longest first. */
  overdueContainers(now: number, limit: number): Promise<readonly (OverdueContainer & { readonly tenant: TenantId })[]>;
  /** Tenants that are near their budget for the month, or have used it up: at most `limit`, those first. */
  tenantBudgets(now: number, limit: number): Promise<readonly (BudgetNews & { readonly tenant: TenantId })[]>;
  /** Sums over the last `windowMs`, to the minute. null: since the shard began to count. */
  outcomes(windowMs: number | null): Promise<OutcomeTotals>;
  /** Begins to build its rows anew from the registries, and works on it until done or for some seconds; its alarm goes on. */
  rebuild(): Promise<ShardBuild>;
  ping(): Promise<true>;
}
