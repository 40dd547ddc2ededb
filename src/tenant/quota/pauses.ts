/**
 * How many sessions of a tenant may be paused, and how much their snapshots may take together.
 *
 * A pause is admitted before anything is drained, in one transaction, so pauses that are asked for at once cannot all take the
 * last place. An admitted session keeps its place while it is `pausing`, and as `paused` it counts by itself. A snapshot's size
 * is known only when it is saved: an admitted save may exceed the byte cap by its own size, and the next pause is refused.
 */
import type { SessionId } from "../../domain/state/ids.ts";
import type { PauseReply, SessionReport } from "../../session/reports/reports.ts";
import type { Sql } from "../../storage/sql.ts";
import { isFinal, readSession, unknownSession, writeSession } from "../sessions.ts";

export interface PauseTerms {
  readonly maxPaused: number;
  /** Snapshots of the tenant itself: kept, being taken, or not proven gone. */
  readonly maxSnapshots: number;
  readonly maxSnapshotBytes: number;
}

/** The defaults of TENANT_MAX_PAUSED, TENANT_MAX_SNAPSHOTS and TENANT_MAX_SNAPSHOT_MIB. */
export const defaultPauseTerms: PauseTerms = {
  maxPaused: 1_000,
  maxSnapshots: 1_000,
  maxSnapshotBytes: 102_400 * 2 ** 20,
};

/** For so long a session may be told as something else than `pausing`: its report is under way, or was overtaken. */
const admittedForMs = 60_000;

export function admitPause(
  sql: Sql,
  order: { readonly sessionId: SessionId; readonly createdAt: number },
  terms: PauseTerms,
  now: number,
): PauseReply {
  const { sessionId } = order;
  if (holdsPlace(sql, sessionId, now)) return { admitted: true };
  const paused = pausedBeside(sql, sessionId, now);
  if (paused >= terms.maxPaused)
    return { admitted: false, of: "paused_sessions", limit: terms.maxPaused, used: paused };
  // The session's own saved bytes do not count: its new snapshot replaces them.
  const bytes = savedBeside(sql, sessionId) + snapshotBytes(sql);
  if (bytes >= terms.maxSnapshotBytes)
    return { admitted: false, of: "snapshot_bytes", limit: terms.maxSnapshotBytes, used: bytes };
  if (readSession(sql, sessionId) === null) writeSession(sql, unknownSession(sql, sessionId, order.createdAt));
  sql.run("UPDATE session SET pause_admitted_at = ? WHERE session_id = ?", now, sessionId);
  return { admitted: true };
}

/** With every report that is applied. `before`: the status of the report before it. */
export function keepSaved(sql: Sql, report: SessionReport, before: SessionReport["status"] | null, now: number): void {
  const { sessionId, status } = report;
  const bytes = report.erased ? 0 : (report.savedBytes ?? 0);
  // A row written is a row billed.
  sql.run("UPDATE session SET saved_bytes = ? WHERE session_id = ? AND saved_bytes <> ?", bytes, sessionId, bytes);
  if (status === "pausing" && before === "pausing") return;
  // This report may be older than the admission. So a session that is told to run keeps its place while a newer one may be under way.
  const over = status === "paused" || report.erased || isFinal(status);
  sql.run(
    `UPDATE session SET pause_admitted_at = NULL WHERE session_id = ? AND pause_admitted_at IS NOT NULL
     AND (? = 1 OR pause_admitted_at NOT BETWEEN ? AND ?)`,
    ...[sessionId, Number(over), now - admittedForMs, now + admittedForMs],
  );
}

/** A clock that was set back makes no admission last longer than its bound. */
const holding = `pause_admitted_at IS NOT NULL AND (status = 'pausing' OR pause_admitted_at BETWEEN ? AND ?)`;

function holdsPlace(sql: Sql, sessionId: SessionId, now: number): boolean {
  const statement = `SELECT 1 FROM session WHERE session_id = ? AND ${holding}`;
  return sql.run(statement, sessionId, now - admittedForMs, now + admittedForMs).length > 0;
}

function pausedBeside(sql: Sql, sessionId: SessionId, now: number): number {
  const paused = sql.run("SELECT count(*) AS n FROM session WHERE status = 'paused' AND session_id <> ?", sessionId);
  const admitted = sql.run(
    `SELECT count(*) AS n FROM session WHERE ${holding} AND status IS NOT 'paused' AND session_id <> ?`,
    ...[now - admittedForMs, now + admittedForMs, sessionId],
  );
  return Number(paused[0]?.["n"]) + Number(admitted[0]?.["n"]);
}

/** Bytes that the tenant's sessions saved for themselves, without this session's; null: of all sessions. */
export function savedBeside(sql: Sql, sessionId: SessionId | null): number {
  const rows = sql.run(
    "SELECT coalesce(sum(saved_bytes), 0) AS bytes FROM session WHERE saved_bytes > 0 AND session_id <> ?",
    sessionId ?? "",
  );
  return Number(rows[0]?.["bytes"]);
}

/** Bytes of the tenant's own snapshots, until they are proven gone. */
function snapshotBytes(sql: Sql): number {
  const rows = sql.run("SELECT coalesce(sum(bytes), 0) AS bytes FROM snapshot WHERE phase <> 'gone'");
  return Number(rows[0]?.["bytes"]);
}
