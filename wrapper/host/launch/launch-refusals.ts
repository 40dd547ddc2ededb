/** Why a launch or a restore is refused before it has any effect. */
import type { HostLaunchOrder } from "../../../src/protocol/sandbox/host.ts";
import type { Containers } from "../containers.ts";
import type { Records } from "../records/records.ts";
import { Refusal } from "../refusal.ts";

export interface RefusalSources {
  readonly records: Pick<Records, "get" | "byInstance">;
  readonly containers: Pick<Containers, "isRetired">;
}

/** What a launch and a restore have in common. Only a launch has a deadline. */
export type InstanceOrder = Pick<HostLaunchOrder, "sandbox_id" | "container" | "generation"> & {
  readonly launch_not_after?: number;
};

/** Throws the refusal. Reads memory only, so that no await separates this check from the spawn that it guards. */
export function refuseLaunch({ records, containers }: RefusalSources, instanceId: string, order: InstanceOrder): void {
  const { sandbox_id: sandboxId, generation, container, launch_not_after: notAfter } = order;
  const record = records.get(sandboxId);
  if (containers.isRetired(container)) throw new Refusal("refused_retired", `Container ${container ?? ""} is retired.`);
  if (record?.retiredThrough != null && generation <= record.retiredThrough)
    throw new Refusal(
      "refused_retired",
      `Sandbox ${sandboxId} is retired through generation ${record.retiredThrough}.`,
    );
  const armed = record?.armed;
  if (armed != null && (armed.instanceId !== instanceId || armed.generation !== generation))
    throw new Refusal(
      "occupied",
      `Sandbox ${sandboxId} serves instance ${armed.instanceId} of generation ${armed.generation}.`,
    );
  if (armed != null && (record?.container ?? null) !== (container ?? null))
    throw new Refusal("occupied", `Sandbox ${sandboxId} is in ${record?.container ?? "no shared container"}.`);
  const elsewhere = records.byInstance(instanceId);
  if (elsewhere !== null && elsewhere.sandboxId !== sandboxId)
    throw new Refusal("occupied", `Instance ${instanceId} belongs to sandbox ${elsewhere.sandboxId}.`);
  // The repeat of a launch that was answered starts nothing, so it may come late.
  if (armed?.running == null && notAfter !== undefined && Date.now() > notAfter)
    throw new Refusal("refused_late", lateWords(Date.now(), notAfter));
}

/** Names both clocks: a host whose clock is ahead refuses every launch, and only the two times side by side show it. */
function lateWords(now: number, notAfter: number): string {
  const [host, limit] = [now, notAfter].map((at) => new Date(at).toISOString());
  return (
    `The launch came ${now - notAfter} ms too late. The host's clock says ${host}; by the control plane's clock nothing may ` +
    `start after ${limit}. If the launch was not on its way for that long, the two clocks differ.`
  );
}
