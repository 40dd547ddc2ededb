/** What every `Sql` means, in workerd and in Node alike. The simulation is worth as much as these two agree. */
import { describe, expect, it } from "vitest";
import { migrate, schemaVersion, type Migration } from "../../src/storage/migrate.ts";
import type { Sql } from "../../src/storage/sql.ts";

const first: Migration = {
  version: 1,
  name: "first",
  statements: ["CREATE TABLE a (x INTEGER)", "INSERT INTO a VALUES (7)"],
};
const second: Migration = { version: 2, name: "second", statements: ["ALTER TABLE a ADD COLUMN y TEXT"] };

/** `withSql` hands out an empty store each time. */
export function sqlContract(name: string, withSql: (body: (sql: Sql) => void) => Promise<void>): void {
  const each = (body: (sql: Sql) => void) => () => withSql(body);
  const tables = (sql: Sql) =>
    sql.run("SELECT name FROM sqlite_master WHERE name NOT LIKE '\\_cf\\_%' ESCAPE '\\' ORDER BY name");

  describe(`SQL in ${name}`, () => {
    it(
      "keeps null, epoch ms, 2^53, fractions, text and blobs as JS values",
      each((sql) => {
        sql.run("CREATE TABLE v (n ANY, i INTEGER, f REAL, b BLOB, t TEXT) STRICT");
        const integers = [0, -1, 2 ** 31 + 1, 1_790_000_000_123, Number.MAX_SAFE_INTEGER, -(2 ** 40)];
        // A window on a larger buffer: only what is seen may be stored.
        const blob = new Uint8Array([9, 0, 255, 3, 9]).subarray(1, 4);
        for (const i of integers) sql.run("INSERT INTO v VALUES (?, ?, ?, ?, ?)", null, i, i / 4, blob, "ü✓");
        const rows = sql.run("SELECT n, i, f, b, t, typeof(i) AS type FROM v ORDER BY rowid");
        expect(rows.map((row) => row["i"])).toEqual(integers);
        expect(rows.map((row) => row["f"])).toEqual(integers.map((i) => i / 4));
        expect({ ...rows[0] }).toEqual({
          n: null,
          i: 0,
          f: 0,
          b: new Uint8Array([0, 255, 3]),
          t: "ü✓",
          type: "integer",
        });
        expect(sql.run("SELECT i FROM v WHERE i = ?", Number.MAX_SAFE_INTEGER)).toHaveLength(1);
        expect(sql.run("SELECT i FROM v LIMIT ?", 2)).toHaveLength(2);
      }),
    );

    it(
      "an exception rolls back and passes on; transactions do not nest, and the next one works",
      each((sql) => {
        sql.run("CREATE TABLE a (x INTEGER)");
        const crash = () => {
          sql.run("INSERT INTO a VALUES (1)");
          throw new Error("crash");
        };
        expect(() => sql.transaction(crash)).toThrow("crash");
        expect(sql.run("SELECT * FROM a")).toEqual([]);
        expect(() => sql.transaction(() => sql.transaction(() => 1))).toThrow(/already open/);
        expect(sql.transaction(() => sql.run("INSERT INTO a VALUES (2) RETURNING x")[0]?.["x"])).toBe(2);
      }),
    );

    it(
      "asking for the version of an empty store writes nothing [API-12]",
      each((sql) => {
        expect(schemaVersion(sql)).toBe(0);
        expect(tables(sql)).toEqual([]);
      }),
    );

    it(
      "a migration applies what is missing, once, and keeps what is stored",
      each((sql) => {
        expect(migrate(sql, [first])).toEqual({ type: "current", version: 1, applied: ["first"] });
        expect(migrate(sql, [first, second])).toEqual({ type: "current", version: 2, applied: ["second"] });
        expect(migrate(sql, [first, second])).toEqual({ type: "current", version: 2, applied: [] });
        expect(schemaVersion(sql)).toBe(2);
        expect({ ...sql.run("SELECT x, y FROM a")[0] }).toEqual({ x: 7, y: null });
      }),
    );

    it(
      "a schema newer than the code is reported and not touched [LEA-19]",
      each((sql) => {
        migrate(sql, [first, second]);
        const before = tables(sql);
        expect(migrate(sql, [first])).toEqual({ type: "newer", stored: 2, known: 1 });
        expect(tables(sql)).toEqual(before);
        expect(schemaVersion(sql)).toBe(2);
      }),
    );

    it(
      "a step that fails leaves the version and the tables of the step before",
      each((sql) => {
        const statements = ["CREATE TABLE b (x INTEGER)", "CREATE TABLE a (x INTEGER)"];
        expect(() => migrate(sql, [first, { version: 2, name: "broken", statements }])).toThrow(/already exists/);
        expect(schemaVersion(sql)).toBe(1);
        expect(tables(sql).map((row) => row["name"])).toEqual(["a", "schema_migration"]);
        expect(migrate(sql, [first, second])).toMatchObject({ type: "current", applied: ["second"] });
      }),
    );
  });
}
