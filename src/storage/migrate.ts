/**
 * Brings one object's tables to the shape this code knows, one transaction for each step.
 *
 * The version lives in a table of its own, because PRAGMA user_version is refused in Durable Objects. Reading it never
 * creates that table: a lookup of an id that never existed must write nothing. A schema newer than the code
 * (after a rollback) is reported and left alone: only the code that wrote it knows what its rows mean.
 */
import type { Sql } from "./sql.ts";

export interface Migration {
  /** 1, 2, 3 … in the order of the list. A shipped one is never edited. */
  readonly version: number;
  readonly name: string;
  /** One SQL statement each. */
  readonly statements: readonly string[];
}

export type MigrationOutcome =
  | { readonly type: "current"; readonly version: number; readonly applied: readonly string[] }
  /** Nothing was touched. */
  | { readonly type: "newer"; readonly stored: number; readonly known: number };

/** The version of the stored schema; 0 when there is none. Writes nothing. */
export function schemaVersion(sql: Sql): number {
  const table = sql.run("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema_migration'");
  if (table.length === 0) return 0;
  const version = sql.run("SELECT coalesce(max(version), 0) AS version FROM schema_migration")[0]?.["version"];
  if (typeof version !== "number") throw new Error("schema_migration holds no version number");
  return version;
}

/**
 * Applies what is missing. Idempotent; an exception leaves the version of the last step that was completed. `whole`: the tables
 * as all migrations together leave them. A database that has none yet gets them at once, because each statement of a step is
 * billed as rows written.
 */
export function migrate(sql: Sql, migrations: readonly Migration[], whole?: readonly string[]): MigrationOutcome {
  migrations.forEach((migration, index) => {
    if (migration.version !== index + 1)
      throw new Error(`migration ${migration.name}: version ${migration.version} at place ${index + 1}`);
  });
  const stored = schemaVersion(sql);
  const known = migrations.length;
  if (stored > known) return { type: "newer", stored, known };
  const steps =
    stored === 0 && whole !== undefined
      ? [{ version: known, name: "all at once", statements: whole }]
      : migrations.slice(stored);
  for (const { version, name, statements } of steps) {
    sql.transaction(() => {
      sql.run("CREATE TABLE IF NOT EXISTS schema_migration (version INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT");
      for (const statement of statements) sql.run(statement);
      sql.run("INSERT INTO schema_migration (version, name) VALUES (?, ?)", version, name);
    });
  }
  return { type: "current", version: known, applied: steps.map(({ name }) => name) };
}
