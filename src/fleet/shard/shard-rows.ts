/** The session rows of a shard: one report written, with its labels and the kept counters; and a row read back. */
import type { SandboxId, SessionId, TenantId } from "../../domain/state/ids.ts";
import { canonicalJson } from "../../protocol/canonical-json.ts";
import { rfc3339 } from "../../protocol/primitives.ts";
import type { SessionListItem } from "../../protocol/resources/session/sessions.ts";
import type { BlockedMark, LeaseReport, OutcomeCounts, SessionReport } from "../../session/reports/reports.ts";
import type { Sql, SqlRow, SqlValue } from "../../storage/sql.ts";
import type { FleetRow, RowPhase } from "./shard-api.ts";
import { grownSince, withGrown } from "./outcomes.ts";
import { moveCounters } from "./shard-counters.ts";

/** What a shard holds of a session: its whole row, and what of it the counters and the order of reports depend on. */
export interface HeldRow {
  readonly createdAt: number;
  readonly version: number;
  readonly asOf: number;
  readonly row: SqlRow;
}

export function readHeld(sql: Sql, id: SessionId): HeldRow | null {
  const row = sql.run("SELECT * FROM session WHERE session_id = ?", id)[0];
  if (row === undefined) return null;
  const { created_at: createdAt, version, as_of: asOf } = row;
  return { createdAt: Number(createdAt), version: Number(version), asOf: Number(asOf), row };
}

function countedOf({ row }: HeldRow): readonly string[] {
  if (row["erased_at"] !== null) return [];
  return counted(row["status"] as string, row["stuck_since"] as number | null, row["blocked"] as string | null);
}

/** The counters that a session adds one to. */
function counted(status: string, stuckSince: number | null, blocked: string | null): readonly string[] {
  return [
    `status:${status}`,
    ...(stuckSince === null ? [] : ["stuck"]),
    ...(blocked === null ? [] : [`blocked:${blocked}`]),
  ];
}

/** The lease that says where the session stands: the newest that is no ghost, else the newest. */
function newestLease(leases: readonly LeaseReport[]): LeaseReport | null {
  const own = leases.filter((lease) => !lease.ghost);
  const among = own.length === 0 ? leases : own;
  return among.reduce<LeaseReport | null>(
    (newest, lease) => (newest === null || lease.generation > newest.generation ? lease : newest),
    null,
  );
}

/** `told`: by the session itself. What a registry holds of it was counted when it was told. */
export function writeRow(
  sql: Sql,
  report: SessionReport,
  held: HeldRow | null,
  { told, heardAt, now }: { readonly told: boolean; readonly heardAt: number; readonly now: number },
): void {
  const heard = outcomesHeard(held);
  const isOlder = heard !== null && (!told || report.outcomes.since < heard.since);
  const row: Record<string, SqlValue> = {
    ...rowOf(report, held, heardAt, now),
    outcomes: report.erased ? null : JSON.stringify((isOlder ? heard : report.outcomes) ?? null),
  };
  if (held === null) insert(sql, row);
  else update(sql, report.sessionId, held.row, row);
  const heldLabels = held === null ? "{}" : (held.row["labels"] as string);
  if (heldLabels !== row["labels"]) replaceLabels(sql, held?.row ?? null, row);
  const before = held === null ? [] : countedOf(held);
  const after = report.erased ? [] : counted(report.status, report.stuckSince, report.blocked);
  const grown = told ? grownSince(heard, report.outcomes) : null;
  moveCounters(
    sql,
    [
      ...before.filter((name) => !after.includes(name)).map((name) => [name, -1] as const),
      ...after.filter((name) => !before.includes(name)).map((name) => [name, 1] as const),
    ],
    grown && ((kept) => withGrown(kept, grown, now)),
  );
}

/** null: nothing was heard. */
function outcomesHeard(held: HeldRow | null): OutcomeCounts | null {
  const outcomes = held?.row["outcomes"];
  return typeof outcomes === "string" ? (JSON.parse(outcomes) as OutcomeCounts) : null;
}

/** Confirmed receipts are no longer listed: what is held of the newest generation stays, and is closed by now. */
function rowOf(report: SessionReport, held: HeldRow | null, heardAt: number, now: number): Record<string, SqlValue> {
  const newest = newestLease(report.leases);
  const ghosts = report.leases.filter((lease) => lease.ghost && lease.phase !== "closed");
  const open = ghosts.length > 0 || (newest !== null && newest.phase !== "closed");
  const heldGeneration = (held?.row["generation"] ?? null) as number | null;
  const wasHeld = newest === null && heldGeneration !== null;
  return {
    session_id: report.sessionId,
    tenant: report.tenant,
    created_at: report.createdAt,
    version: report.version,
    as_of: report.asOf,
    status: report.status,
    terminate_reason: report.terminateReason,
    blocked: report.blocked,
    end_at: report.endAt,
    expires_at: report.expiresAt,
    next_deadline: report.nextDeadline,
    started_at: report.startedAt,
    last_activity_at: report.lastActivityAt,
    active_jobs: report.activeJobs,
    stuck_since: report.stuckSince,
    // A registry may hold a report from before there was such a thing.
    teardown_overdue_from: report.teardownOverdueFrom ?? null,
    generation: newest === null ? heldGeneration : Math.max(heldGeneration ?? 0, newest.generation),
    phase: wasHeld ? "closed" : (newest?.phase ?? "none"),
    open: Number(open),
    sandbox_id: newest?.sandboxId ?? held?.row["sandbox_id"] ?? null,
    ghosts: ghosts.length,
    stop_attempts: Math.max(0, ...report.leases.map((lease) => lease.stopAttempts)),
    last_error: report.leases.findLast((lease) => lease.lastError !== null)?.lastError ?? null,
    provider: report.provider,
    isolation: report.isolation,
    // A session's template never changes, and a registry may hold a report from before templates were told.
    template: report.template ?? held?.row["template"] ?? null,
    labels: report.erased ? "{}" : canonicalJson(report.labels),
    agent_type: report.agentType,
    task_id: report.taskId,
    critical: Number(report.critical),
    reported_at: heardAt,
    erased_at: report.erased ? now : null,
  };
}

