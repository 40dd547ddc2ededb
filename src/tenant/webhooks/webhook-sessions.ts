/**
 * Which sessions have something new for the tenant's webhooks, and how it becomes deliveries. All of it inside a transaction
 * of the caller's.
 */
import type { SessionId } from "../../domain/state/ids.ts";
import type { EventView } from "../../protocol/resources/session/events.ts";
import { webhookLimits, type WebhookMessage } from "../../protocol/resources/tenant/webhooks.ts";
import type { SessionReport } from "../../session/reports/reports.ts";
import type { Sql } from "../../storage/sql.ts";
import { enqueue } from "./delivery-rows.ts";
import { pendingCount, readWebhooks, type Webhook, writeWebhook } from "./webhook-rows.ts";

/** A session whose new events are to be read. */
export interface PendingSession {
  readonly sessionId: SessionId;
  readonly createdAt: number;
  /** The last sequence that was read. */
  readonly cursor: number;
  /** The newest version that was reported. */
  readonly wanted: number;
}

/** Beside every report, and free for a tenant without webhooks: what changed is read from the session later. */
export function noteReport(sql: Sql, report: SessionReport): void {
  if (sql.run("SELECT 1 FROM webhook WHERE disabled_at IS NULL LIMIT 1").length === 0) return;
  sql.run(
    `INSERT INTO webhook_session (session_id, created_at, cursor, wanted, done, retry_at) VALUES (?, ?, 0, ?, 0, 0)
     ON CONFLICT (session_id) DO UPDATE SET
       wanted = CASE WHEN excluded.created_at > created_at THEN excluded.wanted ELSE max(wanted, excluded.wanted) END,
       cursor = CASE WHEN excluded.created_at > created_at THEN 0 ELSE cursor END,
       done = CASE WHEN excluded.created_at > created_at THEN 0 ELSE done END,
       created_at = max(created_at, excluded.created_at)`,
    report.sessionId,
    report.createdAt,
    report.version,
  );
}

export function sessionsToRead(sql: Sql, now: number, limit: number): readonly PendingSession[] {
  const rows = sql.run(
    "SELECT * FROM webhook_session WHERE wanted > done AND retry_at <= ? ORDER BY retry_at LIMIT ?",
    now,
    limit,
  );
  return rows.map((row) => ({
    sessionId: row["session_id"] as SessionId,
    createdAt: Number(row["created_at"]),
    cursor: Number(row["cursor"]),
    wanted: Number(row["wanted"]),
  }));
}

/** When the first of them is to be read; null: there is nothing to read. */
export function firstReadAt(sql: Sql): number | null {
  const row = sql.run("SELECT min(retry_at) AS at FROM webhook_session WHERE wanted > done")[0];
  return row?.["at"] == null ? null : Number(row["at"]);
}

/** Turns the events read into deliveries. `whole`: there was nothing newer at the time of the read. */
export function enqueueEvents(
  sql: Sql,
  session: PendingSession,
  events: readonly EventView[],
  whole: boolean,
  mint: () => string,
  now: number,
): void {
  const webhooks = readWebhooks(sql).filter((webhook) => webhook.disabled === null);
  for (const event of events) {
    const type = `session.${event.type}`;
    for (const webhook of webhooks) {
      if (Date.parse(event.at) < webhook.createdAt || !wants(webhook, type)) continue;
      const message: WebhookMessage = {
        type,
        timestamp: event.at,
        data: { session_id: session.sessionId, ...event },
      };
      const eventId = `evt_${session.sessionId}_${session.createdAt.toString(36)}_${event.sequence}`;
      enqueue(sql, { id: mint(), webhookId: webhook.id, sessionId: session.sessionId, eventId, type, message, now });
    }
  }
  const last = events.at(-1)?.sequence ?? session.cursor;
  sql.run(
    "UPDATE webhook_session SET cursor = max(cursor, ?), done = max(done, ?), retry_at = 0 WHERE session_id = ? AND created_at = ?",
    last,
    whole ? session.wanted : 0,
    session.sessionId,
    session.createdAt,
  );
  for (const webhook of webhooks) {
    if (pendingCount(sql, webhook.id) <= webhookLimits.pending) continue;
    const why = `More than ${webhookLimits.pending} deliveries wait for it.`;
    writeWebhook(sql, { ...webhook, disabled: { at: now, why }, updatedAt: now });
  }
}

export function readSessionLater(sql: Sql, session: PendingSession, at: number): void {
  sql.run("UPDATE webhook_session SET retry_at = ? WHERE session_id = ?", at, session.sessionId);
}

/** Its rows are gone: nothing of it can be read any more. */
export function forgetWebhookSession(sql: Sql, session: PendingSession): void {
  sql.run("DELETE FROM webhook_session WHERE session_id = ? AND created_at = ?", session.sessionId, session.createdAt);
}

/** Their session is forgotten, so nothing of them will ever be read. true: there may be more. */
export function forgetWebhookSessions(sql: Sql, _now: number, limit: number): boolean {
  const gone = sql.run(
    `DELETE FROM webhook_session WHERE session_id IN (
       SELECT session_id FROM webhook_session WHERE NOT EXISTS (
         SELECT 1 FROM session WHERE session.session_id = webhook_session.session_id
       ) LIMIT ?) RETURNING session_id`,
    limit,
  );
  return gone.length >= limit;
}

function wants(webhook: Webhook, type: string): boolean {
  return webhook.events.some(
    (filter) => filter === "*" || filter === type || (filter === "session.*" && type.startsWith("session.")),
  );
}
