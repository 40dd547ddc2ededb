/**
 * `Sql` over node:sqlite, for Node tests and the simulation: the same meaning as src/storage/durable-sql.ts.
 * The database outlives whoever uses it, so a crashed object is continued by building it anew over the same `NodeSql`.
 */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { Sql, SqlRow } from "../../src/storage/sql.ts";

export interface NodeSql extends Sql {
  close(): void;
}

export function nodeSql(path = ":memory:"): NodeSql {
  const database = new DatabaseSync(path);
  // Preparing costs more than most of our statements; the texts are constants, so the map stays small.
  const prepared = new Map<string, StatementSync>();
  let inTransaction = false;

  function prepare(text: string): StatementSync {
    const known = prepared.get(text);
    if (known !== undefined) return known;
    const statement = database.prepare(text);
    // node:sqlite drops everything after the first statement in silence; a Durable Object would run it.
    const rest = text.slice(text.indexOf(statement.sourceSQL) + statement.sourceSQL.length);
    if (rest.trim() !== "") throw new Error(`one statement at a time: ${rest.trim().slice(0, 60)}`);
    prepared.set(text, statement);
    return statement;
  }

  return {
    run(text, ...bindings) {
      return prepare(text).all(...bindings) as SqlRow[];
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
