/**
 * The tables of a new session's object, as all migrations together leave them. Made by the steps one after the other they would
 * cost a short session a tenth of all the rows that it is billed. A test keeps the two alike. Jobs and older events get their tables
 * when the first of them is stored (job-store.ts, history.ts): a migration that changes one of those has to make it first.
 */
export const sessionTablesAtOnce: readonly string[] = [
  // Without a rowid: an index of its own for the id would be one row more with each table and each session.
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
    env TEXT NOT NULL,
    usage TEXT,
    saved TEXT,
    recent TEXT,
    activity_count INTEGER NOT NULL DEFAULT 0
  ) STRICT, WITHOUT ROWID`,
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
    record TEXT NOT NULL,
    container TEXT
  ) STRICT`,
];

/**
 * What every turn of the engine reads stands before what may be large: SQLite then never touches the overflow pages. Jobs are found
 * by their id without an index, among 1,000 at most: it would be a row more for each job.
 */
export const jobTable = `CREATE TABLE job (
  position INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
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
  tail_from INTEGER NOT NULL DEFAULT 0,
  failure TEXT,
  left_running TEXT,
  output_gap TEXT,
  activity TEXT,
  body TEXT NOT NULL,
  secrets TEXT,
  tail BLOB
) STRICT`;
