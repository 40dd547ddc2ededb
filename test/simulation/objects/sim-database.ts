/**
 * The databases of the simulation. Real SQLite each, and by far most of its cost is to make one: opening, tables, statements.
 * So they are used again, emptied, by object after object and schedule after schedule. An object that comes to one of these
 * finds tables without rows; `fresh` ones have nothing at all, as a Durable Object's first wake does, and are never used again.
 * Which of the two it is decides the seed, never what happened to be left over: the same seed is the same schedule.
 */
import { controlMigrations } from "../../../src/fleet/control/control-schema.ts";
import { shardMigrations } from "../../../src/fleet/shard/shard-schema.ts";
import { sessionMigrations } from "../../../src/session/migrations/session-tables.ts";
import { migrate, type Migration } from "../../../src/storage/migrate.ts";
import { tenantMigrations } from "../../../src/tenant/schema.ts";
import type { SqlRow } from "../../../src/storage/sql.ts";
import { nodeSql, type NodeSql } from "../../support/node-sql.ts";

export type DatabaseKind = "session" | "tenant" | "shard" | "control";

const migrations: Readonly<Record<DatabaseKind, readonly Migration[]>> = {
  session: sessionMigrations,
  tenant: tenantMigrations,
  shard: shardMigrations,
  control: controlMigrations,
};

const idle: Record<DatabaseKind, NodeSql[]> = { session: [], tenant: [], shard: [], control: [] };
/** Of one kind: the tables that hold what is to be forgotten, and the rows that the migrations themselves made. */
const tables = new Map<DatabaseKind, readonly Table[]>();
interface Table {
  readonly name: string;
  readonly rows: readonly SqlRow[];
}

export interface SimDatabase {
  readonly sql: NodeSql;
  /** It has its tables from the start. */
  readonly migrated: boolean;
  /** Every row is gone; of a fresh one, every table too. Answers what is to be used from here on. */
  erase(): SimDatabase;
  /** To be called once, when nobody uses it any more. */
  release(): void;
}

function refuse(): never {
  throw new Error("this storage was closed");
}

export const closedDatabase: SimDatabase = {
  sql: { run: refuse, transaction: refuse, close: refuse },
  migrated: false,
  erase: refuse,
  release: refuse,
};

export function freshDatabase(): SimDatabase {
  const sql = nodeSql();
  return {
    sql,
    migrated: false,
    erase() {
      sql.close();
      return freshDatabase();
    },
    release: () => sql.close(),
  };
}

export function usedDatabase(kind: DatabaseKind): SimDatabase {
  const sql = idle[kind].pop() ?? make(kind);
  const empty = () => {
    // Those that objects make when they first need them go as a whole.
    for (const name of tableNames(sql)) if (!known(kind, name)) sql.run(`DROP TABLE ${name}`);
    for (const { name, rows } of tables.get(kind) ?? []) {
      sql.run(`DELETE FROM ${name}`);
      for (const row of rows) {
        const columns = Object.keys(row);
        const places = columns.map(() => "?").join(", ");
        sql.run(`INSERT INTO ${name} (${columns.join(", ")}) VALUES (${places})`, ...Object.values(row));
      }
    }
  };
  const database: SimDatabase = {
    sql,
    migrated: true,
    erase() {
      empty();
      return database;
    },
    release() {
      empty();
      idle[kind].push(sql);
    },
  };
  return database;
}

function make(kind: DatabaseKind): NodeSql {
  const sql = nodeSql();
  migrate(sql, migrations[kind]);
  tables.set(
    kind,
    tableNames(sql).map((name) => ({ name, rows: sql.run(`SELECT * FROM ${name}`) })),
  );
  return sql;
}

function tableNames(sql: NodeSql): readonly string[] {
  const rows = sql.run("SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'schema_migration'");
  return rows.map((row) => String(row["name"]));
}

function known(kind: DatabaseKind, name: string): boolean {
  return tables.get(kind)?.some((table) => table.name === name) ?? false;
}
