/**
 * How launches, jobs and provider calls of one shard's sessions went, by the minute: what the alert on timeouts and the
 * metrics read. Each report brings a session's counts as one picture; only what grew since the last one is added, so a
 * report that comes twice, or overtaken, adds nothing. Its tables stand beside the index and are not rebuilt with it:
 * what is lost with a shard is an hour of rates.
 */
import type { Clock } from "../../runtime/clock-ids-logger.ts";
import type { OutcomeCounts, SessionReport } from "../../session/reports/reports.ts";
import type { Sql, SqlRow } from "../../storage/sql.ts";
import type { OutcomeTotals } from "../shard/shard-api.ts";

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

/** All in one row: a row is what is billed, and a report moves several of them. */
interface Kept {
  /** Since the tables were made. */
  readonly totals: Amounts;
  /** By the minute since the epoch. */
  readonly minutes: Readonly<Record<number, Amounts>>;
}

export class OutcomeLog {
  readonly #sql: Sql;
  readonly #clock: Pick<Clock, "now">;
  #made = false;

  constructor(sql: Sql, clock: Pick<Clock, "now">) {
    this.#sql = sql;
    this.#clock = clock;
  }

  note(report: Pick<SessionReport, "sessionId" | "outcomes" | "erased">): void {
    const { sessionId, outcomes, erased } = report;
    if (!this.#made && names.every((name) => outcomes[name] === 0)) return;
    this.#sql.transaction(() => {
      this.#make();
      const seen = this.#seen(sessionId);
      // An older incarnation's last words, overtaken by its successor's: what they hold cannot be told from what was heard.
      if (seen === null || outcomes.since >= seen.since) this.#add(sessionId, seen, outcomes);
      if (erased) this.#sql.run("DELETE FROM outcome_seen WHERE session_id = ?", sessionId);
    });
  }

  /** Of the last `windowMs`, to the minute; null: since the tables were made. */
  totals(windowMs: number | null): OutcomeTotals {
    if (!this.#exists()) return noOutcomes;
    const { totals, minutes } = this.#read();
    if (windowMs === null) return { ...noOutcomes, ...totals };
    const after = Math.floor((this.#clock.now() - windowMs) / minuteMs);
    return Object.entries(minutes)
      .filter(([minute]) => Number(minute) > after)
      .reduce((sum, [, amounts]) => added(sum, amounts), noOutcomes);
  }

  #add(sessionId: string, seen: OutcomeCounts | null, outcomes: OutcomeCounts): void {
    const minute = Math.floor(this.#clock.now() / minuteMs);
    const same = seen?.since === outcomes.since ? seen : null;
    const grown = Object.fromEntries(
      names.map((name) => [name, outcomes[name] - (same?.[name] ?? 0)] as const).filter(([, more]) => more > 0),
    );
    if (Object.keys(grown).length === 0) return;
    const { totals, minutes } = this.#read();
    const oldest = minute - outcomesKeptMs / minuteMs;
    const kept = Object.entries(minutes).filter(([each]) => Number(each) >= oldest && Number(each) !== minute);
    this.#write({
      totals: added(totals, grown),
      minutes: { ...Object.fromEntries(kept), [minute]: added(minutes[minute] ?? {}, grown) },
    });
    this.#sql.run("INSERT OR REPLACE INTO outcome_seen VALUES (?, ?)", sessionId, JSON.stringify(outcomes));
  }

  #seen(sessionId: string): OutcomeCounts | null {
    const row = this.#sql.run("SELECT body FROM outcome_seen WHERE session_id = ?", sessionId)[0];
    return row === undefined ? null : (JSON.parse(String(row["body"])) as OutcomeCounts);
  }

  #read(): Kept {
    const body = this.#sql.run("SELECT body FROM outcomes")[0]?.["body"];
    return typeof body === "string" ? (JSON.parse(body) as Kept) : { totals: {}, minutes: {} };
  }

  #write(kept: Kept): void {
    this.#sql.run(
      "INSERT INTO outcomes (only, body) VALUES (1, ?) ON CONFLICT (only) DO UPDATE SET body = excluded.body",
      JSON.stringify(kept),
    );
  }

  #has(table: string): boolean {
    return this.#sql.run("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", table).length > 0;
  }

  #exists(): boolean {
    this.#made ||= this.#has("outcomes");
    return this.#made;
  }

  /** Not a migration of the index: that one is thrown away and built anew as a whole. */
  #make(): void {
    if (this.#exists()) return;
    this.#sql.run("CREATE TABLE outcomes (only INTEGER PRIMARY KEY CHECK (only = 1), body TEXT NOT NULL) STRICT");
    if (this.#has("outcome_total")) return this.#adopt();
    this.#sql.run("CREATE TABLE outcome_seen (session_id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID");
  }

  /** Older code kept a row for each name and for each of its minutes. */
  #adopt(): void {
    const totals = amountsOf(this.#sql.run("SELECT name, amount FROM outcome_total"));
    const minutes = this.#sql
      .run("SELECT DISTINCT minute FROM outcome_minute")
      .map(({ minute = null }) => [
        Number(minute),
        amountsOf(this.#sql.run("SELECT name, amount FROM outcome_minute WHERE minute = ?", minute)),
      ]);
    this.#write({ totals, minutes: Object.fromEntries(minutes) as Kept["minutes"] });
    for (const table of ["outcome_total", "outcome_minute"]) this.#sql.run(`DROP TABLE ${table}`);
  }
}

/** `to` and what `more` adds to it. */
function added<Sum extends Amounts>(to: Sum, more: Amounts): Sum {
  const sums = Object.entries(more).map(([name, amount]) => [name, (to[name as keyof Amounts] ?? 0) + amount]);
  return { ...to, ...(Object.fromEntries(sums) as Amounts) };
}

function amountsOf(rows: readonly SqlRow[]): Amounts {
  return Object.fromEntries(rows.map((row) => [String(row["name"]), Number(row["amount"])]));
}
