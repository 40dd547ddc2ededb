/** What a host does with processes: launch, find, stop. Without HTTP; the answers are those of src/protocol/sandbox/host.ts. */
import type { z } from "zod";
import type {
  hostContainerObservation,
  hostContainerRetired,
  hostEnumeration,
  HostInstance,
  HostLaunchOrder,
  hostObservation,
  hostRetired,
  hostStopped,
} from "../../src/protocol/sandbox/host.ts";
import { aimOf, identityOf, residueView, type HostDependencies } from "./host-dependencies.ts";
import type { Aim } from "./processes/residue.ts";

const maxDetailLength = 500;

export class ProcessOperations {
  readonly #dependencies: HostDependencies;

  constructor(dependencies: HostDependencies) {
    this.#dependencies = dependencies;
  }

  launch(instanceId: string, order: HostLaunchOrder): Promise<HostInstance> {
    return this.#dependencies.launcher.launch(instanceId, order);
  }

  async endpoint(instanceId: string): Promise<HostInstance> {
    return this.#dependencies.launcher.endpoint(instanceId);
  }

  async retire(sandboxId: string, generation: number): Promise<z.infer<typeof hostRetired>> {
    const { records, restores, traffic } = this.#dependencies;
    const retired = records.retire(sandboxId, generation, Date.now());
    traffic.retire(sandboxId, retired);
    restores.abort((target) => target.sandbox_id === sandboxId && target.generation <= retired);
    return { ...identityOf(this.#dependencies), retired_through: retired };
  }

  async observe(sandboxId: string, aim: Aim): Promise<z.infer<typeof hostObservation>> {
    const { records, cgroups, jobUsers, residue } = this.#dependencies;
    // Throws for a record that cannot be read: it might name another session, so nothing can be said.
    records.get(sandboxId);
    // Asked before the look: a group that is there now counts its processes until the look ends.
    const isCounted = cgroups?.holds(aim.session, aim.generation) === true;
    const containment = isCounted ? "cgroup" : jobUsers.has(sandboxId, aim) ? "user" : "marker";
    const found = (await residue.of(aim)).map((one) => residueView(this.#dependencies, one));
    const detail =
      found.length > 0
        ? `${found.length} live process${found.length === 1 ? "" : "es"}: ${found.map(({ kind, pid }) => `${kind} ${pid}`).join(", ")}`
        : "Two walks of /proc found no process of this session and generation.";
    return {
      ...identityOf(this.#dependencies),
      answer: found.length > 0 ? "present" : "absent",
      residue: found,
      detail: detail.slice(0, maxDetailLength),
      containment,
    };
  }

  async stop(aim: Aim, graceMs: number): Promise<z.infer<typeof hostStopped>> {
    const { ended, remaining } = await this.#dependencies.stopper.stop(aim, graceMs);
    return {
      ...identityOf(this.#dependencies),
      ended: [...ended],
      remaining: remaining.map((one) => residueView(this.#dependencies, one)),
    };
  }

  /** Every process that carries a session's marks, whoever started it. */
  async enumerate(): Promise<z.infer<typeof hostEnumeration>> {
    const residue = this.#dependencies.residue.look().map((found) => residueView(this.#dependencies, found));
    return { ...identityOf(this.#dependencies), residue };
  }

  async retireContainer(id: string): Promise<z.infer<typeof hostContainerRetired>> {
    const { containers, restores } = this.#dependencies;
    containers.retire(id, Date.now());
    restores.abort(({ container }) => container === id);
    return identityOf(this.#dependencies);
  }

  async observeContainer(id: string): Promise<z.infer<typeof hostContainerObservation>> {
    const { containers } = this.#dependencies;
    const found = await containers.residue(id);
    const residue = found.map((one) => residueView(this.#dependencies, one));
    return { ...identityOf(this.#dependencies), exists: containers.exists(id), residue };
  }

  /** Retires and ends every sandbox that this host has a record of. Answers how many processes are left. */
  async endAll(graceMs: number): Promise<number> {
    const { records, stopper, traffic } = this.#dependencies;
    const stopping = [...records.all()].map(async (record) => {
      const aim = aimOf(record);
      if (aim === null) return 0;
      traffic.retire(record.sandboxId, records.retire(record.sandboxId, aim.generation, Date.now()));
      return (await stopper.stop(aim, graceMs)).remaining.length;
    });
    return (await Promise.all(stopping)).reduce((sum, remaining) => sum + remaining, 0);
  }
}
