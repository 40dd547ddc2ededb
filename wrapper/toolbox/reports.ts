/** What a sandbox uses, and the end of what its wrapper wrote down. */
import { statfsSync } from "node:fs";
import { dirname } from "node:path";
import { logsOrder, resourcesOrder } from "../../src/protocol/toolbox.ts";
import { measureProcesses, newestTail } from "../host/measurements.ts";
import { inspector } from "./look.ts";

export async function resources(input: unknown): Promise<object> {
  const { aim, workspace } = resourcesOrder.parse(input);
  const found = await inspector().of(aim);
  return measureProcesses(
    found.map((one) => one.pid),
    usedBytes(workspace),
  );
}

export async function logs(input: unknown): Promise<object> {
  const { state_dir: directory, tail_bytes: tailBytes } = logsOrder.parse(input);
  return newestTail([`${directory}/wrapper.log`, `${directory}/guardian.out`], tailBytes, Date.now());
}

/** The container's disk is its own: what is used of it is what the sandbox uses, image included. */
function usedBytes(path: string): number {
  try {
    const disk = statfsSync(path);
    return (disk.blocks - disk.bfree) * disk.bsize;
  } catch {
    const parent = dirname(path);
    return parent === path ? 0 : usedBytes(parent);
  }
}
