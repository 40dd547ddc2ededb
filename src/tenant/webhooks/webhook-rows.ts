/**
 * The rows of a tenant's webhooks: where to send, which sessions have something new, and each delivery with its attempts. All
 * of them inside a transaction of the caller's. Secrets are stored as they come: sealed (webhook-desk.ts).
 *
 * A delivery waits behind the earlier ones of its session to the same webhook, so a receiver hears a session's events in
 * order; other sessions' do not wait for it.
 */
import type { SessionId } from "../../domain/ids.ts";
import type { EventView } from "../../protocol/events.ts";
import { webhookLimits, type WebhookMessage } from "../../protocol/webhooks.ts";
import type { SessionReport } from "../../session/reports.ts";
import type { Sql, SqlRow } from "../../storage/sql.ts";

export interface Webhook {
  readonly id: string;
  readonly url: string;
  readonly events: readonly string[];
  readonly description: string;
  readonly secret: string;
  readonly previous: { readonly secret: string; readonly until: number } | null;
  readonly disabled: { readonly at: number; readonly why: string } | null;
  readonly createdAt: number;
  readonly updatedAt: number;
  /** In a row, over all of its deliveries. */
  readonly failures: number;
  readonly failingSince: number | null;
  /** Nothing is sent before. */
  readonly notBefore: number;
}

export interface Attempt {
  readonly at: number;
  readonly status: number | null;
  readonly error: string | null;
  readonly ms: number;
}

export interface Delivery {
  readonly position: number;
  readonly id: string;
  readonly webhookId: string;
  /** "": a test. */
  readonly sessionId: string;
  readonly eventId: string;
  readonly type: string;
  readonly body: string;
  readonly createdAt: number;
  readonly state: "pending" | "delivered" | "failed";
  /** Of this round; a redelivery begins another. */
  readonly attempts: number;
  readonly nextAt: number;
  readonly endedAt: number | null;
  /** Of all rounds, the newest `logKept`. */
  readonly log: readonly Attempt[];
  readonly logged: number;
}

/** A session of which something is to be read. */
export interface PendingSession {
  readonly sessionId: SessionId;
  readonly createdAt: number;
  /** The last sequence that was read. */
  readonly cursor: number;
  /** The newest version that was reported. */
  readonly wanted: number;
}

const logKept = 20;

export function readWebhook(sql: Sql, id: string): Webhook | null {
  const row = sql.run("SELECT * FROM webhook WHERE webhook_id = ?", id)[0];
  return row === undefined ? null : webhookOf(row);
}

/** In the order they were made. */
export function readWebhooks(sql: Sql): readonly Webhook[] {
  return sql.run("SELECT * FROM webhook ORDER BY created_at, webhook_id").map(webhookOf);
}

