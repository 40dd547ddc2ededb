/**
 * The storage of one simulated Durable Object: its SQL database and its one alarm. It outlives every incarnation.
 * An alarm set inside a transaction that fails is rolled back with it, as on the platform.
 */
import type { Sql, SqlRow, SqlValue } from "../../../src/storage/sql.ts";
import { anyTable, KnownAnswers } from "./known-answers.ts";
import { closedDatabase, freshDatabase, usedDatabase, type DatabaseKind, type SimDatabase } from "./sim-database.ts";

/** `before`: nothing of it runs. `commit`: all of it runs, and is rolled back at its end. */
export type WriteFailure = "before" | "commit";

export class SimStorage implements Sql {
  #database: SimDatabase;
  #alarmAt: number | null = null;
  #writes = 0;
  readonly #writesTo = new Map<string, number>();
  readonly #answers = new KnownAnswers((tables) => this.writesTo(unknownTable, ...tables));
  #hasTables: boolean;
  #erasures = 0;
  #inTransaction = false;
  /** Asked at each transaction, and at each write outside of one; null: it can be written. */
  fails: () => WriteFailure | null = () => null;
  onAlarmMoved: () => void = () => {};
  onCommitted: () => void = () => {};
  onErasing: () => void = () => {};

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
    let sum = this.#erasures;
    for (const table of tables) sum += this.#writesTo.get(table) ?? 0;
    return sum;
  }

  /** Before that there is nothing to read. */
  get hasTables(): boolean {
    return this.#hasTables;
  }

  get alarmAt(): number | null {
    return this.#alarmAt;
  }

  run(statement: string, ...bindings: readonly SqlValue[]): readonly SqlRow[] {
    const table = writtenTable(statement);
    const run = () => this.#database.sql.run(statement, ...bindings);
    if (table === null) return this.#answers.answer(statement, bindings, run);
    if (!this.#inTransaction && this.fails() !== null) throw cannotWrite();
    const rows = run();
    this.#written(table);
    if (/^\s*(?:CREATE|ALTER|DROP)\b/.test(statement)) this.#written(anyTable);
    return rows;
  }

  /** Past every failure: by the hand of a schedule that damages rows. */
  damage(statement: string, ...bindings: readonly SqlValue[]): void {
    this.#database.sql.run(statement, ...bindings);
    this.#written(writtenTable(statement) ?? unknownTable);
    this.#written(anyTable);
  }

  transaction<T>(body: () => T): T {
    const failure = this.fails();
    if (failure === "before") throw cannotWrite();
    const armed = this.#alarmAt;
    // As prepared statements: `exec` would compile them anew each time.
    this.#database.sql.run("BEGIN");
    this.#inTransaction = true;
    let result: T;
    try {
      result = body();
      if (failure === "commit") throw cannotWrite();
      this.#database.sql.run("COMMIT");
    } catch (error) {
      this.#database.sql.run("ROLLBACK");
      this.setAlarm(armed);
      // What was read meanwhile is not there: readers look again.
      for (const table of this.#writesTo.keys()) this.#written(table);
      throw error;
    } finally {
      this.#inTransaction = false;
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
    this.onErasing();
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

  #written(table: string): void {
    this.#writes += 1;
    this.#writesTo.set(table, (this.#writesTo.get(table) ?? 0) + 1);
  }
}

function cannotWrite(): Error {
  return new Error("the storage cannot write");
}

/** What writes without naming its table first writes to any. */
const unknownTable = "?";
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
  const reads = /^\s*(?:SELECT|WITH)/.test(statement);
  const table = reads ? null : (words?.[1] ?? unknownTable);
  tables.set(statement, table);
  return table;
}
