/**
 * The operations of the host, without HTTP. Everything but health refuses with `scanning` until the first look at
 * /proc after its start is complete: a host that does not know yet must not say "absent" (PHY-16).
 */
import type { z } from "zod";
import type {
  hostContainerObservation,
  hostContainerRetired,
  HostInstance,
  HostLaunchOrder,
  hostEnumeration,
  hostHealth,
  hostLogs,
  hostObservation,
  hostReclaimed,
  HostResidue,
  hostResources,
  hostRetired,
  hostSaveOrder,
  hostSnapshot,
  hostSnapshotRemoved,
  hostSpace,
  hostStopped,
} from "../../src/protocol/host.ts";
import { Containers } from "./containers.ts";
import { Cgroups } from "./cgroups.ts";
import { JobUsers, proveJobUsers, type JobUserRange } from "./job-users.ts";
import { Launcher } from "./launcher.ts";
import { measureProcesses, readLog } from "./measurements.ts";
import { reclaim } from "./reclaim.ts";
import { Records } from "./records.ts";
import { Refusal } from "./refusal.ts";
import { Residue, type Aim, type Found } from "./residue.ts";
import { Snapshots } from "./snapshots.ts";
import { measureSpace } from "./space.ts";
import { StateDirectory } from "./state-directory.ts";
import { Stopper } from "./stopper.ts";

export interface SandboxHostOptions {
  readonly stateDirectory: string;
  readonly wrapperFile: string;
  readonly version: string;
  readonly quotaBytes: number | null;
  /** The users that jobs run as, one for each sandbox; null: as this host does. */
  readonly jobUsers?: JobUserRange | null;
  /** Control groups of the kernel: where they can be had, or never (tests of a host that has none). */
  readonly cgroups?: "possible" | "never";
  /** For tests: how much older than it is everything on disk looks to a reclaim. ms */
  readonly agedMs?: number;
}

/** A job that throws its environment away is known by its parent; the parent has to be seen before it ends. */
const trackingMs = 1_000;

export class SandboxHost {
  readonly state: StateDirectory;
  readonly #records: Records;
  readonly #residue: Residue;
  readonly #cgroups: Cgroups | null;
  readonly #jobUsers: JobUsers;
  readonly #stopper: Stopper;
  readonly #launcher: Launcher;
  readonly #snapshots: Snapshots;
  readonly #containers: Containers;
  readonly #version: string;
  readonly #quotaBytes: number | null;
  readonly #agedMs: number;
  #ready = false;
  #tracking: NodeJS.Timeout | null = null;

