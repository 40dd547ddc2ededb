/** The session rows of a shard: one report written, with its labels and the kept counters; and a row read back. */
import type { SandboxId, SessionId, TenantId } from "../../domain/state/ids.ts";
import { canonicalJson } from "../../protocol/canonical-json.ts";
import { rfc3339 } from "../../protocol/primitives.ts";
import type { SessionListItem } from "../../protocol/resources/session/sessions.ts";
import type { BlockedMark, LeaseReport, SessionReport } from "../../session/reports/reports.ts";
import type { Sql, SqlRow, SqlValue } from "../../storage/sql.ts";
import type { FleetRow, RowPhase } from "./shard-api.ts";
import { addAmounts } from "../../storage/amounts.ts";

/** What of a row the counters and the order of reports depend on. */
interface Standing {
  readonly createdAt: number;
  readonly version: number;
  readonly asOf: number;
  readonly labels: string;
  readonly counted: readonly string[];
}

export function readStanding(sql: Sql, id: SessionId): Standing | null {
  const row = sql.run(
    "SELECT created_at, version, as_of, labels, status, stuck_since, blocked, erased_at FROM session WHERE session_id = ?",
    id,
  )[0];
  if (row === undefined) return null;
  const gone = row["erased_at"] !== null;
  return {
    createdAt: row["created_at"] as number,
    version: row["version"] as number,
    asOf: row["as_of"] as number,
    labels: row["labels"] as string,
    counted: gone
      ? []
      : counted(row["status"] as string, row["stuck_since"] as number | null, row["blocked"] as string),
  };
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

export function writeRow(sql: Sql, report: SessionReport, held: Standing | null, heardAt: number, now: number): void {
  const newest = newestLease(report.leases);
  const ghosts = report.leases.filter((lease) => lease.ghost && lease.phase !== "closed");
  const open = ghosts.length > 0 || (newest !== null && newest.phase !== "closed");
  const labels = report.erased ? "{}" : canonicalJson(report.labels);
  const row: Record<string, SqlValue> = {
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
    generation: newest?.generation ?? null,
    phase: newest?.phase ?? "none",
    open: Number(open),
    sandbox_id: newest?.sandboxId ?? null,
    ghosts: ghosts.length,
    stop_attempts: Math.max(0, ...report.leases.map((lease) => lease.stopAttempts)),
    last_error: report.leases.findLast((lease) => lease.lastError !== null)?.lastError ?? null,
    provider: report.provider,
    isolation: report.isolation,
    labels,
    agent_type: report.agentType,
    task_id: report.taskId,
    critical: Number(report.critical),
    reported_at: heardAt,
    erased_at: report.erased ? now : null,
  };
  // Confirmed receipts are no longer listed: what is known of the newest generation stays, and is closed by now.
  const remembered = ["generation", "sandbox_id"];
  const replaced = Object.keys(row).filter((name) => name !== "session_id" && !remembered.includes(name));
  const updates = [
    ...replaced.filter((name) => name !== "phase").map((name) => `${name} = excluded.${name}`),
    "phase = CASE WHEN excluded.generation IS NULL AND session.generation IS NOT NULL THEN 'closed' ELSE excluded.phase END",
    "sandbox_id = coalesce(excluded.sandbox_id, session.sandbox_id)",
    "generation = nullif(max(coalesce(session.generation, 0), coalesce(excluded.generation, 0)), 0)",
  ];
  const names = Object.keys(row);
  sql.run(
    `INSERT INTO session (${names.join(", ")}) VALUES (${names.map(() => "?").join(", ")})
     ON CONFLICT (session_id) DO UPDATE SET ${updates.join(", ")}`,
    ...Object.values(row),
  );
  if (held === null ? labels !== "{}" : held.labels !== labels) writeLabels(sql, report);
  const before = held?.counted ?? [];
  const after = report.erased ? [] : counted(report.status, report.stuckSince, report.blocked);
  addAmounts(sql, "counters", [
    ...before.filter((name) => !after.includes(name)).map((name) => [name, -1] as const),
    ...after.filter((name) => !before.includes(name)).map((name) => [name, 1] as const),
  ]);
}

/** What the last report said stays, but that nobody can read its rows now. One that is not known is not made up. */
export function markRow(sql: Sql, { sessionId, blocked, nextDeadline }: BlockedMark): void {
  const row = sql.run("SELECT blocked FROM session WHERE session_id = ? AND erased_at IS NULL", sessionId)[0];
  if (row === undefined) return;
  sql.run("UPDATE session SET blocked = ?, next_deadline = ? WHERE session_id = ?", blocked, nextDeadline, sessionId);
  if (row["blocked"] === blocked) return;
  const before = row["blocked"] === null ? [] : [[`blocked:${String(row["blocked"])}`, -1] as const];
  addAmounts(sql, "counters", [...before, [`blocked:${blocked}`, 1]]);
}

/** Only when they differ from those held: nearly every report has the same. */
function writeLabels(sql: Sql, report: SessionReport): void {
  sql.run("DELETE FROM label WHERE session_id = ?", report.sessionId);
  if (report.erased) return;
  for (const [name, value] of Object.entries(report.labels)) {
    sql.run(
      "INSERT INTO label (tenant, name, value, session_id) VALUES (?, ?, ?, ?)",
      ...[report.tenant, name, value, report.sessionId],
    );
  }
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
    labels: rest.labels,
    agent_type: agentType,
    task_id: taskId,
    critical: rest.critical,
    as_of: rfc3339(asOf),
  };
}
