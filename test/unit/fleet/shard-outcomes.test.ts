/** How sessions fared, as one shard keeps it: in rows that a report writes anyway, whatever was counted. */
import { describe, expect, it } from "vitest";
import { noOutcomes, outcomesKeptMs } from "../../../src/fleet/shard/outcomes.ts";
import { ShardIndex } from "../../../src/fleet/shard/shard-index.ts";
import { shardMigrations } from "../../../src/fleet/shard/shard-schema.ts";
import type { OutcomeCounts } from "../../../src/session/reports/reports.ts";
import { migrate } from "../../../src/storage/migrate.ts";
import type { Sql } from "../../../src/storage/sql.ts";
import { nodeSql } from "../../support/node-sql.ts";
import { report, sessionId } from "../../support/reports.ts";

const minute = 60_000;
const one = sessionId("one");

function kept(sql: Sql = nodeSql()) {
  const world = { now: 1_000 * minute, version: 10 };
  const index = new ShardIndex(sql, { now: () => world.now });
  const told = (counts: Partial<OutcomeCounts>, version = (world.version += 1)) =>
    index.report(report(one, version, { outcomes: { ...noOutcomes, since: 1, ...counts } }));
  return { world, index, sql, told };
}

describe("the outcomes of a shard's sessions", () => {
  it("count what grew since a session's last report, by the minute and in all", () => {
    const { world, index, told } = kept();
    told({ launches: 1 });
    told({ launches: 1 });
    world.now += 5 * minute;
    told({ launches: 1, launched: 1, jobsEnded: 3 });
    expect(index.outcomes(null)).toEqual({ ...noOutcomes, launches: 1, launched: 1, jobsEnded: 3 });
    expect(index.outcomes(2 * minute)).toEqual({ ...noOutcomes, launched: 1, jobsEnded: 3 });
    expect(index.outcomes(10 * minute)).toEqual(index.outcomes(null));
  });

  it("of a report that was overtaken or comes twice add nothing; a new incarnation's count from the start", () => {
    const { index, told } = kept();
    told({ jobsEnded: 2 }, 12);
    told({ jobsEnded: 1 }, 11);
    told({ jobsEnded: 2 }, 12);
    expect(index.outcomes(null).jobsEnded).toBe(2);
    told({ since: 2, jobsEnded: 1 }, 13);
    told({ jobsEnded: 9 }, 14);
    expect(index.outcomes(null).jobsEnded).toBe(3);
  });

  it("are not counted twice when the index is built anew from what a registry holds", () => {
    const { index, told } = kept();
    told({ launches: 1, jobsEnded: 2 }, 12);
    const held = report(one, 11, { outcomes: { ...noOutcomes, since: 1, launches: 1 } });
    index.beginBuild(1, () => true, true);
    index.restore(held.tenant, [held], null, null);
    index.finishBuild();
    told({ launches: 1, jobsEnded: 3 }, 13);
    expect(index.outcomes(null)).toEqual({ ...noOutcomes, launches: 1, jobsEnded: 3 });
  });

  it("are one row, and minutes that nobody asks for any more are dropped", () => {
    const { world, sql, told } = kept();
    for (let ended = 1; ended <= 100; ended += 1) {
      told({ launches: ended, jobsEnded: ended });
      world.now += minute;
    }
    const rows = sql.run("SELECT outcomes FROM counters");
    expect(rows).toHaveLength(1);
    const { minutes } = JSON.parse(String(rows[0]?.["outcomes"])) as { minutes: object };
    expect(Object.keys(minutes).length).toBeLessThanOrEqual(outcomesKeptMs / minute + 1);
  });

  it.each(["a row for each name", "one row"])("that older code kept in %s go on", (shape) => {
    const sql = nodeSql();
    migrate(sql, shardMigrations.slice(0, 5));
    sql.run("CREATE TABLE outcome_seen (session_id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID");
    if (shape === "one row") {
      sql.run("CREATE TABLE outcomes (only INTEGER PRIMARY KEY CHECK (only = 1), body TEXT NOT NULL) STRICT");
      const minutes = { 999: { launches: 1 }, 990: { jobsEnded: 2 } };
      const body = JSON.stringify({ totals: { launches: 7, jobsEnded: 2 }, minutes });
      sql.run("INSERT INTO outcomes (only, body) VALUES (1, ?)", body);
    } else {
      sql.run(
        "CREATE TABLE outcome_minute (minute INTEGER NOT NULL, name TEXT NOT NULL, amount INTEGER NOT NULL, PRIMARY KEY (minute, name)) STRICT, WITHOUT ROWID",
      );
      sql.run("CREATE TABLE outcome_total (name TEXT PRIMARY KEY, amount INTEGER NOT NULL) STRICT, WITHOUT ROWID");
      sql.run("INSERT INTO outcome_total VALUES ('launches', 7), ('jobsEnded', 2)");
      sql.run("INSERT INTO outcome_minute VALUES (999, 'launches', 1), (990, 'jobsEnded', 2)");
    }
    const columns = "session_id, tenant, created_at, version, as_of, status, end_at, last_activity_at, active_jobs";
    sql.run(
      `INSERT INTO session (${columns}, phase, open, ghosts, stop_attempts, provider, isolation, labels, critical, reported_at)
       VALUES (?, 'acme', ?, 1, 1, 'running', 1, 1, 0, 'held', 1, 0, 0, 'memory', 'session', '{}', 0, 1)`,
      ...[one, report(one, 1).createdAt],
    );
    sql.run("INSERT INTO outcome_seen VALUES (?, ?)", one, JSON.stringify({ ...noOutcomes, since: 1, launches: 3 }));
    const { index, told } = kept(sql);
    told({ launches: 4 });
    expect(index.outcomes(null)).toEqual({ ...noOutcomes, launches: 8, jobsEnded: 2 });
    expect(index.outcomes(2 * minute)).toEqual({ ...noOutcomes, launches: 2 });
    expect(sql.run("SELECT name FROM sqlite_master WHERE name LIKE 'outcome%'")).toEqual([]);
  });
});
