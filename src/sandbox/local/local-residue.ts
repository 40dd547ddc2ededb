/** What the local host says is left of something, in the words of the domain. */
import type { InstanceId } from "../../domain/ids.ts";
import type { Residue } from "../../domain/observation.ts";
import type { HostResidue } from "../../protocol/host.ts";

export function residueOf(one: HostResidue): Residue {
  return { kind: one.kind, instanceId: one.instance_id as InstanceId | null, pid: one.pid };
}
