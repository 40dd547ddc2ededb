/**
 * `Sql` over node:sqlite, for Node tests and the simulation: the same meaning as src/storage/durable-sql.ts.
 * The database outlives whoever uses it, so a crashed object is continued by building it anew over the same `NodeSql`.
 */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { Sql, SqlRow, SqlValue } from "../../src/storage/sql.ts";

interface Prepared {
  readonly statement: StatementSync;
  /** The names of its columns; null: to be asked again. */
  columns: readonly string[] | null;
  readonly changesTables: boolean;
}

export interface NodeSql extends Sql {
  close(): void;
}

export function nodeSql(path = ":memory:"): NodeSql {
  const database = new DatabaseSync(path);
  // Preparing costs more than most of our statements; the texts are constants, so the map stays small.
  const prepared = new Map<string, Prepared>();
  let inTransaction = false;

  function prepare(text: string): Prepared {
    const known = prepared.get(text);
    if (known !== undefined) return known;
    const statement = database.prepare(text);
    // node:sqlite drops everything after the first statement in silence; a Durable Object would run it.
    const rest = text.slice(text.indexOf(statement.sourceSQL) + statement.sourceSQL.length);
    if (rest.trim() !== "") throw new Error(`one statement at a time: ${rest.trim().slice(0, 60)}`);
    statement.setReturnArrays(true);
    const made = { statement, columns: null, changesTables: /^\s*(?:CREATE|ALTER|DROP)\b/.test(text) };
    prepared.set(text, made);
    return made;
  }

  return {
    run(text, ...bindings) {
      const known = prepare(text);
      const rows = known.statement.all(...bindings) as unknown as readonly (readonly SqlValue[])[];
      // `SELECT *` has other columns from now on.
      if (known.changesTables) for (const each of prepared.values()) each.columns = null;
      if (rows.length === 0) return [];
      const columns = (known.columns ??= known.statement.columns().map(({ name }) => name));
      return rows.map((row) => rowOf(columns, row));
    },
    transaction(body) {
      if (inTransaction) throw new Error("a transaction is already open");
      inTransaction = true;
      database.exec("BEGIN");
      try {
        const result = body();
        database.exec("COMMIT");
        return result;
      } catch (error) {
        if (database.isTransaction) database.exec("ROLLBACK");
        throw error;
      } finally {
        inTransaction = false;
      }
    },
    close() {
      database.close();
    },
  };
}

/** As node:sqlite would make it, but an object that the engine reads fast: its own are dictionaries. */
function rowOf(columns: readonly string[], values: readonly SqlValue[]): SqlRow {
  const row: SqlRow = {};
  for (let at = 0; at < columns.length; at += 1) row[columns[at] as string] = values[at] as SqlValue;
  return row;
}
