/**
 * What the tenant's sessions used: milliseconds in each status with each provider, from the figures that the sessions
 * report themselves. A report's figures replace the session's older ones, and the tenant's kept sum moves by the
 * difference in the same transaction; so the sum equals the rows plus what was pruned, whatever was lost or repeated.
 */
import type { SessionId } from "../domain/state/ids.ts";
import type { UsageFigure } from "../session/reports/reports.ts";
import type { Sql } from "../storage/sql.ts";

export interface TenantUsage {
  /** Kept sums, of every session there ever was. */
  readonly figures: readonly UsageFigure[];
  readonly sessions: number;
  /** Where the kept sum and the rows differ; empty is the claim. */
  readonly imbalances: readonly { readonly status: string; readonly provider: string; readonly byMs: number }[];
}

export const noUsage: TenantUsage = { figures: [], sessions: 0, imbalances: [] };

/** Inside a transaction of the caller. */
export function applyUsage(sql: Sql, sessionId: SessionId, figures: readonly UsageFigure[]): void {
  const held = sql.run("SELECT status, provider, ms FROM usage WHERE session_id = ?", sessionId).map(figure);
  for (const { status, provider, ms } of figures) {
    const before = held.find((each) => each.status === status && each.provider === provider)?.ms ?? 0;
    // Time used is never given back: a clock that went back, or a session made anew under its id, adds nothing.
    if (ms <= before) continue;
    sql.run(
      "INSERT OR REPLACE INTO usage (session_id, status, provider, ms) VALUES (?, ?, ?, ?)",
      ...[sessionId, status, provider, ms],
    );
    addTotal(sql, "usage_total", status, provider, ms - before);
  }
}

/** The session's rows go; what they counted stays in the sums. */
export function pruneUsage(sql: Sql, sessionId: SessionId): void {
  for (const row of sql.run("SELECT status, provider, ms FROM usage WHERE session_id = ?", sessionId)) {
    addTotal(sql, "usage_pruned", row["status"] as string, row["provider"] as string, row["ms"] as number);
  }
  sql.run("DELETE FROM usage WHERE session_id = ?", sessionId);
}

export function readUsage(sql: Sql): TenantUsage {
  const figures = sql.run("SELECT status, provider, ms FROM usage_total ORDER BY status, provider").map(figure);
  const differing = sql.run(
    `SELECT status, provider, sum(ms) AS ms FROM (
       SELECT status, provider, ms FROM usage_total
       UNION ALL SELECT status, provider, -ms FROM usage_pruned
       UNION ALL SELECT status, provider, -ms FROM usage
     ) GROUP BY status, provider HAVING sum(ms) <> 0`,
  );
  const sessions = sql.run("SELECT count(DISTINCT session_id) AS sessions FROM usage")[0]?.["sessions"];
  return {
    figures,
    sessions: Number(sessions),
    imbalances: differing.map((row) => {
      const { status, provider, ms } = figure(row);
      return { status, provider, byMs: ms };
    }),
  };
}

function addTotal(sql: Sql, table: "usage_total" | "usage_pruned", status: string, provider: string, ms: number): void {
  sql.run(
    `INSERT INTO ${table} (status, provider, ms) VALUES (?, ?, ?)
     ON CONFLICT (status, provider) DO UPDATE SET ms = ms + excluded.ms`,
    ...[status, provider, ms],
  );
}

function figure(row: Readonly<Record<string, unknown>>): UsageFigure {
  return {
    status: row["status"] as UsageFigure["status"],
    provider: row["provider"] as UsageFigure["provider"],
    ms: row["ms"] as number,
  };
}
