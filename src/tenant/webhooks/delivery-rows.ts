/**
 * The deliveries of a tenant's webhooks, each with its attempts. All of it inside a transaction of the caller's.
 *
 * The deliveries of one session to one webhook form a queue, in the order of the session's events. Only its head may be sent,
 * so a receiver hears a session's events in order, and one session does not wait for another. `head = 1` marks the head:
 * it is the pending delivery with the lowest position of its queue. Every write that changes what is pending must keep that true.
 */
import type { WebhookMessage } from "../../protocol/resources/tenant/webhooks.ts";
import type { Sql, SqlRow } from "../../storage/sql.ts";
import { addPending } from "./webhook-rows.ts";

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
  /** The newest `logKept` attempts of all rounds. */
  readonly log: readonly Attempt[];
  readonly logged: number;
}

const logKept = 20;
/** Ended deliveries are shown for so long, and what a disabled webhook held back is no news after it. ms */
const keptMs = 7 * 24 * 3_600_000;

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
  const { id, webhookId, sessionId, eventId, type, message, now } = order;
  const head = Number(headOf(sql, webhookId, sessionId) === null);
  const made = sql.run(
    `INSERT OR IGNORE INTO delivery (delivery_id, webhook_id, session_id, event_id, type, body, created_at, state, attempts, next_at,
       log, logged, head) VALUES (?, ?, ?, ?, ?, ?, ?, 'pending', 0, ?, '[]', 0, ?) RETURNING position`,
    ...[id, webhookId, sessionId, eventId, type, JSON.stringify(message), now, now, head],
  );
  addPending(sql, webhookId, made.length);
}

/** The heads of that webhook's queues that are due, those that have waited longest first. */
export function headsDue(sql: Sql, webhookId: string, now: number, limit: number): readonly Delivery[] {
  const rows = sql.run(
    "SELECT * FROM delivery WHERE webhook_id = ? AND head = 1 AND next_at <= ? ORDER BY next_at LIMIT ?",
    ...[webhookId, now, limit],
  );
  return rows.map(deliveryOf);
}

/** When the first of that webhook's heads is due; null: nothing waits for it. One step in an index. */
export function firstHeadAt(sql: Sql, webhookId: string): number | null {
  const row = sql.run(
    "SELECT next_at FROM delivery WHERE webhook_id = ? AND head = 1 ORDER BY next_at LIMIT 1",
    webhookId,
  )[0];
  return row === undefined ? null : Number(row["next_at"]);
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

/** An attempt began or failed: it stays pending, and so its place in its queue. */
export function storePending(sql: Sql, delivery: Delivery): void {
  write(sql, { ...delivery, state: "pending", endedAt: null });
}

/** It was taken or given up: the next of its queue is the head. */
export function storeEnded(sql: Sql, delivery: Delivery, state: "delivered" | "failed", now: number): void {
  write(sql, { ...delivery, state, endedAt: now });
  sql.run("UPDATE delivery SET head = 0 WHERE position = ?", delivery.position);
  const next = headOf(sql, delivery.webhookId, delivery.sessionId);
  if (next !== null) sql.run("UPDATE delivery SET head = 1 WHERE position = ?", next);
  addPending(sql, delivery.webhookId, -1);
}

/** Sends it from the start, whatever its last outcome. It takes its old position in its queue again. */
export function storeAgain(sql: Sql, known: Delivery, now: number): Delivery {
  const { webhookId, sessionId } = known;
  const again: Delivery = { ...known, state: "pending", attempts: 0, nextAt: now, endedAt: null };
  write(sql, again);
  if (known.state !== "pending") addPending(sql, webhookId, 1);
  const head = headOf(sql, webhookId, sessionId);
  sql.run(
    "UPDATE delivery SET head = (position = ?) WHERE webhook_id = ? AND session_id = ? AND state = 'pending'",
    ...[head, webhookId, sessionId],
  );
  return again;
}

/** Deliveries that ended long ago, and what a webhook that was disabled as long ago held back. true: there may be more. */
export function pruneDeliveries(sql: Sql, now: number, limit: number): boolean {
  const before = now - keptMs;
  const ended = sql.run(
    `DELETE FROM delivery WHERE position IN (SELECT position FROM delivery WHERE ended_at < ? ORDER BY ended_at LIMIT ?)
     RETURNING position`,
    ...[before, limit],
  );
  let left = limit - ended.length;
  for (const { webhook_id: id } of sql.run("SELECT webhook_id FROM webhook WHERE disabled_at < ?", before)) {
    if (left <= 0) break;
    // From the end of each queue, so that a queue that is not removed whole keeps its head.
    const held = sql.run(
      `DELETE FROM delivery WHERE position IN (
         SELECT position FROM delivery WHERE webhook_id = ? AND state = 'pending'
         ORDER BY session_id DESC, position DESC LIMIT ?) RETURNING position`,
      ...[String(id), left],
    );
    addPending(sql, String(id), -held.length);
    left -= held.length;
  }
  return left <= 0;
}

/** The position of the first that is pending in that queue. */
function headOf(sql: Sql, webhookId: string, sessionId: string): number | null {
  const row = sql.run(
    `SELECT position FROM delivery WHERE webhook_id = ? AND session_id = ? AND state = 'pending'
     ORDER BY position LIMIT 1`,
    ...[webhookId, sessionId],
  )[0];
  return row === undefined ? null : Number(row["position"]);
}

function write(sql: Sql, delivery: Delivery): void {
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
