/** Small values of one tenant that are kept whole, as JSON under a name: the breaker, the allowance. */
import type { Sql } from "../storage/sql.ts";

export function readNamed<T>(sql: Sql, name: string, otherwise: T): T {
  const body = sql.run("SELECT body FROM kept WHERE name = ?", name)[0]?.["body"];
  return typeof body === "string" ? (JSON.parse(body) as T) : otherwise;
}

/** Writes nothing when nothing changed. */
export function writeNamed<T>(sql: Sql, name: string, before: T, after: T): void {
  const body = JSON.stringify(after);
  if (JSON.stringify(before) !== body) sql.run("INSERT OR REPLACE INTO kept (name, body) VALUES (?, ?)", name, body);
}
