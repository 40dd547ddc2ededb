/** Saved files against what is stored of them: none without somebody who knows it, and none that somebody counts on is missing. */
import type { SessionId } from "../../../src/domain/state/ids.ts";
import type { MemoryWorld } from "../../memory/memory-world.ts";
import type { SimStorage } from "../objects/sim-storage.ts";
import type { SessionWatch } from "./session-watch.ts";

interface Row {
  readonly id: string;
  readonly session: string;
  readonly phase: string;
}

/** Of the tenant's own snapshots, those that are not proven gone. */
export function tenantSnapshots(registry: SimStorage): readonly Row[] {
  const there = registry.run("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'snapshot'");
  if (there.length === 0) return [];
  return registry.run("SELECT snapshot_id, session_id, phase FROM snapshot WHERE phase <> 'gone'").map((row) => ({
    id: String(row["snapshot_id"]),
    session: String(row["session_id"]),
    phase: String(row["phase"]),
  }));
}

/** Once everything has settled. */
export function snapshotFaults(
  watches: ReadonlyMap<SessionId, SessionWatch>,
  world: MemoryWorld,
  registry: SimStorage,
): readonly string[] {
  const rows = tenantSnapshots(registry);
  const known = new Set(rows.map(({ id }) => id));
  const found: string[] = [];
  for (const [id, { session }] of watches) {
    const own = session === null ? [] : [session.snapshot?.id, ...session.discarded.map((each) => each.id)];
    const gate = session?.newest?.phase === "held" ? session.newest.gate : null;
    const saving = gate?.type === "saving" ? gate.attemptId : null;
    for (const name of world.snapshots.of(id))
      if (!known.has(name) && !own.includes(name) && saving !== name)
        found.push(`TRA-15: the files of ${name}, taken from ${id}, are nobody's`);
  }
  for (const { id, session, phase } of rows)
    if (phase === "kept" && world.snapshots.restored(session as SessionId, id) === null)
      found.push(`TRA-15: ${id} of ${session} is kept, and its files are not there`);
  return found;
}
