/**
 * What the tenant spends in a month (UTC): a row for each sandbox that has a price, from the sessions' own reports. A budget that is
 * used up ends nothing by itself: each session that costs something is told, and pauses with its files or ends; and nothing new is
 * granted until the month is over or the operator allows more.
 */
import type { Generation, SessionId } from "../../domain/state/ids.ts";
import type { MonthSpend, SessionReport } from "../../session/reports/reports.ts";
import type { Sql } from "../../storage/sql.ts";

/** A row in time. */
interface Row {
  readonly since: number;
  readonly until: number | null;
  readonly nanosPerSecond: number;
}

/** Inside a transaction of the caller: it is the session's newest report. */
export function noteSpending(sql: Sql, { sessionId, leases, erased }: SessionReport, now: number): void {
  const { begin } = monthOf(now);
  const before = closedNanos(closedRows(sql, sessionId), begin);
  for (const { generation, charge } of leases) {
    if (charge === undefined) continue;
    const until = charge.ms === null ? null : charge.since + charge.ms;
    sql.run(
      `INSERT INTO spend (session_id, generation, since, until, nanos_per_second, told_at) VALUES (?, ?, ?, ?, ?, NULL)
       ON CONFLICT (session_id, generation) DO UPDATE SET until = excluded.until WHERE until IS NOT excluded.until`,
      ...[sessionId, generation, charge.since, until, charge.nanosPerSecond],
    );
  }
  // Every other one is not held any more, whatever was missed: confirmed as closed, or stopped by code that could not read what it
  // cost. Nothing runs of an erased session.
  const goOn = erased ? [] : leases.filter(({ charge }) => charge?.ms === null).map(({ generation }) => generation);
  const holes = goOn.map(() => "?").join(", ");
  sql.run(
    `UPDATE spend SET until = max(since, ?) WHERE session_id = ? AND until IS NULL
     ${goOn.length === 0 ? "" : `AND generation NOT IN (${holes})`}`,
    ...[now, sessionId, ...goOn],
  );
  // What ended before this month counts in no month that is still to come.
  sql.run("DELETE FROM spend WHERE until < ?", begin);
  addClosed(sql, begin, closedNanos(closedRows(sql, sessionId), begin) - before);
}

/** The sum of the closed rows is kept, so that nobody reads a month's rows with each write. The first of a month adds them all. */
function addClosed(sql: Sql, begin: number, nanos: number): void {
  if (nanos === 0) return;
  const kept = keptSum(sql, begin);
  const sum = kept === null ? closedNanos(closedRows(sql, null), begin) : kept + nanos;
  sql.run("DELETE FROM spend_month");
  sql.run("INSERT INTO spend_month (begin, nanos) VALUES (?, ?)", begin, sum);
}

/** null: nothing was added up in that month yet. */
function keptSum(sql: Sql, begin: number): number | null {
  const nanos = sql.run("SELECT nanos FROM spend_month WHERE begin = ?", begin)[0]?.["nanos"];
  return nanos === undefined ? null : Number(nanos);
}

function closedNanos(rows: readonly Row[], begin: number): number {
  return rows.reduce((sum, row) => sum + nanosSince(row, begin, row.until ?? 0), 0);
}

function nanosSince({ since, nanosPerSecond }: Row, begin: number, until: number): number {
  return Math.floor((Math.max(0, until - Math.max(since, begin)) * nanosPerSecond) / 1_000);
}

function spentIn(sql: Sql, now: number): Pick<MonthSpend, "nanos" | "nanosPerSecond"> {
  const { begin } = monthOf(now);
  let nanos = keptSum(sql, begin) ?? closedNanos(closedRows(sql, null), begin);
  let nanosPerSecond = 0;
  for (const row of rows(sql, "until IS NULL")) {
    nanos += nanosSince(row, begin, now);
    nanosPerSecond += row.nanosPerSecond;
  }
  return { nanos, nanosPerSecond };
}

