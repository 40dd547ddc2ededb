/**
 * The shared containers of a memory world: which there are, which are retired (durably, as everything a host records), and
 * the end of one with all that is in it. A container is there from its first launch until it is destroyed.
 */
import { failed, succeeded, type ProviderResult } from "../../src/domain/state/failure.ts";
import type { ContainerId } from "../../src/domain/state/ids.ts";
import type { Residue } from "../../src/domain/state/observation.ts";
import type { ContainerTarget, Retired } from "../../src/sandbox/agent-sandbox.ts";
import type { EventQueue } from "./event-queue.ts";
import type { HostRecords, MemoryHost, SandboxRecord } from "./host-records.ts";
import type { Journal } from "./journal.ts";
import type { ProcessTable } from "./process-table.ts";
import { residueOf, type Seen } from "./world-answers.ts";

interface Innards {
  readonly queue: EventQueue;
  readonly processes: ProcessTable;
  readonly records: HostRecords;
  readonly journal: Journal;
}

interface ContainerRecord {
  retired: boolean;
  exists: boolean;
}

export class MemoryContainers {
  readonly #world: Innards;
  readonly #known = new Map<ContainerId, ContainerRecord>();

  constructor(world: Innards) {
    this.#world = world;
  }

  isRetired(id: ContainerId | undefined): boolean {
    return id !== undefined && this.#known.get(id)?.retired === true;
  }

  exists(id: ContainerId): boolean {
    return this.#known.get(id)?.exists === true;
  }

  /** Something is launched in it: it is there. */
  joined(id: ContainerId, record: SandboxRecord): void {
    record.container = id;
    this.#record(id).exists = true;
  }

  retire(target: ContainerTarget, host: MemoryHost): ProviderResult<Retired> {
    this.#record(target.id).retired = true;
    this.#world.journal.add({ type: "containerRetired", at: this.#world.queue.time, container: target.id });
    return succeeded({ host: host.id, boot: host.boot });
  }

  look(target: ContainerTarget, host: MemoryHost): ProviderResult<Seen> {
    const shell: readonly Residue[] = this.exists(target.id)
      ? [{ kind: "container", instanceId: null, pid: null }]
      : [];
    const inside = this.#inside(target.id).map(residueOf);
    return succeeded({ host: host.id, boot: host.boot, residue: [...shell, ...inside] });
  }

  /** At once: no signal is taken, no grace is given, no file is left. */
  destroy({ id }: ContainerTarget): ProviderResult<null> {
    const known = this.#known.get(id);
    if (known === undefined) return succeeded(null);
    if (!known.retired) return failed("invalid", "it is not retired", "none");
    const doomed = new Set(this.#inside(id).map(({ pid }) => pid));
    this.#world.processes.vanish((process) => doomed.has(process.pid));
    for (const record of this.#world.records.inContainer(id)) {
      record.instances = [];
      record.files = null;
    }
    if (known.exists)
      this.#world.journal.add({ type: "containerDestroyed", at: this.#world.queue.time, container: id });
    known.exists = false;
    return succeeded(null);
  }

  #inside(id: ContainerId) {
    const members = new Set(this.#world.records.inContainer(id).map(({ sandboxId }) => sandboxId));
    return this.#world.processes.alive().filter(({ sandboxId }) => sandboxId !== null && members.has(sandboxId));
  }

  #record(id: ContainerId): ContainerRecord {
    const known = this.#known.get(id) ?? { retired: false, exists: false };
    this.#known.set(id, known);
    return known;
  }
}
