/** The tables of one shard of the index. Derived: every row can be rebuilt from the tenants' registries. */
import { amountsInOneRow } from "../../storage/amounts.ts";
import type { Migration } from "../../storage/migrate.ts";

export const shardMigrations: readonly Migration[] = [
  {
    version: 1,
    name: "index",
    statements: [
      // erased_at: a tombstone, so that a report overtaken by the last one does not bring the session back.
      // as_of: when the session made the report; reported_at: when it was heard here.
      `CREATE TABLE session (
         session_id TEXT PRIMARY KEY,
         tenant TEXT NOT NULL,
         created_at INTEGER NOT NULL,
         version INTEGER NOT NULL,
         as_of INTEGER NOT NULL,
         status TEXT NOT NULL,
         terminate_reason TEXT,
         blocked TEXT,
         end_at INTEGER NOT NULL,
         expires_at INTEGER,
         next_deadline INTEGER,
         started_at INTEGER,
         last_activity_at INTEGER NOT NULL,
         active_jobs INTEGER NOT NULL,
         stuck_since INTEGER,
         generation INTEGER,
         phase TEXT NOT NULL,
         open INTEGER NOT NULL,
         sandbox_id TEXT,
         ghosts INTEGER NOT NULL,
         stop_attempts INTEGER NOT NULL,
         last_error TEXT,
         provider TEXT NOT NULL,
         isolation TEXT NOT NULL,
         labels TEXT NOT NULL,
         agent_type TEXT,
         task_id TEXT,
         critical INTEGER NOT NULL,
         reported_at INTEGER NOT NULL,
         erased_at INTEGER
       ) STRICT, WITHOUT ROWID`,
      `CREATE INDEX session_list ON session (tenant, created_at DESC, session_id) WHERE erased_at IS NULL`,
      `CREATE INDEX session_due ON session (next_deadline, session_id)
         WHERE erased_at IS NULL AND next_deadline IS NOT NULL`,
      `CREATE INDEX session_erased ON session (erased_at) WHERE erased_at IS NOT NULL`,
      `CREATE INDEX session_all ON session (created_at DESC, session_id) WHERE erased_at IS NULL`,
      `CREATE INDEX session_status ON session (status, created_at DESC, session_id) WHERE erased_at IS NULL`,
      `CREATE INDEX session_stuck ON session (stuck_since) WHERE erased_at IS NULL AND stuck_since IS NOT NULL`,
      `CREATE INDEX session_idle ON session (last_activity_at, session_id) WHERE erased_at IS NULL AND open = 1`,
      `CREATE TABLE label (
         tenant TEXT NOT NULL,
         name TEXT NOT NULL,
         value TEXT NOT NULL,
         session_id TEXT NOT NULL,
         PRIMARY KEY (tenant, name, value, session_id)
       ) STRICT, WITHOUT ROWID`,
      `CREATE INDEX label_of ON label (session_id)`,
      // Kept as rows change, so that stats read a few rows and never count sessions.
      `CREATE TABLE counter (name TEXT PRIMARY KEY, amount INTEGER NOT NULL) STRICT, WITHOUT ROWID`,
      // The tenants' own tallies, each one whole picture: their sum is the fleet's.
      `CREATE TABLE tenant_counts (
         tenant TEXT PRIMARY KEY,
         version INTEGER NOT NULL,
         told_at INTEGER NOT NULL,
         body TEXT NOT NULL
       ) STRICT, WITHOUT ROWID`,
      `CREATE TABLE build (
         only INTEGER PRIMARY KEY CHECK (only = 1),
         shards INTEGER NOT NULL,
         since INTEGER NOT NULL,
         built_at INTEGER,
         tenant TEXT NOT NULL,
         session TEXT NOT NULL
       ) STRICT`,
    ],
  },
  {
    version: 2,
    name: "overdue teardowns",
    statements: [
      "ALTER TABLE session ADD COLUMN teardown_overdue_from INTEGER",
      `CREATE INDEX session_teardown ON session (teardown_overdue_from)
         WHERE erased_at IS NULL AND teardown_overdue_from IS NOT NULL`,
    ],
  },
  {
    version: 3,
    name: "overdue containers",
    statements: [
      "ALTER TABLE tenant_counts ADD COLUMN containers_overdue_from INTEGER",
      `CREATE INDEX tenant_containers ON tenant_counts (containers_overdue_from)
         WHERE containers_overdue_from IS NOT NULL`,
    ],
  },
  {
    version: 4,
    name: "the counters in one row",
    statements: amountsInOneRow("counters", { table: "counter", name: "name", amount: "amount" }),
  },
  {
    version: 5,
    name: "fewer indexes, and no kept sums of sandboxes",
    statements: [
      // Each cost a row with nearly every report. Labels are found by the session's row, and the longest idle are sought among
      // the sessions that are not over.
      `DROP INDEX label_of`,
      `DROP INDEX session_idle`,
      `DROP INDEX session_status`,
      // A session that is over has left it, at no cost: most of an old index is over, and is found soon without one.
      `CREATE INDEX session_current ON session (status, created_at DESC, session_id)
         WHERE erased_at IS NULL AND status NOT IN ('terminated', 'failed')`,
      `UPDATE counters SET body = (
         SELECT json_group_object(key, value) FROM json_each(counters.body) WHERE key <> 'tenants' AND key NOT LIKE 'sandbox:%')`,
    ],
  },
  {
    version: 6,
    name: "outcomes in the rows that a report writes anyway",
    statements: [
      // Made by the first report that had any, in one of two shapes, so each may be missing.
      `CREATE TABLE IF NOT EXISTS outcome_total (name TEXT PRIMARY KEY, amount INTEGER NOT NULL) STRICT, WITHOUT ROWID`,
      `CREATE TABLE IF NOT EXISTS outcome_minute (
         minute INTEGER NOT NULL, name TEXT NOT NULL, amount INTEGER NOT NULL, PRIMARY KEY (minute, name)
       ) STRICT, WITHOUT ROWID`,
      `CREATE TABLE IF NOT EXISTS outcomes (only INTEGER PRIMARY KEY CHECK (only = 1), body TEXT NOT NULL) STRICT`,
      `CREATE TABLE IF NOT EXISTS outcome_seen (session_id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID`,
      `INSERT INTO outcomes (only, body)
         SELECT 1, json_object(
           'totals', (SELECT json_group_object(name, amount) FROM outcome_total),
           'minutes', (SELECT json_group_object(minute, json(amounts)) FROM (
             SELECT minute, json_group_object(name, amount) AS amounts FROM outcome_minute GROUP BY minute)))
         WHERE EXISTS (SELECT 1 FROM outcome_total) AND NOT EXISTS (SELECT 1 FROM outcomes)`,
      `ALTER TABLE counters ADD COLUMN outcomes TEXT`,
      `INSERT OR IGNORE INTO counters (only, body) VALUES (1, '{}')`,
      `UPDATE counters SET outcomes = (SELECT body FROM outcomes)`,
      // The counts of a session's last report: of the next report only what grew since then is added to the sums.
      `ALTER TABLE session ADD COLUMN outcomes TEXT`,
      `UPDATE session SET outcomes = (SELECT body FROM outcome_seen WHERE outcome_seen.session_id = session.session_id)`,
      ...["outcome_total", "outcome_minute", "outcomes", "outcome_seen"].map((table) => `DROP TABLE ${table}`),
    ],
  },
  {
    version: 7,
    name: "templates",
    // No index: like provider and agent type it narrows a walk over the tenant's sessions, and each index costs a row with every report.
    statements: ["ALTER TABLE session ADD COLUMN template TEXT"],
  },
];
