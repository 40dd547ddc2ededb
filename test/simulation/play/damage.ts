/** Rows as somebody else left them: broken, of newer code, or as older code wrote them. */
import type { SimStorage } from "../objects/sim-storage.ts";

const broken = "{ this was";

/** Answers how to mend it. What was rightly changed meanwhile stays: a delete, the leases of a teardown, a new session of the same id. */
export function damageRows(storage: SimStorage, how: "unreadable" | "newer"): () => void {
  const [row] = storage.run("SELECT record, record_version FROM session");
  if (row === undefined) return () => {};
  if (how === "newer") {
    storage.damage("UPDATE session SET record_version = record_version + 1000");
    return () =>
      storage.damage("UPDATE session SET record_version = record_version - 1000 WHERE record_version >= 1000");
  }
  const { record = null } = row;
  storage.damage("UPDATE session SET record = ?", broken);
  return () => storage.damage("UPDATE session SET record = ? WHERE record = ?", record, broken);
}

/** As code of before a deploy stored a held lease: launched by it, with a wrapper that speaks no more than it did. */
export function launchedByOlderCode(storage: SimStorage, protocol: number): void {
  for (const row of storage.run("SELECT generation, record FROM lease WHERE phase = 'held'")) {
    const record = JSON.parse(String(row["record"])) as { wrapper: { protocol: number; launchedBy: number } };
    if (record.wrapper.protocol > protocol) continue;
    record.wrapper.launchedBy = protocol;
    storage.damage(
      "UPDATE lease SET record = ? WHERE generation = ?",
      JSON.stringify(record),
      row["generation"] ?? null,
    );
  }
}
