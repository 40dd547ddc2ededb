import { describe, expect, it } from "vitest";
import { migrate, schemaVersion, type Migration } from "../../src/storage/migrate.ts";
import { nodeSql } from "../support/node-sql.ts";

const first: Migration = {
  version: 1,
  name: "first",
  statements: ["CREATE TABLE a (x INTEGER)", "INSERT INTO a VALUES (7)"],
};
const second: Migration = { version: 2, name: "second", statements: ["ALTER TABLE a ADD COLUMN y TEXT"] };
const tables = (sql: ReturnType<typeof nodeSql>) =>
  sql.run("SELECT name FROM sqlite_master ORDER BY name").map((row) => row["name"]);

describe("migrate", () => {
  it("asking for the version of an empty store writes nothing [API-12]", () => {
    const sql = nodeSql();
    expect(schemaVersion(sql)).toBe(0);
    expect(tables(sql)).toEqual([]);
  });

  it("applies what is missing, once, and keeps what is stored", () => {
    const sql = nodeSql();
    expect(migrate(sql, [first])).toEqual({ type: "current", version: 1, applied: ["first"] });
    expect(migrate(sql, [first, second])).toEqual({ type: "current", version: 2, applied: ["second"] });
    expect(migrate(sql, [first, second])).toEqual({ type: "current", version: 2, applied: [] });
    expect(schemaVersion(sql)).toBe(2);
    expect(sql.run("SELECT x, y FROM a").map((row) => ({ ...row }))).toEqual([{ x: 7, y: null }]);
  });

  it("a schema newer than the code is reported and not touched [LEA-19]", () => {
    const sql = nodeSql();
    migrate(sql, [first, second]);
    const before = tables(sql);
    expect(migrate(sql, [first])).toEqual({ type: "newer", stored: 2, known: 1 });
    expect(tables(sql)).toEqual(before);
    expect(schemaVersion(sql)).toBe(2);
  });

  it("a step that fails leaves the version and the tables of the step before", () => {
    const sql = nodeSql();
    const broken: Migration = {
      version: 2,
      name: "broken",
      statements: ["CREATE TABLE b (x INTEGER)", "CREATE TABLE a (x INTEGER)"],
    };
    expect(() => migrate(sql, [first, broken])).toThrow(/already exists/);
    expect(schemaVersion(sql)).toBe(1);
    expect(tables(sql)).not.toContain("b");
    expect(migrate(sql, [first, second])).toMatchObject({ type: "current", applied: ["second"] });
  });

  it("a list with a gap or out of order is a bug, found before anything is written", () => {
    const sql = nodeSql();
    expect(() => migrate(sql, [second])).toThrow(/version 2 at place 1/);
    expect(tables(sql)).toEqual([]);
  });
});

describe("node-sql means the same as a Durable Object's SQL", () => {
  it("keeps null, epoch ms, 2^53 and blobs as JS values", () => {
    const sql = nodeSql();
    sql.run("CREATE TABLE v (n ANY, i INTEGER, b BLOB, t TEXT) STRICT");
    const values = [2 ** 31 + 1, 1_790_000_000_123, Number.MAX_SAFE_INTEGER, -(2 ** 40)];
    for (const value of values)
      sql.run("INSERT INTO v VALUES (?, ?, ?, ?)", null, value, new Uint8Array([0, 255, 3]), "ü\u0000z");
    const rows = sql.run("SELECT n, i, b, t, typeof(i) AS type FROM v");
    expect(rows.map((row) => row["i"])).toEqual(values);
    expect(rows[0]).toMatchObject({ n: null, b: new Uint8Array([0, 255, 3]), t: "ü\u0000z", type: "integer" });
  });

  it("an exception rolls back and passes on; transactions do not nest", () => {
    const sql = nodeSql();
    sql.run("CREATE TABLE a (x INTEGER)");
    const body = () => {
      sql.run("INSERT INTO a VALUES (1)");
      throw new Error("crash");
    };
    expect(() => sql.transaction(body)).toThrow("crash");
    expect(sql.run("SELECT * FROM a")).toEqual([]);
    expect(() => sql.transaction(() => sql.transaction(() => 1))).toThrow(/already open/);
    expect(sql.transaction(() => 5)).toBe(5);
  });

  it("refuses a second statement in one call", () => {
    const sql = nodeSql();
    expect(() => sql.run("SELECT 1; SELECT 2")).toThrow(/one statement/);
    expect(sql.run(" SELECT 1 AS one; ")).toHaveLength(1);
  });
});
