/**
 * Removes the workspaces that nobody will ever use again, so that there is room for another (CAP-2). What is stale is
 * decided by src/protocol/stale-workspace.ts, once for the choice and once more in the sandbox's own turn, right before it
 * goes; its generation is retired durably in between, so that nothing starts in a directory that is being removed.
 *
 * One process that cannot be inspected anywhere, and nothing is removed: it might be at home in any of them.
 */
import { keptBecause, type WorkspaceSeen } from "../../src/protocol/stale-workspace.ts";
import type { Launcher } from "./launcher.ts";
import type { Records } from "./records.ts";
import type { Residue } from "./residue.ts";
import type { StateDirectory } from "./state-directory.ts";

export interface ReclaimParts {
  readonly state: Pick<StateDirectory, "names" | "untouchedMs" | "diskUse" | "remove">;
  readonly records: Pick<Records, "get" | "retire">;
  readonly residue: Pick<Residue, "of">;
  readonly launcher: Pick<Launcher, "isStarting" | "inTurn">;
}

export interface Reclaimed {
  readonly removed: readonly string[];
  readonly freedBytes: number;
  /** Not those of the session that asked. */
  readonly kept: readonly { readonly name: string; readonly why: string }[];
}

const keptShown = 100;

export async function reclaim(parts: ReclaimParts, forSession: string, now: () => number): Promise<Reclaimed> {
  const { state, records, launcher } = parts;
  const removed: string[] = [];
  const kept: { name: string; why: string }[] = [];
  let freedBytes = 0;
  const stale: string[] = [];
  let blind = false;
  for (const name of state.names()) {
    const seen = await look(parts, name, now());
    blind ||= seen.processes === "unknown";
    const why = keptBecause(seen, forSession);
    if (why === null) stale.push(name);
    else if (!name.startsWith(`${forSession}-`)) kept.push({ name, why });
  }
  for (const name of stale) {
    await launcher.inTurn(name, async () => {
      const seen = await look(parts, name, now());
      blind ||= seen.processes === "unknown";
      const why = blind ? "processes could not be inspected" : keptBecause(seen, forSession);
      const armed = records.get(name)?.armed;
      if (why !== null || armed == null) {
        kept.push({ name, why: why ?? "nothing is known of it" });
        return;
      }
      const bytes = await state.diskUse(name);
      records.retire(name, armed.generation, now());
      await state.remove(name);
      removed.push(name);
      freedBytes += bytes;
    });
  }
  return { removed, freedBytes, kept: kept.slice(0, keptShown) };
}

async function look(
  { state, records, residue, launcher }: ReclaimParts,
  name: string,
  now: number,
): Promise<WorkspaceSeen> {
  const unknown = { name, recorded: false, untouchedMs: null, processes: "none" } as const;
  let record;
  try {
    record = records.get(name);
  } catch {
    // One that cannot be read may stand for anything: it is as good as none.
    return unknown;
  }
  if (record?.armed == null || record.sessionId === null) return unknown;
  const aim = { session: record.sessionId, generation: record.armed.generation, instance: null };
  const processes = launcher.isStarting(name)
    ? "starting"
    : await residue.of(aim).then(
        (found) => (found.length > 0 ? "live" : "none"),
        () => "unknown" as const,
      );
  const untouchedMs = await state.untouchedMs(name, now).catch(() => null);
  return { name, recorded: true, untouchedMs, processes };
}
