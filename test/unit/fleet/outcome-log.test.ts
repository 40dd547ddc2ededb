/** How sessions fared, as one shard keeps it: in one row, whatever was counted. */
import { describe, expect, it } from "vitest";
import type { SessionId } from "../../../src/domain/state/ids.ts";
import { noOutcomes, OutcomeLog, outcomesKeptMs } from "../../../src/fleet/control/outcome-log.ts";
import type { OutcomeCounts } from "../../../src/session/reports/reports.ts";
import type { Sql } from "../../../src/storage/sql.ts";
import { nodeSql } from "../../support/node-sql.ts";

const minute = 60_000;
const one = "aaaaaaaaaaaaaaaaaaaa" as SessionId;

function kept(sql: Sql = nodeSql()) {
  const world = { now: 1_000 * minute };
  const log = new OutcomeLog(sql, { now: () => world.now });
  const told = (counts: Partial<OutcomeCounts>, sessionId = one) =>
    log.note({ sessionId, outcomes: { ...noOutcomes, since: 1, ...counts }, erased: false });
  return { world, log, sql, told };
}

describe("the outcomes of a shard's sessions", () => {
  it("count what grew since a session's last report, by the minute and in all", () => {
    const { world, log, told } = kept();
    told({ launches: 1 });
    told({ launches: 1 });
    world.now += 5 * minute;
    told({ launches: 1, launched: 1, jobsEnded: 3 });
    expect(log.totals(null)).toEqual({ ...noOutcomes, launches: 1, launched: 1, jobsEnded: 3 });
    expect(log.totals(2 * minute)).toEqual({ ...noOutcomes, launched: 1, jobsEnded: 3 });
    expect(log.totals(10 * minute)).toEqual(log.totals(null));
  });

  it("are one row, and minutes that nobody asks for any more are dropped", () => {
    const { world, sql, told } = kept();
    for (let ended = 1; ended <= 100; ended += 1) {
      told({ launches: ended, jobsEnded: ended });
      world.now += minute;
    }
    const rows = sql.run("SELECT body FROM outcomes");
    expect(rows).toHaveLength(1);
    const { minutes } = JSON.parse(String(rows[0]?.["body"])) as { minutes: object };
    expect(Object.keys(minutes).length).toBeLessThanOrEqual(outcomesKeptMs / minute + 1);
  });

  it("that older code kept in a row for each name go on", () => {
    const sql = nodeSql();
    sql.run("CREATE TABLE outcome_seen (session_id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID");
    sql.run(
      "CREATE TABLE outcome_minute (minute INTEGER NOT NULL, name TEXT NOT NULL, amount INTEGER NOT NULL, PRIMARY KEY (minute, name)) STRICT, WITHOUT ROWID",
    );
    sql.run("CREATE TABLE outcome_total (name TEXT PRIMARY KEY, amount INTEGER NOT NULL) STRICT, WITHOUT ROWID");
    sql.run("INSERT INTO outcome_total VALUES ('launches', 7), ('jobsEnded', 2)");
    sql.run("INSERT INTO outcome_minute VALUES (999, 'launches', 1), (990, 'jobsEnded', 2)");
    sql.run("INSERT INTO outcome_seen VALUES (?, ?)", one, JSON.stringify({ ...noOutcomes, since: 1, launches: 3 }));
    const { log, told } = kept(sql);
    told({ launches: 4 });
    expect(log.totals(null)).toEqual({ ...noOutcomes, launches: 8, jobsEnded: 2 });
    expect(log.totals(2 * minute)).toEqual({ ...noOutcomes, launches: 2 });
    expect(sql.run("SELECT name FROM sqlite_master WHERE name LIKE 'outcome\\_%' ESCAPE '\\'")).toHaveLength(1);
  });
});
