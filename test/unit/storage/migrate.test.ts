import { describe, expect, it } from "vitest";
import { migrate } from "../../../src/storage/migrate.ts";
import { nodeSql } from "../../support/node-sql.ts";
import { sqlContract } from "../../support/sql-contract.ts";

sqlContract("Node", async (body) => body(nodeSql()));

describe("what only Node can show", () => {
  it("a list of migrations with a gap or out of order is a bug, found before anything is written", () => {
    const sql = nodeSql();
    expect(() => migrate(sql, [{ version: 2, name: "second", statements: [] }])).toThrow(/version 2 at place 1/);
    expect(sql.run("SELECT name FROM sqlite_master")).toEqual([]);
  });

  it("node-sql refuses a second statement in one call, which node:sqlite would drop in silence", () => {
    const sql = nodeSql();
    expect(() => sql.run("SELECT 1; SELECT 2")).toThrow(/one statement/);
    expect(sql.run(" SELECT 1 AS one; ")).toHaveLength(1);
  });
});
