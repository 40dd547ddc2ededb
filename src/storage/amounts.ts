/**
 * Named amounts that are kept beside the rows they count, all in one row of a table: a row is what is billed, and nearly every
 * change moves several of them. The table is `(only INTEGER PRIMARY KEY CHECK (only = 1), body TEXT)`, its body a JSON object.
 */
import type { Sql } from "./sql.ts";

type AmountTable = "tallies" | "counters";
/** Tables of earlier releases: a migration creates them, and a later one moves what they hold. */
type FormerTable = "usage_sums" | "usage_forgotten";

/** What a transaction under `amountsOnce` has read, and whether it changed. */
const open = new WeakMap<Sql, Map<AmountTable, { amounts: ReadonlyMap<string, number>; changed: boolean }>>();

/** Inside a transaction of the caller: whatever `body` moves, each row of amounts is written once, at its end. */
export function amountsOnce<T>(sql: Sql, body: () => T): T {
  const read = new Map<AmountTable, { amounts: ReadonlyMap<string, number>; changed: boolean }>();
  open.set(sql, read);
  try {
    const answer = body();
    for (const [table, { amounts, changed }] of read) if (changed) store(sql, table, amounts);
    return answer;
  } finally {
    open.delete(sql);
  }
}

/** For a migration: such a table, filled from one that had a row for each name. */
export function amountsInOneRow(
  table: AmountTable | FormerTable,
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
  const known = open.get(sql)?.get(table);
  if (known !== undefined) return known.amounts;
  const body = sql.run(`SELECT body FROM ${table}`)[0]?.["body"];
  const amounts = new Map(typeof body === "string" ? Object.entries(JSON.parse(body) as Record<string, number>) : []);
  open.get(sql)?.set(table, { amounts, changed: false });
  return amounts;
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
  const later = open.get(sql);
  if (later === undefined) store(sql, table, amounts);
  else later.set(table, { amounts, changed: true });
}

function store(sql: Sql, table: AmountTable, amounts: ReadonlyMap<string, number>): void {
  sql.run(
    `INSERT INTO ${table} (only, body) VALUES (1, ?) ON CONFLICT (only) DO UPDATE SET body = excluded.body`,
    amountsText(amounts),
  );
}

/** The body of the row. */
export function amountsText(amounts: ReadonlyMap<string, number>): string {
  return JSON.stringify(Object.fromEntries([...amounts].filter(([, amount]) => amount !== 0)));
}
