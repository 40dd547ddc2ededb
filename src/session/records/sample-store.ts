/**
 * The short history of what a session's sandbox used, so that a busy loop, a hang and a leak can be told apart. In storage,
 * because the object is evicted between two questions. The table is made by the first sample and not by a migration: most
 * sessions are never asked, and those pay nothing. Erasing the session's storage takes it along.
 */
import type { ResourceSample } from "../../explain/diagnosis.ts";
import type { Generation } from "../../domain/state/ids.ts";
import type { Sql } from "../../storage/sql.ts";

export const samplesKept = 60;

export interface SampleStore {
  /** The samples of that generation, oldest first. */
  of(generation: Generation): readonly ResourceSample[];
  add(generation: Generation, sample: ResourceSample): void;
}

export function sampleStore(sql: Sql): SampleStore {
  const exists = () =>
    sql.run("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'resource_sample'").length > 0;
  return {
    of(generation) {
      if (!exists()) return [];
      return sql.run("SELECT * FROM resource_sample WHERE generation = ? ORDER BY at", generation).map((row) => ({
        at: Number(row["at"]),
        cpuSeconds: Number(row["cpu_seconds"]),
        memoryBytes: Number(row["memory_bytes"]),
        diskUsedBytes: row["disk_used_bytes"] === null ? null : Number(row["disk_used_bytes"]),
        processes: Number(row["processes"]),
        operations: row["operations"] === null ? null : Number(row["operations"]),
      }));
    },
    add(generation, sample) {
      const { at, cpuSeconds, memoryBytes, diskUsedBytes, processes, operations } = sample;
      sql.transaction(() => {
        sql.run(
          `CREATE TABLE IF NOT EXISTS resource_sample (
             at INTEGER PRIMARY KEY,
             generation INTEGER NOT NULL,
             cpu_seconds REAL NOT NULL,
             memory_bytes INTEGER NOT NULL,
             disk_used_bytes INTEGER,
             processes INTEGER NOT NULL,
             operations INTEGER
           ) STRICT`,
        );
        sql.run(
          "INSERT OR REPLACE INTO resource_sample VALUES (?, ?, ?, ?, ?, ?, ?)",
          ...[at, generation, cpuSeconds, memoryBytes, diskUsedBytes, processes, operations],
        );
        sql.run(
          "DELETE FROM resource_sample WHERE at IN (SELECT at FROM resource_sample ORDER BY at DESC LIMIT -1 OFFSET ?)",
          samplesKept,
        );
      });
    },
  };
}
