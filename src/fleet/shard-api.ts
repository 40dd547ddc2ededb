/** What a FleetShard answers. Derived rows only; the sessions and the tenant's registry are the truth. */
import type { SessionId, TenantId } from "../domain/ids.ts";
import type { SessionListItem } from "../protocol/sessions.ts";
import type { IndexPort } from "../session/reports.ts";

export interface ListQuery {
  readonly tenant: TenantId;
  readonly limit: number;
  /** Keyset: strictly after this (created_at, id), newest first. */
  readonly after: { readonly createdAt: number; readonly id: SessionId } | null;
  readonly status: SessionListItem["status"] | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly createdAfter: number | null;
}

export interface OverdueSession {
  readonly sessionId: SessionId;
  readonly nextDeadline: number;
}

export interface FleetShardApi extends IndexPort {
  list(query: ListQuery): Promise<readonly SessionListItem[]>;
  /** Sessions whose next deadline passed before `before`, oldest first. */
  overdue(before: number, limit: number): Promise<readonly OverdueSession[]>;
  ping(): Promise<true>;
}
