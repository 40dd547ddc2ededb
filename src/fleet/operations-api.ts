/** What an operator may order of the whole fleet. Runs where it is called (a Worker), bounded in time; tells what is left. */
import type { Reply } from "../protocol/problem.ts";
import type { AssertedLost, AssertLost } from "./audits/assert-lost.ts";
import type { AuditPlan, AuditResult } from "./audits/plan.ts";
import type { FleetStatus } from "./layers/choices.ts";
import type { CleanupResult } from "./layers/cleanup.ts";

export interface CleanupOrder {
  readonly by: string;
  readonly reason: string;
  /** null: what is overdue, stuck, or lost its sandbox. A number: whatever is at least this old. ms */
  readonly maxAgeMs: number | null;
  /** Narrows it to sessions of these statuses; null: whatever their status. */
  readonly statuses: readonly FleetStatus[] | null;
  readonly dryRun: boolean;
}

export interface EmergencyOrder extends Pick<CleanupOrder, "by" | "reason" | "dryRun"> {
  /** Sessions without a sandbox too: their saved files are deleted with them. */
  readonly includePaused: boolean;
}

export interface FleetOperations {
  cleanup(order: CleanupOrder): Promise<CleanupResult>;
  /** Ends everything that holds a sandbox and is not critical, or past its max lifetime. `includePaused`: the rest too. */
  emergency(order: EmergencyOrder): Promise<CleanupResult>;
  /** Looks only, and keeps what it found. */
  planAudit(by: string): Promise<AuditPlan>;
  /** Problems: not_found, precondition_failed (another hash), conflict (too old). Applied before: the same result again. */
  applyAudit(order: {
    readonly planId: string;
    readonly hash: string;
    readonly by: string;
  }): Promise<Reply<AuditResult>>;
  /** For a session whose rows are lost. Problems: conflict (it has a record), not_found (nothing is counted), lease_not_expired. */
  assertLost(order: AssertLost): Promise<Reply<AssertedLost>>;
}