  constructor(options: SandboxHostOptions) {
    this.state = new StateDirectory(options.stateDirectory);
    this.#version = options.version;
    this.#records = new Records(options.stateDirectory);
    this.#cgroups = options.cgroups === "never" ? null : Cgroups.open(this.state.hostId);
    const { jobUsers = null } = options;
    if (jobUsers !== null) proveJobUsers(jobUsers, this.state, options.wrapperFile);
    this.#jobUsers = new JobUsers(
      jobUsers,
      this.#records,
      (sandboxId) => this.state.isEmpty(sandboxId) && !this.#launcher.isStarting(sandboxId),
    );
    const counted = { members: () => [...(this.#cgroups?.members() ?? []), ...this.#jobUsers.members()] };
    this.#residue = new Residue((aim) => this.#armedAt(aim), counted);
    this.#stopper = new Stopper(this.#residue);
    const { wrapperFile, version, quotaBytes } = options;
    this.#quotaBytes = quotaBytes;
    this.#agedMs = options.agedMs ?? 0;
    this.#snapshots = new Snapshots(this.state, quotaBytes);
    const { state } = this;
    this.#containers = new Containers({
      state,
      records: this.#records,
      residue: this.#residue,
      stopper: this.#stopper,
    });
    this.#launcher = new Launcher({
      state: this.state,
      records: this.#records,
      residue: this.#residue,
      stopper: this.#stopper,
      snapshots: this.#snapshots,
      containers: this.#containers,
      cgroups: this.#cgroups,
      jobUsers: this.#jobUsers,
      wrapperFile,
      version,
      quotaBytes,
    });
  }

  /** Reads the records and looks once; from then on the host answers. */
  start(): void {
    this.#records.load(Date.now(), (sandboxId) => this.state.isEmpty(sandboxId));
    for (const { sandboxId, container } of this.#records.all())
      if (container !== null) this.state.house(sandboxId, container);
    this.#containers.load(Date.now());
    this.#jobUsers.load();
    this.#snapshots.start(Date.now());
    for (const record of this.#records.all()) {
      const { armed, sessionId } = record;
      if (armed?.running == null || sessionId === null || armed.bootId !== this.state.bootId) continue;
      const owner = { session: sessionId, instance: armed.instanceId, generation: armed.generation };
      for (const process_ of [armed.running.guardian, armed.running.wrapper]) {
        this.#residue.remember(process_.pid, process_.startTime, owner);
      }
    }
    this.#residue.look();
    this.#ready = true;
    this.#tracking = setInterval(() => this.#residue.look(), trackingMs);
  }

  close(): void {
    if (this.#tracking !== null) clearInterval(this.#tracking);
    this.#ready = false;
    this.#cgroups?.removeEmpty();
    this.state.unlock();
  }

  health(): z.infer<typeof hostHealth> {
    return { ...this.#identity(), ready: this.#ready, version: this.#version };
  }

  async launch(instanceId: string, order: HostLaunchOrder): Promise<HostInstance> {
    this.#refuseUntilReady();
    return this.#launcher.launch(instanceId, order);
  }

  async endpoint(instanceId: string): Promise<HostInstance> {
    this.#refuseUntilReady();
    return this.#launcher.endpoint(instanceId);
  }

  async retire(sandboxId: string, generation: number): Promise<z.infer<typeof hostRetired>> {
    this.#refuseUntilReady();
    return { ...this.#identity(), retired_through: this.#records.retire(sandboxId, generation, Date.now()) };
  }

  async observe(sandboxId: string, aim: Aim): Promise<z.infer<typeof hostObservation>> {
    this.#refuseUntilReady();
    // A record that cannot be read might name another session: then nothing can be said.
    this.#records.get(sandboxId);
    // Asked first: what a group held is known by it to the end of this look.
    const isCounted = this.#cgroups?.holds(aim.session, aim.generation) === true;
    const containment = isCounted ? "cgroup" : this.#jobUsers.has(sandboxId, aim) ? "user" : "marker";
    const found = await this.#residue.of(aim);
    const residue = found.map((one) => this.#shown(one));
    const detail =
      found.length > 0
        ? `${found.length} live process${found.length === 1 ? "" : "es"}: ${residue.map((one) => `${one.kind} ${one.pid}`).join(", ")}`.slice(
            0,
            500,
          )
        : "Two walks of /proc found no process of this session and generation.";
    return { ...this.#identity(), answer: found.length > 0 ? "present" : "absent", residue, detail, containment };
  }

  async stop(aim: Aim, graceMs: number): Promise<z.infer<typeof hostStopped>> {
    this.#refuseUntilReady();
    const outcome = await this.#stopper.stop(aim, graceMs);
    return {
      ...this.#identity(),
      ended: [...outcome.ended],
      remaining: outcome.remaining.map((one) => this.#shown(one)),
    };
  }

  /** Only of what was launched here under these very names. Whether it still runs is not asked: its files are there or not. */
  async save(
    sessionId: string,
    snapshotId: string,
    order: z.infer<typeof hostSaveOrder>,
  ): Promise<z.infer<typeof hostSnapshot>> {
    this.#refuseUntilReady();
    const record = this.#records.get(order.sandbox_id);
    const { armed } = record ?? { armed: null };
    const meant =
      record?.sessionId === sessionId &&
      armed?.generation === order.generation &&
      (order.instance_id === null || armed.instanceId === order.instance_id);
    if (!meant) throw new Refusal("not_found", `No sandbox ${order.sandbox_id} of that session and generation here.`);
    const { workspace } = this.state.sandbox(order.sandbox_id);
    const bytes = await this.#snapshots.save(sessionId, snapshotId, workspace);
    return { ...this.#identity(), bytes };
  }

  async removeSnapshot(sessionId: string, snapshotId: string): Promise<z.infer<typeof hostSnapshotRemoved>> {
    this.#refuseUntilReady();
    await this.#snapshots.remove(sessionId, snapshotId);
    return this.#identity();
  }

  async logs(sandboxId: string, tailBytes: number): Promise<z.infer<typeof hostLogs>> {
    this.#refuseUntilReady();
    this.#known(sandboxId);
    return readLog(this.state.sandbox(sandboxId), tailBytes, Date.now());
  }

  async resources(sandboxId: string): Promise<z.infer<typeof hostResources>> {
    this.#refuseUntilReady();
    const aim = this.#known(sandboxId);
    const pids = aim === null ? [] : this.#residue.now(aim).map((found) => found.pid);
    return measureProcesses(pids, await this.state.diskUse(sandboxId));
  }

  /** The tombstone stays: a launch that comes late must still be refused. */
  async destroy(sandboxId: string): Promise<null> {
    this.#refuseUntilReady();
    const record = this.#records.get(sandboxId);
    if (record === null) {
      if (this.state.isEmpty(sandboxId)) return null;
      throw new Refusal("not_empty", `Sandbox ${sandboxId} has a directory and no record; it was not retired here.`);
    }
    const aim = this.#known(sandboxId);
    if (aim !== null && (record.retiredThrough === null || record.retiredThrough < aim.generation)) {
      throw new Refusal("not_empty", `Sandbox ${sandboxId} is not retired through generation ${aim.generation}.`);
    }
    const left = aim === null ? [] : await this.#residue.of(aim);
    if (left.length > 0) throw new Refusal("not_empty", `${left.length} processes are left in sandbox ${sandboxId}.`);
    await this.state.remove(sandboxId);
    if (aim !== null) this.#cgroups?.remove(aim.session, aim.generation);
    return null;
  }

  async retireContainer(id: string): Promise<z.infer<typeof hostContainerRetired>> {
    this.#refuseUntilReady();
    this.#containers.retire(id);
    return this.#identity();
  }

  async observeContainer(id: string): Promise<z.infer<typeof hostContainerObservation>> {
    this.#refuseUntilReady();
    const found = await this.#containers.residue(id);
    return { ...this.#identity(), exists: this.#containers.exists(id), residue: found.map((one) => this.#shown(one)) };
  }

  async destroyContainer(id: string): Promise<null> {
    this.#refuseUntilReady();
    await this.#containers.destroy(id);
    return null;
  }

  async space(): Promise<z.infer<typeof hostSpace>> {
    this.#refuseUntilReady();
    const { freeBytes, totalBytes } = await measureSpace(this.state, this.#quotaBytes);
    return { ...this.#identity(), free_bytes: freeBytes, total_bytes: totalBytes };
  }

  async reclaim(forSession: string): Promise<z.infer<typeof hostReclaimed>> {
    this.#refuseUntilReady();
    const parts = { state: this.state, records: this.#records, residue: this.#residue, launcher: this.#launcher };
    const { removed, freedBytes, kept } = await reclaim(parts, forSession, () => Date.now() + this.#agedMs);
    return { ...this.#identity(), removed: [...removed], freed_bytes: freedBytes, kept: [...kept] };
  }

  async enumerate(): Promise<z.infer<typeof hostEnumeration>> {
    this.#refuseUntilReady();
    return { ...this.#identity(), residue: this.#residue.look().map((found) => this.#shown(found)) };
  }

  /** Ends all that carries a session's marks under this state directory; for the end of a demo. Answers how many are left. */
  async endAll(graceMs: number): Promise<number> {
    const aims = [...this.#records.all()].flatMap((record) => {
      const aim = aimOf(record);
      return aim === null ? [] : [{ record, aim }];
    });
    const outcomes = await Promise.all(
      aims.map(async ({ record, aim }) => {
        this.#records.retire(record.sandboxId, aim.generation, Date.now());
        return this.#stopper.stop(aim, graceMs);
      }),
    );
    return outcomes.reduce((sum, outcome) => sum + outcome.remaining.length, 0);
  }

  /** The records share the state directory with the host's id: a host that lost them is another host, whose word is not taken. */
  #armedAt(aim: Aim): number {
    for (const { sessionId, armed } of this.#records.all()) {
      const isIt =
        sessionId === aim.session && armed?.generation === aim.generation && armed.bootId === this.state.bootId;
      if (isIt) return armed.armedAt;
    }
    return Number.POSITIVE_INFINITY;
  }

  #refuseUntilReady(): void {
    if (!this.#ready) throw new Refusal("scanning", "The host has not finished looking at what runs here.");
  }

  #identity(): { host_id: string; boot_id: string } {
    return { host_id: this.state.hostId, boot_id: this.state.bootId };
  }

  #known(sandboxId: string): Aim | null {
    const record = this.#records.get(sandboxId);
    if (record === null) throw new Refusal("not_found", `No sandbox ${sandboxId} here.`);
    return aimOf(record);
  }

  #shown(found: Found): HostResidue {
    const { owner } = found;
    const record = owner.instance === null ? null : this.#records.byInstance(owner.instance);
    return {
      kind: found.kind,
      session_id: owner.session,
      sandbox_id: record?.sessionId === owner.session ? record.sandboxId : null,
      ...(record?.sessionId === owner.session && record.container !== null ? { container: record.container } : {}),
      instance_id: owner.instance,
      generation: owner.generation,
      pid: found.pid,
      start_time: found.startTime,
    };
  }
}

function aimOf(record: {
  readonly sessionId: string | null;
  readonly armed: { readonly generation: number } | null;
}): Aim | null {
  if (record.sessionId === null || record.armed === null) return null;
  return { session: record.sessionId, generation: record.armed.generation, instance: null };
}
