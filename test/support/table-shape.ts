/** What a database's tables are, however they came to be: their columns in any order, and the indexes that were asked for. */
import type { Sql } from "../../src/storage/sql.ts";

export function shapeOf(sql: Sql): unknown {
  const names = sql.run("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name");
  const tables = names.map(({ name = null }) => [
    name,
    sql.run('SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_info(?) ORDER BY name', name),
  ]);
  const indexes = sql.run("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY name");
  return { tables, indexes: indexes.map((row) => [row["name"], String(row["sql"]).replace(/\s+/g, " ")]) };
}
