/** The tables of one tenant. */
import { amountsInOneRow } from "../storage/amounts.ts";
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
      // The newest report without its receipts: from here the index is built anew.
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
  {
    version: 6,
    name: "the head of each webhook queue",
    statements: [
      // A queue is what waits for one webhook of one session. Its head is the only one that may be sent, and the only one
      // whose date matters: what waits behind it is never read to find out when to look again.
      `ALTER TABLE delivery ADD COLUMN head INTEGER NOT NULL DEFAULT 0`,
      `UPDATE delivery SET head = 1 WHERE position IN (
         SELECT min(position) FROM delivery WHERE state = 'pending' GROUP BY webhook_id, session_id)`,
      `CREATE INDEX delivery_head ON delivery (webhook_id, next_at) WHERE head = 1`,
      // How many wait for each webhook, kept: counting them would read them all.
      `CREATE TABLE webhook_load (webhook_id TEXT PRIMARY KEY, pending INTEGER NOT NULL) STRICT, WITHOUT ROWID`,
      `INSERT INTO webhook_load (webhook_id, pending)
         SELECT webhook_id, count(*) FROM delivery WHERE state = 'pending' GROUP BY webhook_id`,
    ],
  },
  {
    version: 7,
    name: "the host of each reservation",
    statements: [
      // Which host answered its launch. An audit believes no other one: a host that never had the sandbox finds nothing.
      `ALTER TABLE reservation ADD COLUMN host TEXT`,
      `UPDATE reservation SET host = (
         SELECT json_extract(lease.value, '$.host') FROM session, json_each(session.report, '$.leases') AS lease
         WHERE session.session_id = reservation.session_id
           AND json_extract(lease.value, '$.generation') = reservation.generation)
       WHERE state NOT IN ('proven', 'cancelled')`,
    ],
  },
  {
    version: 8,
    name: "snapshots that an operator forgot",
    statements: [
      `CREATE TABLE forgotten_snapshot (
         session_id TEXT NOT NULL, snapshot_id TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (session_id, snapshot_id)
       ) STRICT, WITHOUT ROWID`,
    ],
  },
  {
    version: 9,
    name: "caps on paused sessions and on what they have saved",
    statements: [
      `ALTER TABLE session ADD COLUMN saved_bytes INTEGER NOT NULL DEFAULT 0`,
      `ALTER TABLE session ADD COLUMN pause_admitted_at INTEGER`,
      // Every pause counts these: it must not read the sessions that are neither.
      `CREATE INDEX session_paused ON session (session_id) WHERE status = 'paused'`,
      `CREATE INDEX session_saved ON session (saved_bytes) WHERE saved_bytes > 0`,
      `CREATE INDEX session_pause_admitted ON session (pause_admitted_at) WHERE pause_admitted_at IS NOT NULL`,
    ],
  },
  {
    version: 10,
    name: "the chain of signed receipts",
    statements: [
      // body: the statement's facts until it is signed, then the whole receipt. Sequences are never given twice (`kept`).
      `CREATE TABLE statement (
         sequence INTEGER PRIMARY KEY,
         session_id TEXT NOT NULL,
         generation INTEGER NOT NULL,
         body TEXT NOT NULL,
         signed INTEGER NOT NULL,
         stored_at INTEGER NOT NULL,
         UNIQUE (session_id, generation)
       ) STRICT`,
      `CREATE INDEX statement_unsigned ON statement (sequence) WHERE signed = 0`,
      `CREATE INDEX statement_stored ON statement (stored_at) WHERE signed = 1`,
    ],
  },
  {
    version: 11,
    name: "snapshots of the tenant",
    statements: [
      `CREATE TABLE snapshot (
         snapshot_id TEXT PRIMARY KEY,
         session_id TEXT NOT NULL,
         name TEXT,
         phase TEXT NOT NULL CHECK (phase IN ('taking', 'kept', 'deleting', 'gone')),
         bytes INTEGER NOT NULL,
         created_at INTEGER NOT NULL,
         look_at INTEGER,
         body TEXT NOT NULL
       ) STRICT, WITHOUT ROWID`,
      `CREATE INDEX snapshot_name ON snapshot (name) WHERE name IS NOT NULL`,
      `CREATE INDEX snapshot_look ON snapshot (look_at) WHERE look_at IS NOT NULL`,
      `CREATE INDEX snapshot_listed ON snapshot (created_at, snapshot_id) WHERE phase <> 'gone'`,
    ],
  },
  {
    version: 12,
    name: "when each API key was used",
    statements: [
      `CREATE TABLE key_use (
         key_id TEXT PRIMARY KEY, first_used_at INTEGER NOT NULL, last_used_at INTEGER NOT NULL
       ) STRICT, WITHOUT ROWID`,
    ],
  },
  {
    version: 13,
    name: "what the tenant spends",
    statements: [
      // One row for each sandbox with a price. until NULL: it costs something now. told_at: its session knows that the budget is used up.
      `CREATE TABLE spend (
         session_id TEXT NOT NULL, generation INTEGER NOT NULL, since INTEGER NOT NULL, until INTEGER,
         nanos_per_second INTEGER NOT NULL, told_at INTEGER, PRIMARY KEY (session_id, generation)
       ) STRICT, WITHOUT ROWID`,
      `CREATE INDEX spend_running ON spend (session_id) WHERE until IS NULL`,
      `CREATE INDEX spend_until ON spend (until) WHERE until IS NOT NULL`,
    ],
  },
  {
    version: 14,
    name: "when a session that did not answer is told again",
    statements: ["ALTER TABLE spend ADD COLUMN tell_at INTEGER"],
  },
  {
    version: 15,
    name: "the sum of what ended in this month",
    statements: ["CREATE TABLE spend_month (begin INTEGER PRIMARY KEY, nanos INTEGER NOT NULL) STRICT"],
  },
  {
    version: 16,
    name: "tallies and sums in one row each, and what a session used in its own",
    statements: [
      ...amountsInOneRow("tallies", { table: "tally", name: "name", amount: "amount" }),
      `ALTER TABLE session ADD COLUMN usage TEXT NOT NULL DEFAULT '{}'`,
      `UPDATE session SET usage = (
         SELECT json_group_object(status || '/' || provider, ms) FROM usage WHERE usage.session_id = session.session_id)`,
      `DROP TABLE usage`,
      ...amountsInOneRow("usage_sums", { table: "usage_total", name: "status || '/' || provider", amount: "ms" }),
      ...amountsInOneRow("usage_forgotten", { table: "usage_pruned", name: "status || '/' || provider", amount: "ms" }),
    ],
  },
  {
    version: 17,
    name: "fewer indexes of reservations and statements",
    statements: [
      // Only those without a lease are looked for by time; how many are in each state is in the tallies.
      "DROP INDEX reservation_state",
      "CREATE INDEX reservation_reserved ON reservation (look_at) WHERE state = 'reserved'",
      // Both are found by the sequence: what is not signed stands behind the head, and the oldest stand first.
      "DROP INDEX statement_unsigned",
      "DROP INDEX statement_stored",
      // The last sequence given is that of the newest statement, or the head's.
      "DELETE FROM kept WHERE name = 'statements'",
    ],
  },
  {
    version: 18,
    name: "sums of what was used in the row of the tallies",
    statements: [
      `UPDATE tallies SET body = (SELECT json_group_object(name, amount) FROM (
         SELECT key AS name, value AS amount FROM json_each(tallies.body)
         UNION ALL SELECT 'used:' || key, value FROM usage_sums, json_each(usage_sums.body)
         UNION ALL SELECT 'used_forgotten:' || key, value FROM usage_forgotten, json_each(usage_forgotten.body)))`,
      "DROP TABLE usage_sums",
      "DROP TABLE usage_forgotten",
      // Stands with the tallies too. The index is told once more what it knows.
      "DELETE FROM kept WHERE name = 'counts_confirmed'",
    ],
  },
  {
    version: 19,
    name: "receipts found by the chain when they are old",
    statements: [
      // 1: the chain holds its statement, and both are forgotten together. 0: stored before this column, or never entered into the chain.
      "ALTER TABLE receipt ADD COLUMN chained INTEGER NOT NULL DEFAULT 0",
      // Receipts in the chain need no index of their age: it was one row more for each.
      "DROP INDEX receipt_stored",
      "CREATE INDEX receipt_unchained ON receipt (stored_at) WHERE chained = 0",
    ],
  },
];
