/** `Sql` over the SQLite of a Durable Object. */
import type { Sql, SqlRow, SqlValue } from "./sql.ts";

/** What is used of `DurableObjectStorage`. */
export interface DurableStorage {
  readonly sql: Pick<SqlStorage, "exec">;
  transactionSync<T>(body: () => T): T;
}

export function durableSql(storage: DurableStorage): Sql {
  let inTransaction = false;
  return {
    run(statement, ...bindings) {
      const rows = storage.sql.exec(statement, ...bindings.map(toStorage)).toArray();
      for (const row of rows) {
        for (const column in row) {
          const value = row[column];
          // Cursors answer blobs as ArrayBuffer; the interface promises Uint8Array. Rows are fresh: changing them is safe.
          if (value instanceof ArrayBuffer) (row as SqlRow)[column] = new Uint8Array(value);
        }
      }
      return rows as SqlRow[];
    },
    transaction(body) {
      // The platform would nest by savepoint; node:sqlite does not. One meaning in both.
      if (inTransaction) throw new Error("a transaction is already open");
      inTransaction = true;
      try {
        return storage.transactionSync(body);
      } finally {
        inTransaction = false;
      }
    },
  };
}

function toStorage(value: SqlValue): SqlStorageValue {
  if (!(value instanceof Uint8Array)) return value;
  // A copy of exactly the viewed bytes: the view may be a window on a larger buffer.
  return value.slice().buffer;
}
