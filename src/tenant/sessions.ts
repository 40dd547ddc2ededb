/** The session rows of a tenant's registry: what the newest report of each said, and how far its generations have come. */
import type { SessionId } from "../domain/state/ids.ts";
import type { SessionReport } from "../session/reports/reports.ts";
import { addAmounts, readAmounts } from "../storage/amounts.ts";
import type { Sql, SqlRow } from "../storage/sql.ts";

export interface RegisteredSession {
  readonly sessionId: SessionId;
  readonly createdAt: number;
  /** The version of the newest report; 0 before the first. */
  readonly version: number;
  /** null before the first report. */
  readonly status: SessionReport["status"] | null;
  /** Highest generation ever asked for, given back or reported: none at or below it is granted anew. Outlives the session. */
  readonly highestGeneration: number;
  readonly reportedAt: number | null;
  readonly erasedAt: number | null;
  /** It was asked about a reservation and has no record. Nothing of it is freed without proof. */
  readonly vanishedAt: number | null;
}

const columns = "session_id, created_at, version, status, highest_generation, reported_at, erased_at, vanished_at";

export function readSession(sql: Sql, sessionId: SessionId): RegisteredSession | null {
  const row = sql.run(`SELECT ${columns} FROM session WHERE session_id = ?`, sessionId)[0];
  return row === undefined ? null : parse(row);
}

/** In the order of the id, strictly after `after`: a page neither skips nor repeats. */
export function sessionsAfter(sql: Sql, after: SessionId | null, limit: number): readonly RegisteredSession[] {
  const statement = `SELECT ${columns} FROM session WHERE session_id > ? ORDER BY session_id LIMIT ?`;
  return sql.run(statement, after ?? "", limit).map(parse);
}

export function vanishedSessions(sql: Sql, limit: number): readonly RegisteredSession[] {
  return sql.run(`SELECT ${columns} FROM session WHERE vanished_at IS NOT NULL LIMIT ?`, limit).map(parse);
}

export function markVanished(sql: Sql, sessionId: SessionId, now: number): void {
  sql.run("UPDATE session SET vanished_at = coalesce(vanished_at, ?) WHERE session_id = ?", now, sessionId);
}

/** Columns of the row that come from the newest report. */
interface ReportColumns {
  readonly report: SessionReport;
  /** `usage.ts` */
  readonly usage: string;
}

/** One write: a row written is a row billed. Without `reported` it stays what it was. */
export function writeSession(sql: Sql, session: RegisteredSession, reported?: ReportColumns): void {
  const { sessionId, createdAt, version, status, highestGeneration, reportedAt, erasedAt, vanishedAt } = session;
  const values = [sessionId, createdAt, version, status, highestGeneration, reportedAt, erasedAt, vanishedAt];
  const names = reported === undefined ? columns : `${columns}, report, usage`;
  const updates = names.split(", ").map((name) => `${name} = excluded.${name}`);
  sql.run(
    `INSERT INTO session (${names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?${reported === undefined ? "" : ", ?, ?"})
     ON CONFLICT (session_id) DO UPDATE SET ${updates.join(", ")}`,
    ...values,
    ...(reported === undefined ? [] : [listed(reported.report), reported.usage]),
  );
}

/** Receipts have a table of their own; an erased session has nothing to be listed. */
function listed(report: SessionReport): string | null {
  const leases = report.leases.map((lease) => ({ ...lease, receipt: null }));
  return report.erased ? null : JSON.stringify({ ...report, leases });
}

/** In the order of the id, strictly after `after`. */
export function reportsAfter(sql: Sql, after: SessionId | null, limit: number): readonly SessionReport[] {
  const statement = `SELECT report FROM session WHERE session_id > ? AND report IS NOT NULL ORDER BY session_id LIMIT ?`;
  return sql.run(statement, after ?? "", limit).map((row) => JSON.parse(row["report"] as string) as SessionReport);
}

/** A session that the registry has not heard of: its generations may begin above what was pruned. */
export function unknownSession(sql: Sql, sessionId: SessionId, createdAt: number): RegisteredSession {
  const highestGeneration = generationFloor(sql);
  return {
    sessionId,
    createdAt,
    version: 0,
    status: null,
    highestGeneration,
    reportedAt: null,
    erasedAt: null,
    vanishedAt: null,
  };
}

/** The highest generation of all sessions that were pruned: one watermark instead of a tombstone for each. */
function generationFloor(sql: Sql): number {
  return readAmounts(sql, "tallies").get("generation_floor") ?? 0;
}

export function forgetSession(sql: Sql, session: RegisteredSession): void {
  const more = Math.max(0, session.highestGeneration - generationFloor(sql));
  addAmounts(sql, "tallies", [["generation_floor", more]]);
  sql.run("DELETE FROM session WHERE session_id = ?", session.sessionId);
}

/** Once such a report was made, nothing new is ever opened for that session. */
export function isFinal(status: SessionReport["status"] | null): boolean {
  return status === "terminating" || status === "terminated" || status === "failed";
}

export function withGeneration(session: RegisteredSession, generation: number): RegisteredSession {
  return generation > session.highestGeneration ? { ...session, highestGeneration: generation } : session;
}

function parse(row: SqlRow): RegisteredSession {
  return {
    sessionId: row["session_id"] as SessionId,
    createdAt: row["created_at"] as number,
    version: row["version"] as number,
    status: row["status"] as RegisteredSession["status"],
    highestGeneration: row["highest_generation"] as number,
    reportedAt: row["reported_at"] as number | null,
    erasedAt: row["erased_at"] as number | null,
    vanishedAt: row["vanished_at"] as number | null,
  };
}
