/**
 * Ends the processes of one instance, or of a whole generation, with the host's stopper. Also reports the other processes
 * of that generation, so that the caller knows whether the container may be removed.
 */
import { stopOrder, type StopReport } from "../../src/protocol/sandbox/toolbox.ts";
import { Stopper } from "../host/processes/stopper.ts";
import { inspector, shown } from "./look.ts";

export async function stop(input: unknown): Promise<StopReport> {
  const { aim, grace_ms: graceMs, member } = stopOrder.parse(input);
  const residue = inspector(aim, member);
  const { remaining } = await new Stopper(residue).stop(aim, graceMs);
  const all = await residue.of({ ...aim, instance: null });
  const aimed = new Set(remaining.map((one) => one.pid));
  return { remaining: remaining.map(shown), others: all.filter((one) => !aimed.has(one.pid)).map(shown) };
}