export function writeWebhook(sql: Sql, webhook: Webhook): void {
  sql.run(
    `INSERT OR REPLACE INTO webhook (webhook_id, url, events, description, secret, previous_secret, previous_until, disabled_at,
       disabled_why, created_at, updated_at, failures, failing_since, not_before) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    webhook.id,
    webhook.url,
    JSON.stringify(webhook.events),
    webhook.description,
    webhook.secret,
    webhook.previous?.secret ?? null,
    webhook.previous?.until ?? null,
    webhook.disabled?.at ?? null,
    webhook.disabled?.why ?? null,
    webhook.createdAt,
    webhook.updatedAt,
    webhook.failures,
    webhook.failingSince,
    webhook.notBefore,
  );
}

/** With everything that waits for it. */
export function removeWebhook(sql: Sql, id: string): void {
  sql.run("DELETE FROM delivery WHERE webhook_id = ?", id);
  sql.run("DELETE FROM webhook WHERE webhook_id = ?", id);
}

export function pendingCount(sql: Sql, webhookId: string): number {
  const row = sql.run(
    "SELECT count(*) AS count FROM delivery WHERE webhook_id = ? AND state = 'pending'",
    webhookId,
  )[0];
  return Number(row?.["count"] ?? 0);
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

/** What was read, as deliveries; `whole`: nothing newer was there when it was asked. */
export function keepEvents(
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
export function forgetHookedSession(sql: Sql, session: PendingSession): void {
  sql.run("DELETE FROM webhook_session WHERE session_id = ? AND created_at = ?", session.sessionId, session.createdAt);
}

function wants(webhook: Webhook, type: string): boolean {
  return webhook.events.some(
    (filter) => filter === "*" || filter === type || (filter === "session.*" && type.startsWith("session.")),
  );
}

/** Once for each event and webhook, however often it is read. */
export function enqueue(
  sql: Sql,
  order: {
    readonly id: string;
    readonly webhookId: string;
    readonly sessionId: string;
    readonly eventId: string;
    readonly type: string;
    readonly message: WebhookMessage;
    readonly now: number;
  },
): void {
  sql.run(
    `INSERT OR IGNORE INTO delivery (delivery_id, webhook_id, session_id, event_id, type, body, created_at, state, attempts, next_at, log, logged)
     VALUES (?, ?, ?, ?, ?, ?, ?, 'pending', 0, ?, '[]', 0)`,
    order.id,
    order.webhookId,
    order.sessionId,
    order.eventId,
    order.type,
    JSON.stringify(order.message),
    order.now,
    order.now,
  );
}

/** Pending, of a webhook that sends, and first of its session there. */
const sendable = `FROM delivery JOIN webhook USING (webhook_id)
  WHERE delivery.state = 'pending' AND webhook.disabled_at IS NULL AND NOT EXISTS (
    SELECT 1 FROM delivery AS earlier WHERE earlier.webhook_id = delivery.webhook_id AND earlier.session_id = delivery.session_id
      AND earlier.state = 'pending' AND earlier.position < delivery.position)`;

export function deliveriesDue(sql: Sql, now: number, limit: number): readonly Delivery[] {
  const rows = sql.run(
    `SELECT delivery.* ${sendable} AND next_at <= ? AND not_before <= ? ORDER BY position LIMIT ?`,
    now,
    now,
    limit,
  );
  return rows.map(deliveryOf);
}

/** When something is to be read or sent; null: nothing waits. */
export function nextWebhookWork(sql: Sql): number | null {
  const send = sql.run(`SELECT min(max(next_at, not_before)) AS at ${sendable}`)[0]?.["at"] ?? null;
  const read = sql.run("SELECT min(retry_at) AS at FROM webhook_session WHERE wanted > done")[0]?.["at"] ?? null;
  const times = [send, read].filter((at) => at !== null).map(Number);
  return times.length === 0 ? null : Math.min(...times);
}

export function readDelivery(sql: Sql, webhookId: string, id: string): Delivery | null {
  const row = sql.run("SELECT * FROM delivery WHERE webhook_id = ? AND delivery_id = ?", webhookId, id)[0];
  return row === undefined ? null : deliveryOf(row);
}

/** Newest first, strictly before `before`. */
export function deliveriesOf(
  sql: Sql,
  webhookId: string,
  state: Delivery["state"] | null,
  before: number | null,
  limit: number,
): readonly Delivery[] {
  const rows = sql.run(
    `SELECT * FROM delivery WHERE webhook_id = ? AND (? IS NULL OR state = ?) AND (? IS NULL OR position < ?)
     ORDER BY position DESC LIMIT ?`,
    ...[webhookId, state, state, before, before, limit],
  );
  return rows.map(deliveryOf);
}

export function writeDelivery(sql: Sql, delivery: Delivery): void {
  sql.run(
    "UPDATE delivery SET state = ?, attempts = ?, next_at = ?, ended_at = ?, log = ?, logged = ? WHERE position = ?",
    delivery.state,
    delivery.attempts,
    delivery.nextAt,
    delivery.endedAt,
    JSON.stringify(delivery.log.slice(-logKept)),
    delivery.logged,
    delivery.position,
  );
}

/** Deliveries that ended before that, and sessions of which everything was read so long ago. At most `limit` of each. */
export function pruneWebhooks(sql: Sql, before: number, limit: number): void {
  sql.run(
    "DELETE FROM delivery WHERE position IN (SELECT position FROM delivery WHERE ended_at < ? ORDER BY ended_at LIMIT ?)",
    before,
    limit,
  );
  // What was held back by a disabled webhook is no news any more.
  sql.run(
    `DELETE FROM delivery WHERE position IN (SELECT position FROM delivery JOIN webhook USING (webhook_id)
       WHERE state = 'pending' AND disabled_at < ? LIMIT ?)`,
    before,
    limit,
  );
}

function webhookOf(row: SqlRow): Webhook {
  const number = (column: string): number | null => (row[column] === null ? null : Number(row[column]));
  const [previousUntil, disabledAt] = [number("previous_until"), number("disabled_at")];
  return {
    id: String(row["webhook_id"]),
    url: String(row["url"]),
    events: JSON.parse(String(row["events"])) as readonly string[],
    description: String(row["description"]),
    secret: String(row["secret"]),
    previous: previousUntil === null ? null : { secret: String(row["previous_secret"]), until: previousUntil },
    disabled: disabledAt === null ? null : { at: disabledAt, why: String(row["disabled_why"]) },
    createdAt: Number(row["created_at"]),
    updatedAt: Number(row["updated_at"]),
    failures: Number(row["failures"]),
    failingSince: number("failing_since"),
    notBefore: Number(row["not_before"]),
  };
}

function deliveryOf(row: SqlRow): Delivery {
  return {
    position: Number(row["position"]),
    id: String(row["delivery_id"]),
    webhookId: String(row["webhook_id"]),
    sessionId: String(row["session_id"]),
    eventId: String(row["event_id"]),
    type: String(row["type"]),
    body: String(row["body"]),
    createdAt: Number(row["created_at"]),
    state: String(row["state"]) as Delivery["state"],
    attempts: Number(row["attempts"]),
    nextAt: Number(row["next_at"]),
    endedAt: row["ended_at"] === null ? null : Number(row["ended_at"]),
    log: JSON.parse(String(row["log"])) as readonly Attempt[],
    logged: Number(row["logged"]),
  };
}