function insert(sql: Sql, row: Readonly<Record<string, SqlValue>>): void {
  const names = Object.keys(row);
  const holes = names.map(() => "?").join(", ");
  sql.run(`INSERT INTO session (${names.join(", ")}) VALUES (${holes})`, ...Object.values(row));
}

/** Names only the columns that change: SQLite writes an entry anew in each index with a column that the statement names. */
function update(sql: Sql, id: SessionId, from: SqlRow, to: Readonly<Record<string, SqlValue>>): void {
  const changed = Object.entries(to).filter(([name, value]) => from[name] !== value);
  if (changed.length === 0) return;
  sql.run(
    `UPDATE session SET ${changed.map(([name]) => `${name} = ?`).join(", ")} WHERE session_id = ?`,
    ...changed.map(([, value]) => value),
    id,
  );
}

/** Keeps the last report and marks that its rows can no longer be read. A session that was never reported is not made up. */
export function markRow(sql: Sql, { sessionId, blocked, nextDeadline }: BlockedMark): void {
  const row = sql.run("SELECT blocked FROM session WHERE session_id = ? AND erased_at IS NULL", sessionId)[0];
  if (row === undefined) return;
  sql.run("UPDATE session SET blocked = ?, next_deadline = ? WHERE session_id = ?", blocked, nextDeadline, sessionId);
  if (row["blocked"] === blocked) return;
  const before = row["blocked"] === null ? [] : [[`blocked:${String(row["blocked"])}`, -1] as const];
  moveCounters(sql, [...before, [`blocked:${blocked}`, 1]], null);
}

function replaceLabels(sql: Sql, from: SqlRow | null, to: SqlRow): void {
  if (from !== null) dropLabels(sql, from);
  for (const [name, value] of labelsOf(to)) {
    sql.run(
      "INSERT INTO label (tenant, name, value, session_id) VALUES (?, ?, ?, ?)",
      ...[to["tenant"] ?? null, name, value, to["session_id"] ?? null],
    );
  }
}

/** Found by the labels that the session's row holds: an index of labels by session would be one more row for each label. */
export function dropLabels(sql: Sql, row: SqlRow): void {
  for (const [name, value] of labelsOf(row)) {
    sql.run(
      "DELETE FROM label WHERE tenant = ? AND name = ? AND value = ? AND session_id = ?",
      ...[row["tenant"] ?? null, name, value, row["session_id"] ?? null],
    );
  }
}

function labelsOf(row: SqlRow): readonly (readonly [name: string, value: string])[] {
  return Object.entries(JSON.parse(row["labels"] as string) as Record<string, string>);
}

export function fleetRow(row: SqlRow): FleetRow {
  return {
    sessionId: row["session_id"] as SessionId,
    tenant: row["tenant"] as TenantId,
    createdAt: row["created_at"] as number,
    version: row["version"] as number,
    status: row["status"] as FleetRow["status"],
    terminateReason: row["terminate_reason"] as string | null,
    blocked: row["blocked"] as string | null,
    provider: row["provider"] as string,
    isolation: row["isolation"] as FleetRow["isolation"],
    template: row["template"] as string | null,
    labels: JSON.parse(row["labels"] as string) as Record<string, string>,
    agentType: row["agent_type"] as string | null,
    taskId: row["task_id"] as string | null,
    critical: row["critical"] === 1,
    startedAt: row["started_at"] as number | null,
    endAt: row["end_at"] as number,
    expiresAt: row["expires_at"] as number | null,
    nextDeadline: row["next_deadline"] as number | null,
    lastActivityAt: row["last_activity_at"] as number,
    activeJobs: row["active_jobs"] as number,
    stuckSince: row["stuck_since"] as number | null,
    teardownOverdueFrom: row["teardown_overdue_from"] as number | null,
    generation: row["generation"] as number | null,
    phase: row["phase"] as RowPhase,
    sandboxId: row["sandbox_id"] as SandboxId | null,
    ghosts: row["ghosts"] as number,
    stopAttempts: row["stop_attempts"] as number,
    lastError: row["last_error"] as string | null,
    asOf: row["reported_at"] as number,
  };
}

export function listItem(row: SqlRow): SessionListItem {
  const { sessionId, createdAt, endAt, expiresAt, agentType, taskId, asOf, ...rest } = fleetRow(row);
  return {
    id: sessionId,
    status: rest.status,
    created_at: rfc3339(createdAt),
    end_at: rfc3339(endAt),
    expires_at: expiresAt === null ? null : rfc3339(expiresAt),
    generation: rest.generation,
    provider: rest.provider,
    template: rest.template,
    blocked: rest.blocked,
    labels: rest.labels,
    agent_type: agentType,
    task_id: taskId,
    critical: rest.critical,
    as_of: rfc3339(asOf),
  };
}
