/**
 * The rows of one shard: the newest report of each session, listed until it is erased. Synchronous, over any `Sql`.
 *
 * Derived, so it decides nothing and is never asked whether something is gone. A report that was overtaken changes nothing
 * (FLT-2): the order is (createdAt, version), because a session made anew under an erased id counts from the start again.
 */
import type { SessionId } from "../domain/ids.ts";
import { rfc3339 } from "../protocol/primitives.ts";
import type { SessionListItem } from "../protocol/sessions.ts";
import type { Clock } from "../session/ambient.ts";
import type { SessionReport } from "../session/reports.ts";
import { migrate, schemaVersion } from "../storage/migrate.ts";
import type { Sql, SqlRow, SqlValue } from "../storage/sql.ts";
import type { ListQuery, OverdueSession } from "./shard-api.ts";
import { shardMigrations } from "./shard-schema.ts";

/** Far longer than any call may be under way: an overtaken report must still find the tombstone. */
export const tombstoneMs = 86_400_000;
/** Each report removes at most this many old tombstones, so that none of them pays for all. */
const tombstonesAtOnce = 20;

export class ShardIndex {
  readonly #sql: Sql;
  readonly #clock: Pick<Clock, "now">;
  #migrated = false;

  constructor(sql: Sql, clock: Pick<Clock, "now">) {
    this.#sql = sql;
    this.#clock = clock;
  }

  /** Answers the version held afterwards: at least the one sent. */
  report(report: SessionReport): { readonly version: number } {
    this.#migrate();
    return this.#sql.transaction(() => applyReport(this.#sql, report, this.#clock.now()));
  }

  /** Newest first. Filters run in SQL, so a page is short only when there is no more. */
  list(query: ListQuery): readonly SessionListItem[] {
    if (this.#empty()) return [];
    const { text, bindings } = listStatement(query);
    return this.#sql.run(text, ...bindings).map(listItem);
  }

  /** Sessions whose next deadline passed before `before`, oldest first. */
  overdue(before: number, limit: number): readonly OverdueSession[] {
    if (this.#empty()) return [];
    const rows = this.#sql.run(
      `SELECT session_id, next_deadline FROM session
       WHERE erased_at IS NULL AND next_deadline IS NOT NULL AND next_deadline < ?
       ORDER BY next_deadline, session_id LIMIT ?`,
      ...[before, limit],
    );
    return rows.map((row) => ({
      sessionId: row["session_id"] as SessionId,
      nextDeadline: row["next_deadline"] as number,
    }));
  }

  #empty(): boolean {
    if (!this.#migrated && schemaVersion(this.#sql) === 0) return true;
    this.#migrate();
    return false;
  }

  #migrate(): void {
    if (this.#migrated) return;
    const outcome = migrate(this.#sql, shardMigrations);
    if (outcome.type === "newer") {
      throw new Error(`the shard's schema ${outcome.stored} is newer than ${outcome.known}, the last this code knows`);
    }
    this.#migrated = true;
  }
}

function applyReport(sql: Sql, report: SessionReport, now: number): { readonly version: number } {
  const held = sql.run("SELECT created_at, version, labels FROM session WHERE session_id = ?", report.sessionId)[0];
  if (held !== undefined) {
    const version = held["version"] as number;
    const createdAt = held["created_at"] as number;
    // An incarnation that is gone is told its own version, or it would repeat its last words for ever.
    if (report.createdAt < createdAt) return { version: report.version };
    if (report.createdAt === createdAt && report.version <= version) return { version };
  }
  writeRow(sql, report, now);
  const labels = report.erased ? "{}" : canonical(report.labels);
  if (held === undefined ? labels !== "{}" : held["labels"] !== labels) writeLabels(sql, report);
  sql.run(
    `DELETE FROM session WHERE session_id IN
       (SELECT session_id FROM session WHERE erased_at < ? ORDER BY erased_at LIMIT ?)`,
    ...[now - tombstoneMs, tombstonesAtOnce],
  );
  return { version: report.version };
}

function writeRow(sql: Sql, report: SessionReport, now: number): void {
  const generations = report.leases.map((lease) => lease.generation);
  const row: Record<string, SqlValue> = {
    session_id: report.sessionId,
    tenant: report.tenant,
    created_at: report.createdAt,
    version: report.version,
    status: report.status,
    end_at: report.endAt,
    expires_at: report.expiresAt,
    next_deadline: report.nextDeadline,
    generation: generations.length === 0 ? null : Math.max(...generations),
    provider: report.provider,
    labels: report.erased ? "{}" : canonical(report.labels),
    agent_type: report.agentType,
    task_id: report.taskId,
    critical: Number(report.critical),
    reported_at: now,
    erased_at: report.erased ? now : null,
  };
  // Confirmed receipts are no longer listed: the newest generation is remembered. A new incarnation has higher ones anyway.
  const replaced = Object.keys(row).filter((name) => name !== "session_id" && name !== "generation");
  const updates = [
    ...replaced.map((name) => `${name} = excluded.${name}`),
    "generation = nullif(max(coalesce(generation, 0), coalesce(excluded.generation, 0)), 0)",
  ];
  const names = Object.keys(row);
  sql.run(
    `INSERT INTO session (${names.join(", ")}) VALUES (${names.map(() => "?").join(", ")})
     ON CONFLICT (session_id) DO UPDATE SET ${updates.join(", ")}`,
    ...Object.values(row),
  );
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

function canonical(labels: Readonly<Record<string, string>>): string {
  return JSON.stringify(Object.fromEntries(Object.entries(labels).toSorted(([a], [b]) => (a < b ? -1 : 1))));
}

function listStatement(query: ListQuery): { readonly text: string; readonly bindings: readonly SqlValue[] } {
  const conditions = ["tenant = ?", "erased_at IS NULL"];
  const bindings: SqlValue[] = [query.tenant];
  if (query.after !== null) {
    conditions.push("created_at <= ?", "(created_at < ? OR session_id > ?)");
    bindings.push(query.after.createdAt, query.after.createdAt, query.after.id);
  }
  if (query.status !== null) {
    conditions.push("status = ?");
    bindings.push(query.status);
  }
  if (query.createdAfter !== null) {
    conditions.push("created_at > ?");
    bindings.push(query.createdAfter);
  }
  for (const [name, value] of Object.entries(query.labels)) {
    conditions.push("session_id IN (SELECT session_id FROM label WHERE tenant = ? AND name = ? AND value = ?)");
    bindings.push(query.tenant, name, value);
  }
  const text = `SELECT * FROM session WHERE ${conditions.join(" AND ")} ORDER BY created_at DESC, session_id LIMIT ?`;
  return { text, bindings: [...bindings, query.limit] };
}

function listItem(row: SqlRow): SessionListItem {
  const expiresAt = row["expires_at"] as number | null;
  return {
    id: row["session_id"] as string,
    status: row["status"] as SessionListItem["status"],
    created_at: rfc3339(row["created_at"] as number),
    end_at: rfc3339(row["end_at"] as number),
    expires_at: expiresAt === null ? null : rfc3339(expiresAt),
    generation: row["generation"] as number | null,
    provider: row["provider"] as string,
    labels: JSON.parse(row["labels"] as string) as Record<string, string>,
    agent_type: row["agent_type"] as string | null,
    task_id: row["task_id"] as string | null,
    critical: row["critical"] === 1,
    as_of: rfc3339(row["reported_at"] as number),
  };
}
