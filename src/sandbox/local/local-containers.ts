/**
 * The local provider's shared containers: a directory on the host with the places of the members in it. A container is there while
 * its directory is, whether anything runs in it or not.
 */
import { failed, succeeded } from "../../domain/failure.ts";
import type { SandboxId } from "../../domain/ids.ts";
import type { Residue } from "../../domain/observation.ts";
import { hostContainerObservation, hostContainerRetired, hostDestroyed } from "../../protocol/host.ts";
import type { Containers, ContainerTarget } from "../agent-sandbox.ts";
import { askHost, type HostAddress } from "./host-client.ts";
import { residueOf } from "./local-residue.ts";

export function localContainers(host: HostAddress): Containers {
  return {
    retire: async (target, bound) => {
      const ask = { method: "POST", path: `${pathOf(target)}/retire`, body: {} } as const;
      const reply = await askHost(host, ask, hostContainerRetired, bound);
      if (!reply.ok) return reply;
      const { host_id, boot_id } = reply.value;
      return isAnother(target, host_id)
        ? failed("unavailable", otherHost(target, host_id), "unknown")
        : succeeded({ host: host_id, boot: boot_id });
    },
    observe: async (target, beganAt, bound) => {
      const sandboxId = target.id as string as SandboxId;
      const about = { provider: "local", sandboxId, generation: target.generation, beganAt } as const;
      const ask = { method: "GET", path: `${pathOf(target)}/observe` } as const;
      const reply = await askHost(host, ask, hostContainerObservation, bound);
      if (!reply.ok) {
        const detail = `${reply.failure.code}: ${reply.failure.message}`;
        return { ...about, answer: "unknown", host: null, boot: null, residue: [], detail };
      }
      const { host_id, boot_id, exists } = reply.value;
      const shell: readonly Residue[] = exists ? [{ kind: "container", instanceId: null, pid: null }] : [];
      const residue = [...shell, ...reply.value.residue.map(residueOf)];
      const seen = { ...about, host: host_id, boot: boot_id, residue };
      if (isAnother(target, host_id)) return { ...seen, answer: "unknown", detail: otherHost(target, host_id) };
      if (residue.length === 0)
        return { ...seen, answer: "absent", detail: "It has no directory, and no process of any member is there." };
      const processes = reply.value.residue.length;
      return {
        ...seen,
        answer: "present",
        detail: `${exists ? "Its directory" : "No directory"}, ${processes} processes.`,
      };
    },
    destroy: (target, bound) => askHost(host, { method: "DELETE", path: pathOf(target) }, hostDestroyed, bound),
  };
}

function pathOf({ id }: ContainerTarget): string {
  return `/containers/${encodeURIComponent(id)}`;
}

function isAnother(target: ContainerTarget, host: string): boolean {
  return target.host !== null && target.host !== host;
}

function otherHost(target: ContainerTarget, host: string): string {
  return `Host ${host} answered; the container is on host ${target.host ?? "(none)"}.`;
}
