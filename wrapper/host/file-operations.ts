/** What a host does with files: workspaces, snapshots, logs, room on the disk. Without HTTP; the answers are those of src/protocol/sandbox/host.ts. */
import { setTimeout as pause } from "node:timers/promises";
import type { z } from "zod";
import type {
  HostFile,
  hostFiles,
  hostLogs,
  hostReclaimed,
  hostResources,
  hostRestored,
  HostRestoreOrder,
  hostSaveOrder,
  hostSnapshot,
  hostSnapshotRemoved,
  hostSnapshotStored,
  hostSpace,
} from "../../src/protocol/sandbox/host.ts";
import { reclaim } from "./disk/reclaim.ts";
import { measureSpace } from "./disk/space.ts";
import { identityOf, knownAim, type HostDependencies } from "./host-dependencies.ts";
import { measureProcesses, readLog } from "./processes/measurements.ts";
import { containerIdText } from "./records/state-directory.ts";
import { Refusal } from "./refusal.ts";

/** A removal moves the directory out of the way first, so its caller need not wait for a large tree. */
const removalAnswerMs = 1_000;

export class FileOperations {
  readonly #dependencies: HostDependencies;

  constructor(dependencies: HostDependencies) {
    this.#dependencies = dependencies;
  }

  /** How far the restore of a workspace is. The first call begins it. */
  async restore(instanceId: string, order: HostRestoreOrder): Promise<z.infer<typeof hostRestored>> {
    const { done, doneBytes, totalBytes } = await this.#dependencies.launcher.restore(instanceId, order);
    return { ...identityOf(this.#dependencies), done, done_bytes: doneBytes, total_bytes: totalBytes };
  }

  /** Saves the workspace of exactly the instance that the order names, running or not: its files are there or not. */
  async save(
    sessionId: string,
    snapshotId: string,
    order: z.infer<typeof hostSaveOrder>,
  ): Promise<z.infer<typeof hostSnapshot>> {
    const { records, state, snapshots } = this.#dependencies;
    const record = records.get(order.sandbox_id);
    const { armed } = record ?? { armed: null };
    const isMeant =
      record?.sessionId === sessionId &&
      armed?.generation === order.generation &&
      (order.instance_id === null || armed.instanceId === order.instance_id);
    if (!isMeant) throw new Refusal("not_found", `No sandbox ${order.sandbox_id} of that session and generation here.`);
    // A job that deleted its workspace has emptied it, and an empty workspace is what a resume must find.
    const workspace = state.remakeWorkspace(order.sandbox_id, armed?.jobUid ?? null);
    const bytes = await snapshots.save(sessionId, snapshotId, workspace);
    return { ...identityOf(this.#dependencies), bytes };
  }

  async removeSnapshot(sessionId: string, snapshotId: string): Promise<z.infer<typeof hostSnapshotRemoved>> {
    await this.#dependencies.snapshots.remove(sessionId, snapshotId);
    return identityOf(this.#dependencies);
  }

  async storedSnapshot(sessionId: string, snapshotId: string): Promise<z.infer<typeof hostSnapshotStored>> {
    return { ...identityOf(this.#dependencies), ...this.#dependencies.snapshots.stored(sessionId, snapshotId) };
  }

  async logs(sandboxId: string, tailBytes: number): Promise<z.infer<typeof hostLogs>> {
    knownAim(this.#dependencies, sandboxId);
    return readLog(this.#dependencies.state.sandbox(sandboxId), tailBytes, Date.now());
  }

  async resources(sandboxId: string): Promise<z.infer<typeof hostResources>> {
    const { residue, state } = this.#dependencies;
    const aim = knownAim(this.#dependencies, sandboxId);
    const pids = aim === null ? [] : residue.now(aim).map(({ pid }) => pid);
    return measureProcesses(pids, await state.diskUse(sandboxId));
  }

  /** Waits its turn: a launch or a restore that a retirement ended still removes what it began. */
  destroy(sandboxId: string): Promise<null> {
    return this.#dependencies.queue.run(sandboxId, () => this.#destroy(sandboxId));
  }

  async destroyContainer(id: string): Promise<null> {
    await this.#dependencies.restores.ended(id);
    await this.#dependencies.containers.destroy(id);
    return null;
  }

  async space(): Promise<z.infer<typeof hostSpace>> {
    const { freeBytes, totalBytes } = await measureSpace(this.#dependencies.state, this.#dependencies.quotaBytes);
    return { ...identityOf(this.#dependencies), free_bytes: freeBytes, total_bytes: totalBytes };
  }

  async reclaim(forSession: string): Promise<z.infer<typeof hostReclaimed>> {
    const now = (): number => Date.now() + this.#dependencies.agedMs;
    const { removed, freedBytes, kept } = await reclaim(this.#dependencies, forSession, now);
    return { ...identityOf(this.#dependencies), removed: [...removed], freed_bytes: freedBytes, kept: [...kept] };
  }

  /** Everything that lies on disk, whether or not a process runs in it. */
  async files(): Promise<z.infer<typeof hostFiles>> {
    const { records, state, snapshots } = this.#dependencies;
    const known = new Map([...records.all()].map((record) => [record.sandboxId, record]));
    const now = Date.now();
    const file = (
      kind: HostFile["kind"],
      name: string,
      changedAt: number | null,
      removal: HostFile["removal"] = null,
    ): HostFile => {
      const record = known.get(name);
      return {
        kind,
        name,
        session_id: record?.sessionId ?? null,
        generation: record?.armed?.generation ?? null,
        ...(record?.container == null ? {} : { container: record.container }),
        age_ms: changedAt === null ? null : Math.max(0, Math.round(now - changedAt)),
        removal,
      };
    };
    const files = [
      ...state.names().map((name) => file("workspace", name, state.changedAt(name))),
      ...state.containers().map((name) => file("container", name, state.changedAt(name))),
      ...snapshots.all().map(({ session, name, changedAt }) => {
        return { ...file("snapshot", name, changedAt), session_id: session };
      }),
      ...state.removals.failing().map(({ name, since, attempts, why }) => {
        const kind = containerIdText.safeParse(name).success ? "container" : "workspace";
        const pendingMs = Math.max(0, Math.round(now - since));
        return file(kind, name, null, { pending_ms: pendingMs, attempts, why: why ?? "" });
      }),
    ];
    return { ...identityOf(this.#dependencies), files };
  }

  /** Keeps the tombstone, so that a launch that comes late is still refused. */
  async #destroy(sandboxId: string): Promise<null> {
    const { records, state, residue, cgroups } = this.#dependencies;
    const record = records.get(sandboxId);
    if (record === null) {
      if (state.isEmpty(sandboxId)) return null;
      throw new Refusal("not_empty", `Sandbox ${sandboxId} has a directory and no record; it was not retired here.`);
    }
    const aim = knownAim(this.#dependencies, sandboxId);
    if (aim !== null && (record.retiredThrough === null || record.retiredThrough < aim.generation))
      throw new Refusal("not_empty", `Sandbox ${sandboxId} is not retired through generation ${aim.generation}.`);
    const left = aim === null ? [] : await residue.of(aim);
    if (left.length > 0) throw new Refusal("not_empty", `${left.length} processes are left in sandbox ${sandboxId}.`);
    await Promise.race([state.remove(sandboxId), pause(removalAnswerMs, null, { ref: false })]);
    if (aim !== null) cgroups?.remove(aim.session, aim.generation);
    return null;
  }
}
