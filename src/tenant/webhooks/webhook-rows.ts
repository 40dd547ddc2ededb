/**
 * The rows of a tenant's webhooks, and how much waits for each. All of it inside a transaction of the caller's. Secrets are
 * stored as they come: sealed (webhook-commands.ts).
 */
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
  for (const table of ["delivery", "webhook_load", "webhook"]) sql.run(`DELETE FROM ${table} WHERE webhook_id = ?`, id);
}

/** How many deliveries wait for it. Kept with each change of a delivery, so that nothing has to be counted. */
export function pendingCount(sql: Sql, webhookId: string): number {
  return Number(sql.run("SELECT pending FROM webhook_load WHERE webhook_id = ?", webhookId)[0]?.["pending"] ?? 0);
}

export function addPending(sql: Sql, webhookId: string, change: number): void {
  if (change === 0) return;
  sql.run(
    `INSERT INTO webhook_load (webhook_id, pending) VALUES (?, ?)
     ON CONFLICT (webhook_id) DO UPDATE SET pending = pending + excluded.pending`,
    ...[webhookId, change],
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
