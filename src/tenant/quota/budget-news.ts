/**
 * How the tenant stands to its budget for the month, as the index knows it: nothing to tell, near it, or used up. What changed is kept
 * and counts as a change of the tallies, so that it travels with them; the alarm of the tenant is set for the next change.
 */
import type { BudgetNews } from "../../fleet/shard/shard-api.ts";
import type { Sql } from "../../storage/sql.ts";
import type { MonthSpend } from "../../session/reports/reports.ts";
import { readNamed, writeNamed } from "../named-values.ts";
import { countsChanged } from "./reservations.ts";
import { monthSpend } from "./spending.ts";

/** From this share of its budget on, a tenant is near it. As for a session's own. */
const nearShare = 0.8;
const keptName = "budget_news";

export function notedBudget(sql: Sql): BudgetNews | null {
  return readNamed<BudgetNews | null>(sql, keptName, null);
}

function budgetNews({ nanos, until, maxNanos }: MonthSpend): BudgetNews | null {
  if (maxNanos === null) return null;
  if (nanos >= maxNanos) return { level: "used_up", until };
  return nanos >= maxNanos * nearShare ? { level: "near", until } : null;
}

function isSame(one: BudgetNews | null, other: BudgetNews | null): boolean {
  return one?.level === other?.level && one?.until === other?.until;
}

export function budgetIsNews(sql: Sql, budget: number | null, now: number): boolean {
  return !isSame(notedBudget(sql), budgetNews(monthSpend(sql, budget, now)));
}

/** Inside a transaction of the caller. */
export function noteBudget(sql: Sql, budget: number | null, now: number): boolean {
  const noted = notedBudget(sql);
  const news = budgetNews(monthSpend(sql, budget, now));
  if (isSame(noted, news)) return false;
  writeNamed(sql, keptName, noted, news);
  countsChanged(sql);
  return true;
}

/** At once when it is due; null: by what runs now nothing changes in this month. */
export function budgetNewsAt(sql: Sql, budget: number | null, now: number): number | null {
  const month = monthSpend(sql, budget, now);
  const noted = notedBudget(sql);
  if (!isSame(noted, budgetNews(month))) return now;
  if (budget === null) return null;
  const { nanos, nanosPerSecond, until } = month;
  // With the month its news ends by itself: the index knows until when it holds.
  if (nanosPerSecond === 0 || noted?.level === "used_up") return null;
  const next = noted === null ? budget * nearShare : budget;
  return Math.min(until, now + Math.ceil(((next - nanos) * 1_000) / nanosPerSecond));
}
