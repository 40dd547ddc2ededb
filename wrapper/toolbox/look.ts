/** Every live process of one session and generation. Zombies are not alive; an exact match only, never a prefix (PHY-3). */
import { lookOrder, type LookReport } from "../../src/protocol/toolbox.ts";
import { startTimeOf } from "../host/process-table.ts";
import { type Found, Residue } from "../host/residue.ts";

export async function look(input: unknown): Promise<LookReport> {
  const { aim, pids } = lookOrder.parse(input);
  const found = await inspector().of(aim);
  return { residue: found.map(shown), alive: pids.filter((pid) => startTimeOf(pid) !== null) };
}

/** In a container everything can be read, so what cannot be is not ours: nothing is doubted for having been started "since". */
export function inspector(): Residue {
  return new Residue(() => Number.POSITIVE_INFINITY, null);
}

export function shown(found: Found): LookReport["residue"][number] {
  return { kind: found.kind, instance: found.owner.instance, pid: found.pid };
}
