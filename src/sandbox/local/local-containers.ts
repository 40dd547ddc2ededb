/**
 * Shared containers of the local provider. A container is a directory on the host that holds the directories of its
 * members. It exists while its directory does, whether or not a process runs in it.
 */
import { failed, succeeded } from "../../domain/state/failure.ts";
import type { SandboxId } from "../../domain/state/ids.ts";
import type { Residue } from "../../domain/state/observation.ts";
import { hostContainerObservation, hostContainerRetired, hostDestroyed } from "../../protocol/sandbox/host.ts";
import type { Containers, ContainerTarget } from "../agent-sandbox.ts";
import { askHost, type HostAddress } from "./host-client.ts";
import { anotherHostWords, isAnotherHost, residueOf } from "./local-answers.ts";

export function localContainers(host: HostAddress): Containers {
  return {
    retire: async (target, bound) => {
      const call = { method: "POST", path: `${pathOf(target)}/retire`, body: {} } as const;
      const reply = await askHost(host, call, hostContainerRetired, bound);
      if (!reply.ok) return reply;
      const { host_id, boot_id } = reply.value;
      return isAnotherHost(target, host_id)
        ? failed("unavailable", anotherHostWords(target, host_id), "unknown")
        : succeeded({ host: host_id, boot: boot_id });
    },
    observe: async (target, beganAt, bound) => {
      const sandboxId = target.id as string as SandboxId;
      const about = { provider: "local", sandboxId, generation: target.generation, beganAt } as const;
      const call = { method: "GET", path: `${pathOf(target)}/observe` } as const;
      const reply = await askHost(host, call, hostContainerObservation, bound);
      if (!reply.ok) {
        const detail = `${reply.failure.code}: ${reply.failure.message}`;
        return { ...about, answer: "unknown", host: null, boot: null, residue: [], detail };
      }
      const { host_id, boot_id, exists } = reply.value;
      const shell: readonly Residue[] = exists ? [{ kind: "container", instanceId: null, pid: null }] : [];
      const residue = [...shell, ...reply.value.residue.map(residueOf)];
      const seen = { ...about, host: host_id, boot: boot_id, residue };
      if (isAnotherHost(target, host_id))
        return { ...seen, answer: "unknown", detail: anotherHostWords(target, host_id) };
      if (residue.length === 0)
        return {
          ...seen,
          answer: "absent",
          detail: "The container has no directory, and no process of any member is left.",
        };
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
