/** Reads answers of the host: what is left of a sandbox, and whether another host answered than the lease recorded. */
import type { InstanceId } from "../../domain/state/ids.ts";
import type { Residue } from "../../domain/state/observation.ts";
import type { HostResidue } from "../../protocol/sandbox/host.ts";

/** What the lease or the container record says about its host; null: not recorded yet. */
interface Recorded {
  readonly host: string | null;
}

export function residueOf(one: HostResidue): Residue {
  return { kind: one.kind, instanceId: one.instance_id as InstanceId | null, pid: one.pid };
}

/** Another host proves nothing about this target: its answer is `unknown`. */
export function isAnotherHost({ host }: Recorded, answered: string): boolean {
  return host !== null && host !== answered;
}

export function anotherHostWords({ host }: Recorded, answered: string): string {
  return `Host ${answered} answered, and the record says host ${host ?? "(none)"}: only that one can prove anything about it.`;
}
