/** The tables of one tenant. */
import type { Migration } from "../storage/migrate.ts";

export const tenantMigrations: readonly Migration[] = [
  {
    version: 1,
    name: "registry",
    statements: [
      // (created_at, version) orders the reports of one id: a session made anew after an erasure counts from 1 again.
      `CREATE TABLE session (
         session_id TEXT PRIMARY KEY,
         created_at INTEGER NOT NULL,
         version INTEGER NOT NULL,
         status TEXT,
         highest_generation INTEGER NOT NULL,
         reported_at INTEGER,
         erased_at INTEGER,
         vanished_at INTEGER
       ) STRICT, WITHOUT ROWID`,
      `CREATE INDEX session_erased ON session (erased_at) WHERE erased_at IS NOT NULL`,
      // listed: the newest report of the session names this generation.
      `CREATE TABLE reservation (
         session_id TEXT NOT NULL,
         generation INTEGER NOT NULL,
         sandbox_id TEXT NOT NULL,
         state TEXT NOT NULL
           CHECK (state IN ('reserved', 'launching', 'held', 'stopping', 'asserted', 'proven', 'cancelled')),
         ghost INTEGER NOT NULL,
         listed INTEGER NOT NULL,
         reserved_at INTEGER NOT NULL,
         changed_at INTEGER NOT NULL,
         look_at INTEGER NOT NULL,
         PRIMARY KEY (session_id, generation)
       ) STRICT, WITHOUT ROWID`,
      `CREATE INDEX reservation_state ON reservation (state, look_at)`,
      `CREATE TABLE receipt (
         session_id TEXT NOT NULL,
         generation INTEGER NOT NULL,
         body TEXT NOT NULL,
         stored_at INTEGER NOT NULL,
         PRIMARY KEY (session_id, generation)
       ) STRICT, WITHOUT ROWID`,
      `CREATE INDEX receipt_stored ON receipt (stored_at)`,
      // Kept beside the rows and compared with them: two ways of counting that a bug is unlikely to break alike.
      `CREATE TABLE tally (name TEXT PRIMARY KEY, amount INTEGER NOT NULL) STRICT, WITHOUT ROWID`,
    ],
  },
  {
    version: 2,
    name: "fleet",
    statements: [
      // The newest report without its receipts: from here the index is built anew (FLT-18).
      `ALTER TABLE session ADD COLUMN report TEXT`,
      `CREATE TABLE kept (name TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID`,
      `CREATE TABLE revocation (key_id TEXT PRIMARY KEY, revoked_at INTEGER NOT NULL) STRICT, WITHOUT ROWID`,
      `CREATE TABLE usage (
         session_id TEXT NOT NULL,
         status TEXT NOT NULL,
         provider TEXT NOT NULL,
         ms INTEGER NOT NULL,
         PRIMARY KEY (session_id, status, provider)
       ) STRICT, WITHOUT ROWID`,
      `CREATE TABLE usage_total (
         status TEXT NOT NULL, provider TEXT NOT NULL, ms INTEGER NOT NULL, PRIMARY KEY (status, provider)
       ) STRICT, WITHOUT ROWID`,
      `CREATE TABLE usage_pruned (
         status TEXT NOT NULL, provider TEXT NOT NULL, ms INTEGER NOT NULL, PRIMARY KEY (status, provider)
       ) STRICT, WITHOUT ROWID`,
    ],
  },
  {
    version: 3,
    name: "webhooks",
    statements: [
      `CREATE TABLE webhook (
         webhook_id TEXT PRIMARY KEY,
         url TEXT NOT NULL,
         events TEXT NOT NULL,
         description TEXT NOT NULL,
         secret TEXT NOT NULL,
         previous_secret TEXT,
         previous_until INTEGER,
         disabled_at INTEGER,
         disabled_why TEXT,
         created_at INTEGER NOT NULL,
         updated_at INTEGER NOT NULL,
         failures INTEGER NOT NULL,
         failing_since INTEGER,
         not_before INTEGER NOT NULL
       ) STRICT, WITHOUT ROWID`,
      // Which sessions have events that were not read yet: `wanted` is the newest version reported, `done` the one read for.
      `CREATE TABLE webhook_session (
         session_id TEXT PRIMARY KEY,
         created_at INTEGER NOT NULL,
         cursor INTEGER NOT NULL,
         wanted INTEGER NOT NULL,
         done INTEGER NOT NULL,
         retry_at INTEGER NOT NULL
       ) STRICT, WITHOUT ROWID`,
      `CREATE INDEX webhook_session_due ON webhook_session (retry_at) WHERE wanted > done`,
      `CREATE TABLE delivery (
         position INTEGER PRIMARY KEY,
         delivery_id TEXT NOT NULL UNIQUE,
         webhook_id TEXT NOT NULL,
         session_id TEXT NOT NULL,
         event_id TEXT NOT NULL,
         type TEXT NOT NULL,
         body TEXT NOT NULL,
         created_at INTEGER NOT NULL,
         state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
         attempts INTEGER NOT NULL,
         next_at INTEGER NOT NULL,
         ended_at INTEGER,
         log TEXT NOT NULL,
         logged INTEGER NOT NULL,
         UNIQUE (webhook_id, event_id)
       ) STRICT`,
      `CREATE INDEX delivery_pending ON delivery (webhook_id, session_id, position) WHERE state = 'pending'`,
      `CREATE INDEX delivery_ended ON delivery (ended_at) WHERE ended_at IS NOT NULL`,
    ],
  },
  {
    version: 4,
    name: "shared containers",
    statements: [
      // A reservation that was not released is a member of its container: there is no second list (docs/decisions/0013).
      `ALTER TABLE reservation ADD COLUMN container TEXT`,
      `CREATE INDEX reservation_container ON reservation (container, state) WHERE container IS NOT NULL`,
      `CREATE TABLE container (
         id TEXT PRIMARY KEY,
         phase TEXT NOT NULL CHECK (phase IN ('open', 'stopping', 'gone')),
         look_at INTEGER,
         changed_at INTEGER NOT NULL,
         body TEXT NOT NULL
       ) STRICT, WITHOUT ROWID`,
      `CREATE INDEX container_look ON container (look_at) WHERE look_at IS NOT NULL`,
    ],
  },
  {
    version: 5,
    name: "few open containers among many receipts",
    statements: [
      // Every report looks at the open ones: it must not read a month of those that are gone.
      `CREATE INDEX container_open ON container (id) WHERE phase = 'open'`,
      `CREATE INDEX container_ending ON container (id) WHERE phase = 'stopping'`,
    ],
  },
];
