/** The tables of FleetControl. */
import type { Migration } from "../../storage/migrate.ts";

export const controlMigrations: readonly Migration[] = [
  {
    version: 1,
    name: "control",
    statements: [
      `CREATE TABLE tenant (
         tenant TEXT PRIMARY KEY,
         registered_at INTEGER NOT NULL,
         version INTEGER NOT NULL,
         allowed INTEGER NOT NULL
       ) STRICT, WITHOUT ROWID`,
      // One row: the sum over all tenants, kept, so that a grant does not read every tenant.
      `CREATE TABLE total (only INTEGER PRIMARY KEY CHECK (only = 1), allowed INTEGER NOT NULL, tenants INTEGER NOT NULL) STRICT`,
      `INSERT INTO total (only, allowed, tenants) VALUES (1, 0, 0)`,
      `CREATE TABLE drain (
         only INTEGER PRIMARY KEY CHECK (only = 1), since INTEGER NOT NULL, by TEXT NOT NULL, reason TEXT NOT NULL
       ) STRICT`,
      `CREATE TABLE admin_log (
         sequence INTEGER PRIMARY KEY AUTOINCREMENT,
         at INTEGER NOT NULL,
         actor TEXT NOT NULL,
         action TEXT NOT NULL,
         target TEXT NOT NULL,
         reason TEXT NOT NULL,
         request_id TEXT NOT NULL,
         outcome TEXT NOT NULL
       ) STRICT`,
      `CREATE TABLE run (
         id TEXT PRIMARY KEY,
         layer TEXT NOT NULL,
         by TEXT NOT NULL,
         reason TEXT NOT NULL,
         started_at INTEGER NOT NULL,
         ended_at INTEGER,
         outcome TEXT CHECK (outcome IN ('ok', 'partial', 'failed')),
         found INTEGER NOT NULL,
         done INTEGER NOT NULL,
         skipped INTEGER NOT NULL,
         failed INTEGER NOT NULL,
         detail TEXT NOT NULL
       ) STRICT, WITHOUT ROWID`,
      `CREATE INDEX run_started ON run (started_at DESC)`,
      `CREATE INDEX run_layer ON run (layer, started_at DESC)`,
      `CREATE TABLE document (
         kind TEXT NOT NULL,
         id TEXT NOT NULL,
         at INTEGER NOT NULL,
         body TEXT NOT NULL,
         PRIMARY KEY (kind, id)
       ) STRICT, WITHOUT ROWID`,
      `CREATE INDEX document_at ON document (kind, at DESC)`,
    ],
  },
  {
    version: 2,
    name: "identity",
    statements: [
      // Made once and kept: sandbox hosts know their control plane by it.
      `CREATE TABLE identity (only INTEGER PRIMARY KEY CHECK (only = 1), id TEXT NOT NULL) STRICT`,
    ],
  },
];