/** What all of the tenant's sandboxes that run now cost a second. Prices are off by default: then no row is read. */
export function spendRate(sql: Sql): number {
  return rows(sql, "until IS NULL").reduce((sum, { nanosPerSecond }) => sum + nanosPerSecond, 0);
}

export function monthSpend(sql: Sql, budget: number | null, now: number): MonthSpend {
  const { begin: from, end: until } = monthOf(now);
  return { from, until, ...spentIn(sql, now), maxNanos: budget };
}

/** The spending of a tenant without rows. */
export function nothingSpent(budget: number | null, now: number): MonthSpend {
  const { begin: from, end: until } = monthOf(now);
  return { from, until, nanos: 0, nanosPerSecond: 0, maxNanos: budget };
}

export function isSpent(sql: Sql, budget: number | null, now: number): boolean {
  return budget !== null && spentIn(sql, now).nanos >= budget;
}

/** When what runs will have used up the budget; null: not in this month, or everybody was told. */
export function spentAt(sql: Sql, budget: number | null, now: number): number | null {
  if (budget === null) return null;
  const notifyAt = sql.run(
    `SELECT min(coalesce(tell_at, 0)) AS at FROM spend WHERE ${isUnnotified}`,
    monthOf(now).begin,
  )[0]?.["at"];
  if (typeof notifyAt !== "number") return null;
  const { nanos, nanosPerSecond } = spentIn(sql, now);
  if (nanos >= budget) return Math.max(now, notifyAt);
  if (nanosPerSecond === 0) return null;
  const at = now + Math.ceil(((budget - nanos) * 1_000) / nanosPerSecond);
  const { end } = monthOf(now);
  // In the next month all counts from nothing: then it is looked at again.
  return Math.min(at, end);
}

const isUnnotified = "until IS NULL AND nanos_per_second > 0 AND (told_at IS NULL OR told_at < ?)";

/** Sessions that cost something and were not told that this month's budget is used up. Sessions that did not answer lately wait. */
export function unnotified(
  sql: Sql,
  now: number,
  limit: number,
): readonly { sessionId: SessionId; generation: Generation }[] {
  const found = sql.run(
    `SELECT session_id, generation FROM spend WHERE ${isUnnotified} AND coalesce(tell_at, 0) <= ?
     ORDER BY session_id LIMIT ?`,
    ...[monthOf(now).begin, now, limit],
  );
  return found.map((row) => ({
    sessionId: row["session_id"] as SessionId,
    generation: row["generation"] as Generation,
  }));
}

export function markNotified(sql: Sql, sessionId: SessionId, generation: Generation, now: number): void {
  sql.run("UPDATE spend SET told_at = ? WHERE session_id = ? AND generation = ?", now, sessionId, generation);
}

/** It did not answer, or could not store it: the others are told first, and an alarm does not spin on it. */
export function notifyLater(sql: Sql, sessionId: SessionId, generation: Generation, at: number): void {
  sql.run("UPDATE spend SET tell_at = ? WHERE session_id = ? AND generation = ?", at, sessionId, generation);
}

/** `sessionId` null: of all. */
function closedRows(sql: Sql, sessionId: SessionId | null): readonly Row[] {
  return sessionId === null
    ? rows(sql, "until IS NOT NULL")
    : rows(sql, "until IS NOT NULL AND session_id = ?", sessionId);
}

function rows(sql: Sql, which: string, ...values: readonly string[]): readonly Row[] {
  return sql.run(`SELECT since, until, nanos_per_second FROM spend WHERE ${which}`, ...values).map((row) => ({
    since: Number(row["since"]),
    until: row["until"] === null ? null : Number(row["until"]),
    nanosPerSecond: Number(row["nanos_per_second"]),
  }));
}

function monthOf(now: number): { readonly begin: number; readonly end: number } {
  const date = new Date(now);
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()];
  return { begin: Date.UTC(year, month, 1), end: Date.UTC(year, month + 1, 1) };
}
