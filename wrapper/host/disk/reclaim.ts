/**
 * Removes workspaces that nobody will use again, to make room. src/protocol/sandbox/stale-workspace.ts decides which are
 * stale. It is asked twice: to choose, and again in the sandbox's turn right before the removal. The generation is retired
 * before that, so that nothing starts in a directory that is being removed.
 *
 * When one process cannot be inspected, nothing is removed: it might belong to any of the workspaces.
 */
import { keptBecause, type WorkspaceSeen } from "../../../src/protocol/sandbox/stale-workspace.ts";
import { reasonOf } from "../refusal.ts";
import type { KeyedQueue } from "../../../src/calls/keyed-queue.ts";
import type { Launcher } from "../launch/launcher.ts";
import type { Records } from "../records/records.ts";
import type { Residue } from "../processes/residue.ts";
import type { StateDirectory } from "../records/state-directory.ts";

export interface ReclaimDependencies {
  readonly state: Pick<StateDirectory, "names" | "untouchedMs" | "diskUse" | "remove">;
  readonly records: Pick<Records, "get" | "retire">;
  readonly residue: Pick<Residue, "of">;
  readonly launcher: Pick<Launcher, "isStarting">;
  readonly queue: Pick<KeyedQueue, "run">;
}

export interface Reclaimed {
  readonly removed: readonly string[];
  readonly freedBytes: number;
  /** Without the workspaces of the session that asked. */
  readonly kept: readonly { readonly name: string; readonly why: string }[];
}

const keptShown = 100;

export async function reclaim(
  dependencies: ReclaimDependencies,
  forSession: string,
  now: () => number,
): Promise<Reclaimed> {
  const { state, records, queue } = dependencies;
  const removed: string[] = [];
  const kept: { name: string; why: string }[] = [];
  let freedBytes = 0;
  const stale: string[] = [];
  let blind = false;
  for (const name of state.names()) {
    const seen = await look(dependencies, name, now());
    blind ||= seen.processes === "unknown";
    const why = keptBecause(seen, forSession);
    if (why === null) stale.push(name);
    else if (!name.startsWith(`${forSession}-`)) kept.push({ name, why });
  }
  for (const name of stale) {
    const removal = queue.run(name, async () => {
      const seen = await look(dependencies, name, now());
      blind ||= seen.processes === "unknown";
      const why = blind ? "processes could not be inspected" : keptBecause(seen, forSession);
      const armed = records.get(name)?.armed;
      if (why !== null || armed == null) {
        kept.push({ name, why: why ?? "nothing is known of it" });
        return;
      }
      const bytes = await state.diskUse(name).catch(() => 0);
      records.retire(name, armed.generation, now());
      if (await state.remove(name)) {
        removed.push(name);
        freedBytes += bytes;
      } else kept.push({ name, why: "its removal failed and is tried again" });
    });
    // A workspace that cannot be removed must not end the reclaim of the others.
    await removal.catch((error: unknown) => kept.push({ name, why: `it could not be removed: ${reasonOf(error)}` }));
  }
  return { removed, freedBytes, kept: kept.slice(0, keptShown) };
}

async function look(
  { state, records, residue, launcher }: ReclaimDependencies,
  name: string,
  now: number,
): Promise<WorkspaceSeen> {
  const unknown = { name, recorded: false, untouchedMs: null, processes: "none" } as const;
  let record;
  try {
    record = records.get(name);
  } catch {
    // A record that cannot be read says nothing about the workspace, so it counts as missing.
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
