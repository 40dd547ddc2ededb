/**
 * How launches, jobs and provider calls of one shard's sessions went, by the minute: what the alert on timeouts and the
 * metrics read. Each report brings a session's counts as one picture; only what grew since the last one is added, so a
 * report that comes twice, or overtaken, adds nothing. Pure: the sums stand in the row of the counters, and what was heard of a
 * session in its own row, both of which a report writes anyway.
 */
import type { OutcomeCounts } from "../../session/reports/reports.ts";
import type { OutcomeTotals } from "./shard-api.ts";

const minuteMs = 60_000;
/** The longest window anyone asks for, with room. */
export const outcomesKeptMs = 3_600_000;

const names = [
  "launches",
  "launched",
  "provisionFailures",
  "provisionTimeouts",
  "jobsEnded",
  "jobsTimedOut",
  "callsTimedOut",
] as const satisfies readonly (keyof OutcomeTotals & keyof OutcomeCounts)[];

export const noOutcomes: OutcomeTotals = {
  launches: 0,
  launched: 0,
  provisionFailures: 0,
  provisionTimeouts: 0,
  jobsEnded: 0,
  jobsTimedOut: 0,
  callsTimedOut: 0,
};

type Amounts = Partial<Record<(typeof names)[number], number>>;

export interface KeptOutcomes {
  /** Since the shard began to count. */
  readonly totals: Amounts;
  /** By the minute since the epoch. */
  readonly minutes: Readonly<Record<number, Amounts>>;
}

export const nothingKept: KeptOutcomes = { totals: {}, minutes: {} };

/** What `outcomes` adds to what was heard of that session before. null: nothing. */
export function grownSince(heard: OutcomeCounts | null, outcomes: OutcomeCounts): Amounts | null {
  // An older incarnation's last words, overtaken by its successor's: what they hold cannot be told from what was heard.
  if (heard !== null && outcomes.since < heard.since) return null;
  const same = heard?.since === outcomes.since ? heard : null;
  const grown = names
    .map((name) => [name, outcomes[name] - (same?.[name] ?? 0)] as const)
    .filter(([, more]) => more > 0);
  return grown.length === 0 ? null : Object.fromEntries(grown);
}

/** Minutes that nobody asks for any more are dropped. */
export function withGrown({ totals, minutes }: KeptOutcomes, grown: Amounts, now: number): KeptOutcomes {
  const minute = Math.floor(now / minuteMs);
  const oldest = minute - outcomesKeptMs / minuteMs;
  const kept = Object.entries(minutes).filter(([each]) => Number(each) >= oldest && Number(each) !== minute);
  return {
    totals: added(totals, grown),
    minutes: { ...Object.fromEntries(kept), [minute]: added(minutes[minute] ?? {}, grown) },
  };
}

/** Sums over the last `windowMs`, to the minute. null: since the shard began to count. */
export function outcomeTotals({ totals, minutes }: KeptOutcomes, windowMs: number | null, now: number): OutcomeTotals {
  if (windowMs === null) return { ...noOutcomes, ...totals };
  const after = Math.floor((now - windowMs) / minuteMs);
  return Object.entries(minutes)
    .filter(([minute]) => Number(minute) > after)
    .reduce((sum, [, amounts]) => added(sum, amounts), noOutcomes);
}

/** `to` and what `more` adds to it. */
function added<Sum extends Amounts>(to: Sum, more: Amounts): Sum {
  const sums = Object.entries(more).map(([name, amount]) => [name, (to[name as keyof Amounts] ?? 0) + amount]);
  return { ...to, ...(Object.fromEntries(sums) as Amounts) };
}
