/** Snapshots that an operator took off their sessions although the provider never confirmed their deletion. They outlive the session. */
import type { ForgottenSnapshot } from "../domain/state/session.ts";
import type { SessionId } from "../domain/state/ids.ts";
import type { SessionReport } from "../session/reports/reports.ts";
import type { Sql } from "../storage/sql.ts";

export interface ForgottenRow extends ForgottenSnapshot {
  readonly sessionId: SessionId;
}

/** Every report repeats them, and they do not change. */
export function keepForgotten(sql: Sql, { sessionId, forgotten }: SessionReport): void {
  for (const snapshot of forgotten ?? []) {
    sql.run(
      "INSERT INTO forgotten_snapshot (session_id, snapshot_id, body) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
      ...[sessionId, snapshot.id, JSON.stringify(snapshot)],
    );
  }
}

export function readForgotten(sql: Sql, limit: number): readonly ForgottenRow[] {
  return sql
    .run("SELECT session_id, body FROM forgotten_snapshot ORDER BY session_id, snapshot_id LIMIT ?", limit)
    .map((row) => ({
      ...(JSON.parse(row["body"] as string) as ForgottenSnapshot),
      sessionId: row["session_id"] as SessionId,
    }));
}
