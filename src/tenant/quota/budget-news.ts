/**
 * How the tenant stands to its budget for the month, as the index knows it: nothing to tell, near it, or used up. What changed is kept
 * and counts as a change of the tallies, so that it travels with them; the alarm of the tenant is set for the next change.
 */
import type { BudgetNews } from "../../fleet/shard/shard-api.ts";
import type { Sql } from "../../storage/sql.ts";
import { readKept, writeKept } from "../kept.ts";
import { countsChanged } from "./reservations.ts";
import { monthSpend } from "./spending.ts";

/** From this share of its budget on, a tenant is near it. As for a session's own. */
const nearShare = 0.8;
const keptName = "budget_news";

export function notedBudget(sql: Sql): BudgetNews | null {
  return readKept<BudgetNews | null>(sql, keptName, null);
}

function budgetNews(sql: Sql, budget: number | null, now: number): BudgetNews | null {
  if (budget === null) return null;
  const { nanos, until } = monthSpend(sql, budget, now);
  if (nanos >= budget) return { level: "used_up", until };
  return nanos >= budget * nearShare ? { level: "near", until } : null;
}

export function budgetIsNews(sql: Sql, budget: number | null, now: number): boolean {
  const [noted, news] = [notedBudget(sql), budgetNews(sql, budget, now)];
  return noted?.level !== news?.level || noted?.until !== news?.until;
}

/** Inside a transaction of the caller. */
export function noteBudget(sql: Sql, budget: number | null, now: number): boolean {
  if (!budgetIsNews(sql, budget, now)) return false;
  writeKept(sql, keptName, notedBudget(sql), budgetNews(sql, budget, now));
  countsChanged(sql);
  return true;
}

/** At once when it is due; null: by what runs now nothing changes in this month. */
export function budgetNewsAt(sql: Sql, budget: number | null, now: number): number | null {
  if (budgetIsNews(sql, budget, now)) return now;
  if (budget === null) return null;
  const { nanos, nanosPerSecond, until } = monthSpend(sql, budget, now);
  const noted = notedBudget(sql);
  // With the month its news ends by itself: the index knows until when it holds.
  if (nanosPerSecond === 0 || noted?.level === "used_up") return null;
  const next = noted === null ? budget * nearShare : budget;
  return Math.min(until, now + Math.ceil(((next - nanos) * 1_000) / nanosPerSecond));
}
