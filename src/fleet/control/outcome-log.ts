/**
 * How launches, jobs and provider calls of one shard's sessions went, by the minute: what the alert on timeouts and the
 * metrics read. Each report brings a session's counts as one picture; only what grew since the last one is added, so a
 * report that comes twice, or overtaken, adds nothing. Its tables stand beside the index and are not rebuilt with it:
 * what is lost with a shard is an hour of rates.
 */
import type { Clock } from "../../session/ambient.ts";
import type { OutcomeCounts, SessionReport } from "../../session/reports/reports.ts";
import type { Sql } from "../../storage/sql.ts";
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
    const rows =
      windowMs === null
        ? this.#sql.run("SELECT name, amount FROM outcome_total")
        : this.#sql.run(
            "SELECT name, sum(amount) AS amount FROM outcome_minute WHERE minute > ? GROUP BY name",
            Math.floor((this.#clock.now() - windowMs) / minuteMs),
          );
    const amounts = new Map(rows.map((row) => [row["name"], Number(row["amount"])]));
    const totals = names.map((name) => [name, amounts.get(name) ?? 0] as const);
    return { ...noOutcomes, ...Object.fromEntries(totals) };
  }

  #add(sessionId: string, seen: OutcomeCounts | null, outcomes: OutcomeCounts): void {
    const minute = Math.floor(this.#clock.now() / minuteMs);
    const same = seen?.since === outcomes.since ? seen : null;
    let grown = 0;
    for (const name of names) {
      const more = outcomes[name] - (same?.[name] ?? 0);
      if (more <= 0) continue;
      grown += more;
      this.#sql.run(
        `INSERT INTO outcome_minute (minute, name, amount) VALUES (?, ?, ?)
         ON CONFLICT (minute, name) DO UPDATE SET amount = amount + excluded.amount`,
        ...[minute, name, more],
      );
      this.#sql.run(
        "INSERT INTO outcome_total (name, amount) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET amount = amount + excluded.amount",
        ...[name, more],
      );
    }
    if (grown === 0) return;
    this.#sql.run("DELETE FROM outcome_minute WHERE minute < ?", minute - outcomesKeptMs / minuteMs);
    this.#sql.run("INSERT OR REPLACE INTO outcome_seen VALUES (?, ?)", sessionId, JSON.stringify(outcomes));
  }

  #seen(sessionId: string): OutcomeCounts | null {
    const row = this.#sql.run("SELECT body FROM outcome_seen WHERE session_id = ?", sessionId)[0];
    return row === undefined ? null : (JSON.parse(String(row["body"])) as OutcomeCounts);
  }

  #exists(): boolean {
    this.#made ||=
      this.#sql.run("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'outcome_total'").length > 0;
    return this.#made;
  }

  /** Not a migration of the index: that one is thrown away and built anew as a whole. */
  #make(): void {
    if (this.#exists()) return;
    this.#sql.run("CREATE TABLE outcome_seen (session_id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID");
    this.#sql.run(
      `CREATE TABLE outcome_minute (
         minute INTEGER NOT NULL, name TEXT NOT NULL, amount INTEGER NOT NULL, PRIMARY KEY (minute, name)
       ) STRICT, WITHOUT ROWID`,
    );
    this.#sql.run("CREATE TABLE outcome_total (name TEXT PRIMARY KEY, amount INTEGER NOT NULL) STRICT, WITHOUT ROWID");
  }
}
