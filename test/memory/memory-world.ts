/**
 * A real model of what Mooring controls: hosts, sandboxes, wrappers, jobs. Synchronous and deterministic; the async face
 * of it is `memory-sandbox.ts`. It keeps the provider's half of the contract: a launch is idempotent by instance and
 * refused when retired, late or occupied; a retirement is durable; a stop strikes an instance, checked as it strikes.
 * Its clock is its own and never jumps (a controller's may). Time passes when somebody looks: nothing here is a timer.
 */
import { failed, succeeded, type ProviderResult } from "../../src/domain/state/failure.ts";
import type { InstanceId, SandboxId, SessionId } from "../../src/domain/state/ids.ts";
import type {
  Capacity,
  ContainerTarget,
  Enumerated,
  StoredFile,
  StoredSnapshot,
  Launched,
  LaunchOrder,
  SandboxLocation,
  Reclaimed,
  RestoreOrder,
  Retired,
  Target,
} from "../../src/sandbox/agent-sandbox.ts";
import { wrapperProtocol } from "../../src/domain/state/wrapper-protocol.ts";
import { EventQueue } from "./event-queue.ts";
import { HostRecords, type MemoryHost, type SandboxRecord } from "./host-records.ts";
import { Journal, type Process, type StopAim } from "./journal.ts";
import { MemoryContainers } from "./memory-containers.ts";
import { MemoryDisk } from "./memory-disk.ts";
import { MemoryInstance } from "./memory-instance.ts";
import { Mischief } from "./mischief.ts";
import { ProcessTable } from "./process-table.ts";
import { MemoryRestores, type RestoreUnderWay } from "./memory-restores.ts";
import { SnapshotShelf, type Files } from "./snapshot-shelf.ts";
import { launchRefusals, noHost, residueOf, type Seen } from "./world-answers.ts";

export interface WorldOptions {
  /** Epoch ms; must not jump. */
  readonly clock: { now(): number };
  /** From a launch until its wrapper listens. */
  readonly startMs?: number;
  readonly keepOutputBytes?: number;
  readonly maxJobs?: number;
  readonly pidSpace?: number;
  readonly disk?: { readonly total_bytes: number; readonly free_bytes: number };
}

const defaultDisk = { total_bytes: 20 * 2 ** 30, free_bytes: 15 * 2 ** 30 };

export class MemoryWorld {
  readonly journal = new Journal();
  /** What happens to it from outside the contract. */
  readonly mischief: Mischief;
  readonly snapshots = new SnapshotShelf();
  readonly restores = new MemoryRestores();
  readonly disk: MemoryDisk;
  readonly containers: MemoryContainers;
  /** What a workspace can be fetched from. */
  readonly repositories = new Map<string, ReadonlyMap<string, Files>>();
  /** What a wrapper that is launched from now on speaks: an older one, before a deploy, or a newer one, before a rollback. */
  wrapperProtocol = wrapperProtocol;
  readonly #clock: { now(): number };
  readonly #options: Required<Omit<WorldOptions, "clock">>;
  readonly #queue: EventQueue;
  readonly #processes: ProcessTable;
  readonly #records: HostRecords;
  readonly #waiting = new Set<() => void>();

