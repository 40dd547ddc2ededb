/**
 * When a tenant's registry forgets what it need not keep any more: receipts, erased sessions, ended deliveries.
 *
 * The time of the last complete round is stored. Without it the next round would always be "a day from now", and a tenant
 * that is used every day would never reach it. A round that did not finish leaves the stored time as it is, so the next
 * one follows at once.
 */
import type { Sql } from "../storage/sql.ts";
import { readNamed, writeNamed } from "./named-values.ts";
import { pruneRegistry } from "./apply-report.ts";
import { pruneDeliveries } from "./webhooks/delivery-rows.ts";
import { forgetWebhookSessions } from "./webhooks/webhook-sessions.ts";

/** Receipts and watermarks live for weeks: a day more or less does not matter. */
const everyMs = 86_400_000;
/** Rows of each kind deleted in one transaction: some 10 ms of work. */
const atOnce = 500;

/** Inside a transaction of the caller. true: there is more. */
export function pruneOnce(sql: Sql, now: number): boolean {
  const more = [pruneRegistry, pruneDeliveries, forgetWebhookSessions]
    .map((prune) => prune(sql, now, atOnce))
    .includes(true);
  const before = readPrunedAt(sql);
  // 0: begun and never finished, so the next round is due now.
  writeNamed(sql, "pruned_at", before, more ? (before ?? 0) : now);
  return more;
}

/** When the next round is due; null: the tenant holds nothing. */
export function nextPruneAt(sql: Sql, now: number): number | null {
  if (!holdsAny(sql)) return null;
  const prunedAt = readPrunedAt(sql);
  // Never done: within a day. The alarm that is set for it is not moved later.
  if (prunedAt === null) return now + everyMs;
  // A time ahead of the clock means that the clock was set back.
  return prunedAt > now ? now : prunedAt + everyMs;
}

/** The first wake of a tenant that never pruned does it, whatever it woke for. */
export function pruneIsDue(sql: Sql, now: number): boolean {
  return holdsAny(sql) && (readPrunedAt(sql) === null || (nextPruneAt(sql, now) ?? Infinity) <= now);
}

function readPrunedAt(sql: Sql): number | null {
  return readNamed<number | null>(sql, "pruned_at", null);
}

/** Asked after every write, to know whether this tenant is ever to be looked at again. */
function holdsAny(sql: Sql): boolean {
  return ["session", "container", "delivery", "snapshot"].some(
    (table) => sql.run(`SELECT 1 FROM ${table} LIMIT 1`).length > 0,
  );
}
