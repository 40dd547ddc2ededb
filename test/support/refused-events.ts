/** A storage that refuses every write with one more event of a type: for tests of a move that cannot be stored. */
import type { Sql } from "../../src/storage/sql.ts";

/** Until `DROP TRIGGER broken`. */
export function refuseEvents(sql: Sql, type: string): void {
  const count = (row: string) => `length(${row}.recent) - length(replace(${row}.recent, '"type":"${type}"', ''))`;
  sql.run(
    `CREATE TRIGGER broken BEFORE UPDATE ON session WHEN ${count("NEW")} > ${count("OLD")} BEGIN SELECT RAISE(ABORT, 'x'); END`,
  );
}