  constructor(options: WorldOptions) {
    this.#clock = options.clock;
    this.#options = {
      startMs: options.startMs ?? 0,
      keepOutputBytes: options.keepOutputBytes ?? 2 ** 20,
      maxJobs: options.maxJobs ?? 64,
      pidSpace: options.pidSpace ?? 32_768,
      disk: options.disk ?? defaultDisk,
    };
    this.#queue = new EventQueue(options.clock.now());
    this.#processes = new ProcessTable(this.#queue, this.journal, this.#options.pidSpace);
    this.#records = new HostRecords(this.#queue, "memory-host");
    const parts = { queue: this.#queue, processes: this.#processes, records: this.#records, journal: this.journal };
    this.containers = new MemoryContainers(parts);
    this.disk = new MemoryDisk(parts, this.#options.disk);
    this.mischief = new Mischief({
      ...parts,
      advance: () => this.advance(),
      changed: () => this.changed(),
    });
  }

  /** Lets everything happen that is due, and answers what time it is. Every question below does so first. */
  advance(): number {
    if (this.#queue.advance(this.#clock.now())) this.changed();
    return this.#queue.time;
  }

  nextEventAt(): number | null {
    return this.#queue.nextAt();
  }

  /** Something that happens to the world later, whoever is still there to care. */
  schedule(delayMs: number, run: () => void): void {
    this.advance();
    this.#queue.schedule(delayMs, run);
    this.changed();
  }

  /** Calls back once, at the next change of the world. Answers how to stop waiting. */
  onChange(wake: () => void): () => void {
    this.#waiting.add(wake);
    return () => this.#waiting.delete(wake);
  }

  // --- The provider's side. ---

  launch(order: LaunchOrder): ProviderResult<Launched> {
    this.advance();
    const record = this.#record(order);
    const { host } = record;
    const scanning = this.#records.scanning(host);
    if (scanning !== null) return scanning;
    const launched = succeeded({ host: host.id, boot: host.boot });
    const retired = order.generation <= (record.retiredThrough ?? -1) || this.containers.isRetired(order.container);
    if (retired) return this.#refuse(order, "refused_retired");
    if (record.armed?.instanceId === order.instanceId && record.armed.generation === order.generation) {
      this.#note(order, "launchRepeated");
      return launched;
    }
    if (this.#queue.time > order.launchNotAfter) return this.#refuse(order, "refused_late");
    if (this.restores.isUnderWay(order.instanceId, this.#queue.time)) return this.#refuse(order, "occupied");
    if (record.armed !== null || this.#processes.everythingIn(order.sandboxId).length > 0) {
      return this.#refuse(order, "occupied");
    }
    const noRoom = this.mischief.refusesInstance() ?? this.disk.refusesLaunch();
    if (noRoom !== null) return noRoom;
    const { restore } = order;
    const files =
      restore === undefined
        ? new Map<string, string>()
        : this.snapshots.restored(order.restoreOf ?? order.sessionId, restore);
    if (files === null) return failed("not_found", `no snapshot ${restore ?? ""}`, "none");
    record.armed = { instanceId: order.instanceId, generation: order.generation };
    if (order.container !== undefined) this.containers.joined(order.container, record);
    record.files = files;
    record.filesSince = this.#queue.time;
    this.#start(order, record, "launched");
    return launched;
  }

  /** Begins, or tells how far it is. A retired instance gets nothing any more. */
  restore(order: RestoreOrder): ProviderResult<RestoreUnderWay> {
    this.advance();
    const record = this.#record(order);
    const scanning = this.#records.scanning(record.host);
    if (scanning !== null) return scanning;
    if (order.generation <= (record.retiredThrough ?? -1) || this.containers.isRetired(order.container))
      return failed("refused_retired", `sandbox ${order.sandboxId} is retired`, "none");
    const files = this.snapshots.restored(order.snapshotOf ?? order.sessionId, order.snapshotId);
    if (files === null) return failed("not_found", `no snapshot ${order.snapshotId}`, "none");
    const bytes = Array.from(files).reduce((sum, [name, text]) => sum + name.length + text.length, 0);
    return succeeded(this.restores.ask(order.instanceId, bytes, this.#queue.time));
  }

  retire(target: Target): ProviderResult<Retired> {
    this.advance();
    const record = this.#records.record(target);
    if (record === null) return noHost(target);
    const { host } = record;
    const scanning = this.#records.scanning(host);
    if (scanning !== null) return scanning;
    record.retiredThrough = Math.max(record.retiredThrough ?? 0, target.generation);
    for (const instance of record.instances)
      if (instance.order.generation <= record.retiredThrough) instance.traffic.cut();
    const { sandboxId, generation } = target;
    this.journal.add({ type: "retired", at: this.#queue.time, sandboxId, generation });
    return succeeded({ host: host.id, boot: host.boot });
  }

  /** `asOf`: what a list taken at that earlier instant would have shown. */
  look(target: Target, asOf: number | null): ProviderResult<Seen> {
    const host = this.#answering(target);
    if (!host.ok) return host;
    const { sandboxId, sessionId } = target;
    const found =
      asOf === null
        ? this.#processes.inSandbox(sandboxId, sessionId)
        : this.#processes.inSandboxAt(sandboxId, sessionId, asOf);
    const { id, boot } = host.value;
    return succeeded({ host: id, boot, residue: found.filter((process) => process.host === id).map(residueOf) });
  }

  /** TERM now, KILL for what is left after the grace. What it answers is only that the order was taken. */
  stop(target: Target, graceMs: number): ProviderResult<{ readonly strikesAt: number }> {
    const host = this.#answering(target);
    if (!host.ok) return host;
    const { sandboxId, generation, instanceId } = target;
    const aim: StopAim = { sandboxId, generation, instanceId };
    for (const process of this.aimedAt(target)) {
      // A wrapper ends its own jobs; its guardian must outlive it, to do that if the wrapper does not.
      if (process.kind === "wrapper" || process.kind === "legacy") this.#processes.signal(process, "SIGTERM", aim);
    }
    this.#queue.schedule(graceMs, () => {
      // Who is struck is decided now, not when the order was given: a stop that comes late kills nothing newer.
      for (const process of this.aimedAt(target)) this.#processes.signal(process, "SIGKILL", aim);
    });
    this.changed();
    return succeeded({ strikesAt: this.#queue.time + graceMs });
  }

  /** What a stop of this target would strike now. */
  aimedAt(target: Target): readonly Process[] {
    this.advance();
    return this.#processes.inSandbox(target.sandboxId, target.sessionId).filter((process) => {
      if (target.instanceId !== null) return process.instanceId === target.instanceId;
      return process.instanceId === null || process.generation === target.generation;
    });
  }

  /** Forgets the contents of a retired, empty sandbox. What is retired stays retired. */
  destroy(target: Target): ProviderResult<null> {
    this.advance();
    const record = this.#records.known(target.sandboxId);
    if (record === null) return failed("not_found", `no sandbox ${target.sandboxId}`, "none");
    if ((record.retiredThrough ?? -1) < target.generation) return failed("invalid", "it is not retired", "none");
    const left = this.#processes.everythingIn(target.sandboxId).length;
    if (left > 0) return failed("invalid", `${left} processes are left in it`, "none");
    record.instances = [];
    record.files = null;
    this.disk.forget(target.sandboxId);
    return succeeded(null);
  }

  save(target: Target, snapshotId: string): ProviderResult<{ readonly bytes: number }> {
    const host = this.#answering(target);
    if (!host.ok) return host;
    const { sessionId, sandboxId } = target;
    const record = this.#records.known(sandboxId);
    const meant =
      record?.armed?.generation === target.generation &&
      (target.instanceId === null || record.armed.instanceId === target.instanceId);
    const saved = this.snapshots.save(sessionId, snapshotId, meant ? record.files : null, this.#queue.time);
    if (saved.ok) {
      const jobs = this.#processes
        .inSandbox(sandboxId, sessionId)
        .filter(({ kind, frozen }) => kind === "job" && !frozen).length;
      this.journal.add({ type: "saved", at: this.#queue.time, sessionId, sandboxId, snapshotId, jobs });
    }
    return saved;
  }

  storedSnapshot(sessionId: SessionId, snapshotId: string): StoredSnapshot {
    this.advance();
    return { ...this.snapshots.stored(sessionId, snapshotId), asked: `host ${this.#records.firstHost.id}` };
  }

  /** What is not there is removed all the same: it must not land later. */
  removeSnapshot(sessionId: SessionId, snapshotId: string): ProviderResult<null> {
    this.advance();
    const scanning = this.#records.scanning(this.#records.firstHost);
    if (scanning !== null) return scanning;
    this.snapshots.remove(sessionId, snapshotId);
    this.journal.add({ type: "snapshotRemoved", at: this.#queue.time, sessionId, snapshotId });
    return succeeded(null);
  }

  /** Host first: a question about a shared container is answered by the one that has it, once it has scanned. */
  ofContainer<T>(target: ContainerTarget, answer: (host: MemoryHost) => ProviderResult<T>): ProviderResult<T> {
    this.advance();
    const host = target.host === null ? this.#records.firstHost : this.#records.host(target.host);
    if (host === null) return failed("unavailable", `no host ${target.host ?? ""} answers`, "none");
    const answered = this.#records.scanning(host) ?? answer(host);
    this.changed();
    return answered;
  }

  inspectCapacity(): ProviderResult<Capacity> {
    this.advance();
    return this.#records.scanning(this.#records.firstHost) ?? this.disk.inspect();
  }

  reclaim(location: SandboxLocation): ProviderResult<Reclaimed> {
    this.advance();
    const scanning = this.#records.scanning(this.#records.firstHost);
    return scanning ?? this.disk.reclaim(location);
  }

  enumerate(): ProviderResult<readonly Enumerated[]> {
    this.advance();
    for (const host of this.#records.hosts) {
      const scanning = this.#records.scanning(host);
      if (scanning !== null) return scanning;
    }
    return succeeded(
      this.#processes.alive().map((process) => {
        const { sessionId, sandboxId, generation } = process;
        const container = sandboxId === null ? null : this.#records.known(sandboxId)?.container;
        const named = { sessionId, sandboxId, generation, host: process.host, residue: residueOf(process) };
        return container == null ? named : { ...named, container };
      }),
    );
  }

  files(): ProviderResult<readonly StoredFile[]> {
    this.advance();
    const { firstHost } = this.#records;
    const scanning = this.#records.scanning(firstHost);
    if (scanning !== null) return scanning;
    const workspaces = this.#records.all().flatMap((record): StoredFile[] => {
      if (record.files === null) return [];
      const { sandboxId: name, host, armed, filesSince, container } = record;
      // Who armed it is in its name.
      const named = { kind: "workspace", name, host: host.id, sessionId: null } as const;
      const place = container === null ? {} : { container };
      const generation = armed?.generation ?? null;
      return [{ ...named, ...place, generation, ageMs: this.#queue.time - filesSince, removal: null }];
    });
    const snapshots = this.snapshots.all().map(({ sessionId, name, at }): StoredFile => ({
      ...{ kind: "snapshot", name, host: firstHost.id, sessionId, generation: null },
      ...{ ageMs: this.#queue.time - at, removal: null },
    }));
    return succeeded([...workspaces, ...snapshots]);
  }

  /** The instance of that name; when a test made duplicates, the one that answers. null: no trace of one. */
  instance(sandboxId: SandboxId, instanceId: InstanceId): MemoryInstance | null {
    this.advance();
    const instances = this.#records.known(sandboxId)?.instances ?? [];
    const named = instances.filter((instance) => instance.order.instanceId === instanceId);
    // A frozen one keeps its port: a duplicate that is awake does not answer in its place.
    return named.find((instance) => instance.listens || instance.frozen) ?? named.at(-1) ?? null;
  }

  // --- What a test may look at. ---

  /** Every live process. */
  processes(): readonly Process[] {
    this.advance();
    return this.#processes.alive();
  }

  /** What its host durably knows of it; null: it never heard of it. */
  sandbox(sandboxId: SandboxId): SandboxRecord | null {
    this.advance();
    return this.#records.known(sandboxId);
  }

  /** Starts a wrapper past every check: a duplicate of a running instance, or a foreign one in somebody's sandbox. */
  smuggle(order: LaunchOrder): MemoryInstance {
    this.advance();
    return this.#start(order, this.#record(order), "smuggled");
  }

  #start(order: LaunchOrder, record: SandboxRecord, how: "launched" | "smuggled"): MemoryInstance {
    const { startMs, keepOutputBytes, maxJobs, disk } = this.#options;
    const instance = new MemoryInstance(order, {
      queue: this.#queue,
      processes: this.#processes,
      journal: this.journal,
      host: record.host.id,
      boot: record.host.boot,
      startMs,
      keepOutputBytes,
      maxJobs,
      disk,
      repositories: this.repositories,
      protocol: this.wrapperProtocol,
      changed: () => this.changed(),
      files: (record.files ??= new Map<string, string>()),
      retired: () => order.generation <= (record.retiredThrough ?? -1),
    });
    record.instances.push(instance);
    this.#note(order, how);
    // A wrapper that takes no time to start listens at once.
    this.advance();
    this.changed();
    return instance;
  }

  /** Who answers a question about this target: the host it names, once it has scanned. */
  #answering(target: Target): ProviderResult<MemoryHost> {
    this.advance();
    const host = this.#records.hostOf(target);
    if (host === null) return noHost(target);
    return this.#records.scanning(host) ?? succeeded(host);
  }

  #record(order: Pick<LaunchOrder, "sandboxId">): SandboxRecord {
    const record = this.#records.record({ sandboxId: order.sandboxId, host: null });
    if (record === null) throw new Error("a sandbox without a host");
    return record;
  }

  #refuse(order: LaunchOrder, why: keyof typeof launchRefusals): ProviderResult<never> {
    const { sessionId, sandboxId, instanceId, generation } = order;
    const at = this.#queue.time;
    this.journal.add({ type: "launchRefused", at, code: why, sessionId, sandboxId, instanceId, generation });
    return failed(launchRefusals[why].code, launchRefusals[why].words, "none");
  }

  #note(order: LaunchOrder, type: "launched" | "launchRepeated" | "smuggled"): void {
    const { sessionId, sandboxId, instanceId, generation } = order;
    this.journal.add({ type, at: this.#queue.time, sessionId, sandboxId, instanceId, generation });
  }

  /** To be told of every change that did not come through a method of the world: whoever waits looks again. */
  changed(): void {
    const waiting = Array.from(this.#waiting);
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }
}
