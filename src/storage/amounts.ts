/**
 * Named amounts that are kept beside the rows they count, all in one row of a table: a row is what is billed, and nearly every
 * change moves several of them. The table is `(only INTEGER PRIMARY KEY CHECK (only = 1), body TEXT)`, its body a JSON object.
 */
import type { Sql } from "./sql.ts";

type AmountTable = "tallies" | "usage_sums" | "usage_forgotten" | "counters";

/** For a migration: such a table, filled from one that had a row for each name. */
export function amountsInOneRow(
  table: AmountTable,
  from: { readonly table: string; readonly name: string; readonly amount: string },
): readonly string[] {
  return [
    `CREATE TABLE ${table} (only INTEGER PRIMARY KEY CHECK (only = 1), body TEXT NOT NULL) STRICT`,
    `INSERT INTO ${table} (only, body) SELECT 1, json_group_object(${from.name}, ${from.amount}) FROM ${from.table}`,
    `DROP TABLE ${from.table}`,
  ];
}

/** A name that is missing counts nothing. */
export function readAmounts(sql: Sql, table: AmountTable): ReadonlyMap<string, number> {
  const body = sql.run(`SELECT body FROM ${table}`)[0]?.["body"];
  return new Map(typeof body === "string" ? Object.entries(JSON.parse(body) as Record<string, number>) : []);
}

/** Inside a transaction of the caller. Writes nothing when nothing changes. */
export function addAmounts(
  sql: Sql,
  table: AmountTable,
  changes: Iterable<readonly [name: string, change: number]>,
): void {
  const moved = Array.from(changes).filter(([, change]) => change !== 0);
  if (moved.length === 0) return;
  const amounts = new Map(readAmounts(sql, table));
  for (const [name, change] of moved) amounts.set(name, (amounts.get(name) ?? 0) + change);
  writeAmounts(sql, table, amounts);
}

export function writeAmounts(sql: Sql, table: AmountTable, amounts: ReadonlyMap<string, number>): void {
  const some = [...amounts].filter(([, amount]) => amount !== 0);
  sql.run(
    `INSERT INTO ${table} (only, body) VALUES (1, ?) ON CONFLICT (only) DO UPDATE SET body = excluded.body`,
    JSON.stringify(Object.fromEntries(some)),
  );
}
