/** The tables of one session's object. A shipped migration is never edited: changes are appended. */
import type { ProviderName } from "../../domain/state/provider-names.ts";
import type { Migration } from "../../storage/migrate.ts";

/** Raised when a record written by this code could be misread by an older one: that one then leaves the rows alone. */
export const recordVersion = 7;

/**
 * 7: a budget, or money that was spent. Older code would drop both at its next write, and the session would spend on without a bound.
 * 6: a snapshot of the tenant that is being taken, or that a session starts from. Older code would take the row for broken, or delete it.
 * 5: a template or rules for the network. Older code would drop them at its next write, and start a sandbox that reaches everything.
 * 4: a sandbox that is being replaced by an upgrade. Older code does not know that purpose and would take the row for broken.
 * 3: a place in a shared container on Cloudflare. Older code would look for it in an object of its own and find nothing there.
 * Everything else stays readable for it, so that a rollback leaves no other session alone.
 */
export function recordVersionOf(
  provider: ProviderName,
  isShared: boolean,
  {
    isUpgrading = false,
    hasTerms = false,
    sharesSnapshots = false,
    hasBudget = false,
  }: {
    readonly isUpgrading?: boolean;
    readonly hasTerms?: boolean;
    readonly sharesSnapshots?: boolean;
    readonly hasBudget?: boolean;
  } = {},
): number {
  if (hasBudget) return recordVersion;
  if (sharesSnapshots) return 6;
  if (hasTerms) return 5;
  if (isUpgrading) return 4;
  return isShared && provider === "cloudflare" ? 3 : 2;
}

export const sessionMigrations: readonly Migration[] = [
  {
    version: 1,
    name: "session, lease, job, event",
    statements: [
      // Identity stands in plain columns, so that a teardown can go on when `record` cannot be read.
      `CREATE TABLE session (
        id TEXT PRIMARY KEY,
        tenant TEXT NOT NULL,
        provider TEXT NOT NULL,
        isolation TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        next_generation INTEGER NOT NULL,
        host TEXT,
        sandbox_id TEXT,
        instance_id TEXT,
        delete_requested_at INTEGER,
        version INTEGER NOT NULL,
        record_version INTEGER NOT NULL,
        record TEXT NOT NULL,
        reported_version INTEGER NOT NULL,
        reported_at INTEGER NOT NULL,
        request_hash TEXT,
        env TEXT NOT NULL
      ) STRICT`,
      `CREATE TABLE lease (
        generation INTEGER PRIMARY KEY,
        instance_id TEXT NOT NULL,
        sandbox_id TEXT NOT NULL,
        provider TEXT NOT NULL,
        host TEXT,
        secret TEXT NOT NULL,
        opened_at INTEGER NOT NULL,
        standing TEXT NOT NULL,
        phase TEXT NOT NULL,
        record_version INTEGER NOT NULL,
        record TEXT NOT NULL
      ) STRICT`,
      // What every turn of the engine reads stands before what may be large: SQLite then never touches the overflow pages.
      `CREATE TABLE job (
        position INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        state TEXT NOT NULL,
        generation INTEGER,
        ending TEXT,
        created_at INTEGER NOT NULL,
        timeout_ms INTEGER NOT NULL,
        started_at INTEGER,
        ended_at INTEGER,
        exit_code INTEGER,
        signal TEXT,
        output_bytes INTEGER NOT NULL,
        output_truncated INTEGER NOT NULL,
        body TEXT NOT NULL,
        tail BLOB
      ) STRICT`,
      `CREATE TABLE event (
        sequence INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        type TEXT NOT NULL,
        actor TEXT NOT NULL,
        cause TEXT NOT NULL,
        from_status TEXT NOT NULL,
        to_status TEXT NOT NULL,
        generation INTEGER,
        facts TEXT NOT NULL
      ) STRICT`,
    ],
  },
  {
    version: 2,
    name: "where a job's tail begins",
    statements: ["ALTER TABLE job ADD COLUMN tail_from INTEGER NOT NULL DEFAULT 0"],
  },
  {
    version: 3,
    name: "time in each status",
    statements: [
      `CREATE TABLE usage (
        status TEXT NOT NULL, provider TEXT NOT NULL, ms INTEGER NOT NULL, PRIMARY KEY (status, provider)
      ) STRICT, WITHOUT ROWID`,
      `CREATE TABLE usage_now (
        only INTEGER PRIMARY KEY CHECK (only = 1), status TEXT NOT NULL, provider TEXT NOT NULL, since INTEGER NOT NULL
      ) STRICT`,
    ],
  },
  {
    version: 4,
    name: "secrets of a job in a column of their own",
    statements: [
      "ALTER TABLE job ADD COLUMN secrets TEXT",
      // Still in plain: the next alarm seals them (secrets.ts).
      `UPDATE job SET secrets = json_patch('{}', json_object('env', json_extract(body, '$.env'), 'stdin', json_extract(body, '$.stdin')))
         WHERE json_type(body, '$.env') IS NOT NULL OR json_type(body, '$.stdin') IS NOT NULL`,
      "UPDATE job SET body = json_remove(body, '$.env', '$.stdin') WHERE secrets IS NOT NULL",
    ],
  },
  {
    version: 5,
    name: "the shared container of a lease",
    statements: ["ALTER TABLE lease ADD COLUMN container TEXT"],
  },
  {
    version: 6,
    name: "why a job could not be started, what it left running, and what of its output was dropped",
    statements: [
      "ALTER TABLE job ADD COLUMN failure TEXT",
      "ALTER TABLE job ADD COLUMN left_running TEXT",
      "ALTER TABLE job ADD COLUMN output_gap TEXT",
    ],
  },
  {
    version: 7,
    name: "time in each status in the session's row",
    statements: [
      "ALTER TABLE session ADD COLUMN usage TEXT",
      `UPDATE session SET usage = json_object(
         'now', json((SELECT json_object('status', status, 'provider', provider, 'since', since) FROM usage_now)),
         'past', json((SELECT json_group_array(json_object('status', status, 'provider', provider, 'ms', ms)) FROM usage)))`,
      "DROP TABLE usage",
      "DROP TABLE usage_now",
    ],
  },
  {
    version: 8,
    name: "what is saved of a session, beside its record",
    // Null until the next write of the row: what such a session saved is not known without its record.
    statements: ["ALTER TABLE session ADD COLUMN saved TEXT"],
  },
  {
    version: 9,
    name: "the newest events in the session's row, and its activity in the rows of its jobs",
    statements: [
      // Null until the next event: those before it stay in their own table.
      "ALTER TABLE session ADD COLUMN recent TEXT",
      "ALTER TABLE session ADD COLUMN activity_count INTEGER NOT NULL DEFAULT 0",
      "ALTER TABLE job ADD COLUMN activity TEXT",
    ],
  },
];
