/**
 * What the tenant's sessions used: milliseconds in each status with each provider, from the figures that the sessions
 * report themselves. A report's figures replace the session's older ones, and the tenant's kept sum moves by the
 * difference in the same transaction; so the sum equals the rows plus what was pruned, whatever was lost or repeated.
 */
import type { SessionId } from "../domain/state/ids.ts";
import type { UsageFigure } from "../session/reports/reports.ts";
import { addAmounts, readAmounts } from "../storage/amounts.ts";
import type { Sql } from "../storage/sql.ts";

export interface TenantUsage {
  /** Kept sums, of every session there ever was. */
  readonly figures: readonly UsageFigure[];
  readonly sessions: number;
  /** Where the kept sum and the rows differ; empty is the claim. */
  readonly imbalances: readonly { readonly status: string; readonly provider: string; readonly byMs: number }[];
}

export const noUsage: TenantUsage = { figures: [], sessions: 0, imbalances: [] };

/** In the row of the tallies, which nearly every report moves: what was ever used, and what of it pruned sessions had used. */
const used = "used:";
const forgotten = "used_forgotten:";

/** By status and provider, as the session's row keeps them. */
type Kept = Readonly<Record<string, number>>;

/**
 * Inside a transaction of the caller. Answers what the session's row is to keep; `fresh`: nothing of what it kept before counts
 * for this session.
 */
export function applyUsage(sql: Sql, sessionId: SessionId, figures: readonly UsageFigure[], fresh: boolean): string {
  const held = fresh ? {} : keptOf(sql, sessionId);
  const next = new Map(Object.entries(held));
  for (const { status, provider, ms } of figures) {
    const name = `${status}/${provider}`;
    // Time used is never given back: a clock that went back, or a session made anew under its id, adds nothing.
    if (ms > (held[name] ?? 0)) next.set(name, ms);
  }
  addAmounts(
    sql,
    "tallies",
    Array.from(next, ([name, ms]) => [`${used}${name}`, ms - (held[name] ?? 0)] as const),
  );
  return JSON.stringify(Object.fromEntries(next));
}

/** Drops the session's own usage row; its amounts stay in the tenant's sums. */
export function pruneUsage(sql: Sql, sessionId: SessionId): void {
  addAmounts(
    sql,
    "tallies",
    Object.entries(keptOf(sql, sessionId)).map(([name, ms]) => [`${forgotten}${name}`, ms] as const),
  );
}

export function readUsage(sql: Sql): TenantUsage {
  const sums = sumsUnder(sql, used);
  const accounted = sumsUnder(sql, forgotten);
  const rows = sql.run("SELECT key, sum(value) AS ms FROM session, json_each(session.usage) GROUP BY key");
  for (const row of rows) {
    const name = row["key"] as string;
    accounted.set(name, (accounted.get(name) ?? 0) + (row["ms"] as number));
  }
  const names = [...new Set([...sums.keys(), ...accounted.keys()])].toSorted();
  const sessions = sql.run("SELECT count(*) AS sessions FROM session WHERE usage <> '{}'")[0]?.["sessions"];
  return {
    figures: [...sums.keys()].toSorted().map((name) => ({ ...partsOf(name), ms: sums.get(name) ?? 0 })),
    sessions: Number(sessions),
    imbalances: names
      .map((name) => ({ ...partsOf(name), byMs: (sums.get(name) ?? 0) - (accounted.get(name) ?? 0) }))
      .filter(({ byMs }) => byMs !== 0),
  };
}

function sumsUnder(sql: Sql, prefix: string): Map<string, number> {
  const found = [...readAmounts(sql, "tallies")].filter(([name]) => name.startsWith(prefix));
  return new Map(found.map(([name, ms]) => [name.slice(prefix.length), ms]));
}

function keptOf(sql: Sql, sessionId: SessionId): Kept {
  const usage = sql.run("SELECT usage FROM session WHERE session_id = ?", sessionId)[0]?.["usage"];
  return typeof usage === "string" ? (JSON.parse(usage) as Kept) : {};
}

function partsOf(name: string): Pick<UsageFigure, "status" | "provider"> {
  const [status, provider] = name.split("/");
  return { status: status as UsageFigure["status"], provider: provider as UsageFigure["provider"] };
}
