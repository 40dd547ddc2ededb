/** Measures what a sandbox uses, and reads the end of its wrapper's log. */
import { statfsSync } from "node:fs";
import { dirname } from "node:path";
import { logsOrder, resourcesOrder } from "../../src/protocol/sandbox/toolbox.ts";
import { allocatedBytes } from "../host/disk/file-tree.ts";
import { measureProcesses, newestTail } from "../host/processes/measurements.ts";
import { inspector } from "./look.ts";

export async function resources(input: unknown): Promise<object> {
  const { aim, workspace, member } = resourcesOrder.parse(input);
  const found = inspector(aim, member).now(aim);
  return measureProcesses(
    found.map((one) => one.pid),
    member === undefined ? usedBytes(workspace) : await allocatedBytes(workspace),
  );
}

export async function logs(input: unknown): Promise<object> {
  const { state_dir: directory, tail_bytes: tailBytes } = logsOrder.parse(input);
  return newestTail([`${directory}/wrapper.log`, `${directory}/guardian.out`], tailBytes, Date.now());
}

/** For a container of one sandbox: everything used on its disk counts, image included. */
function usedBytes(path: string): number {
  try {
    const disk = statfsSync(path);
    return (disk.blocks - disk.bfree) * disk.bsize;
  } catch {
    const parent = dirname(path);
    return parent === path ? 0 : usedBytes(parent);
  }
}
