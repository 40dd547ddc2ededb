/** The tables of one shard of the index. Derived: every row can be rebuilt from the sessions' reports. */
import type { Migration } from "../storage/migrate.ts";

export const shardMigrations: readonly Migration[] = [
  {
    version: 1,
    name: "index",
    statements: [
      // erased_at: a tombstone, so that a report overtaken by the last one does not bring the session back.
      `CREATE TABLE session (
         session_id TEXT PRIMARY KEY,
         tenant TEXT NOT NULL,
         created_at INTEGER NOT NULL,
         version INTEGER NOT NULL,
         status TEXT NOT NULL,
         end_at INTEGER NOT NULL,
         expires_at INTEGER,
         next_deadline INTEGER,
         generation INTEGER,
         provider TEXT NOT NULL,
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
      `CREATE TABLE label (
         tenant TEXT NOT NULL,
         name TEXT NOT NULL,
         value TEXT NOT NULL,
         session_id TEXT NOT NULL,
         PRIMARY KEY (tenant, name, value, session_id)
       ) STRICT, WITHOUT ROWID`,
      `CREATE INDEX label_of ON label (session_id)`,
    ],
  },
];
