/**
 * The storage of one simulated Durable Object: its SQL database and its one alarm. It outlives every incarnation.
 * An alarm set inside a transaction that fails is rolled back with it, as on the platform.
 */
import type { Sql, SqlRow, SqlValue } from "../../src/storage/sql.ts";
import { closedDatabase, freshDatabase, usedDatabase, type DatabaseKind, type SimDatabase } from "./sim-database.ts";

export class SimStorage implements Sql {
  #database: SimDatabase;
  #alarmAt: number | null = null;
  #writes = 0;
  readonly #writesTo = new Map<string, number>();
  #hasTables: boolean;
  #erasures = 0;
  /** Asked before each transaction: true makes it fail, as a storage does that cannot write. */
  fails: () => boolean = () => false;
  onAlarmMoved: () => void = () => {};
  onCommitted: () => void = () => {};

  /** `used`: a database that has its tables already. */
  constructor(kind: DatabaseKind, used: boolean) {
    this.#database = used ? usedDatabase(kind) : freshDatabase();
    this.#hasTables = this.#database.migrated;
  }

  /** Grows with every write: whoever remembers it knows whether something changed. */
  get writes(): number {
    return this.#writes;
  }

  /** As `writes`, of these tables alone. */
  writesTo(...tables: readonly string[]): number {
    return tables.reduce((sum, table) => sum + (this.#writesTo.get(table) ?? 0), this.#erasures);
  }

  /** Before that there is nothing to read. */
  get hasTables(): boolean {
    return this.#hasTables;
  }

  get alarmAt(): number | null {
    return this.#alarmAt;
  }

  run(statement: string, ...bindings: readonly SqlValue[]): readonly SqlRow[] {
    const rows = this.#database.sql.run(statement, ...bindings);
    const table = writtenTable(statement);
    if (table !== null) {
      this.#writes += 1;
      this.#writesTo.set(table, (this.#writesTo.get(table) ?? 0) + 1);
    }
    return rows;
  }

  transaction<T>(body: () => T): T {
    if (this.fails()) throw new Error("the storage cannot write");
    const armed = this.#alarmAt;
    // As prepared statements: `exec` would compile them anew each time.
    this.#database.sql.run("BEGIN");
    let result: T;
    try {
      result = body();
      this.#database.sql.run("COMMIT");
    } catch (error) {
      this.#database.sql.run("ROLLBACK");
      this.setAlarm(armed);
      throw error;
    }
    this.#hasTables = true;
    this.onCommitted();
    return result;
  }

  setAlarm(at: number | null): void {
    this.#writes += 1;
    this.#alarmAt = at;
    this.onAlarmMoved();
  }

  /** Every row, every table, the alarm. */
  erase(): void {
    this.#database = this.#database.erase();
    this.#hasTables = this.#database.migrated;
    this.#erasures += 1;
    this.setAlarm(null);
  }

  close(): void {
    this.#database.release();
    // It is somebody else's from here on: what still writes here has run on past its end.
    this.#database = closedDatabase;
  }
}

/** Statements are constants: each is looked at once. */
const tables = new Map<string, string | null>();

/** null: it only reads. */
function writtenTable(statement: string): string | null {
  const known = tables.get(statement);
  if (known !== undefined) return known;
  const words =
    /^\s*(?:INSERT(?: OR \w+)? INTO|UPDATE|DELETE FROM|CREATE TABLE(?: IF NOT EXISTS)?|ALTER TABLE) (\w+)/.exec(
      statement,
    );
  const table = statement.trimStart().startsWith("SELECT") ? null : (words?.[1] ?? "?");
  tables.set(statement, table);
  return table;
}
