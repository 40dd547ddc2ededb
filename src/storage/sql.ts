/** The one database interface: SQLite in a Durable Object in production, node:sqlite in the simulation. Synchronous. */

export type SqlValue = string | number | null | Uint8Array;
export type SqlRow = Record<string, SqlValue>;

export interface Sql {
  /** Runs one statement and returns its rows. */
  run(statement: string, ...bindings: readonly SqlValue[]): readonly SqlRow[];
  /** All or nothing. An exception rolls back and passes on. Not nested. */
  transaction<T>(body: () => T): T;
}
