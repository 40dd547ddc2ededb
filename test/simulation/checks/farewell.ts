/** What the registry and the index hold of a session: its newest version, and, before its rows go, its last word. */
import type { SessionId } from "../../../src/domain/state/ids.ts";
import type { SimStorage } from "../objects/sim-storage.ts";

/** null: both have heard that it is erased; else who has not. */
export function farewellTo(registry: SimStorage, index: SimStorage, id: SessionId, createdAt: number): string | null {
  for (const [who, storage] of [
    ["the registry", registry],
    ["the index", index],
  ] as const) {
    const row = storage.hasTables
      ? storage.run("SELECT created_at, erased_at FROM session WHERE session_id = ?", id)[0]
      : undefined;
    // A word about an earlier session of this id says nothing of this one.
    if (row === undefined || row["erased_at"] === null || Number(row["created_at"]) < createdAt)
      return `${who} has not heard of it`;
  }
  return null;
}

/** Both hold that version, whether the session has noted it or not. */
export function bothHold(registry: SimStorage, index: SimStorage, id: SessionId, version: number): boolean {
  return [registry, index].every((storage) => {
    const row = storage.hasTables ? storage.run("SELECT version FROM session WHERE session_id = ?", id)[0] : undefined;
    return row !== undefined && Number(row["version"]) >= version;
  });
}
