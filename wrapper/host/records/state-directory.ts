/**
 * The host's own directory: the identity of the host, the lock that keeps other hosts out, and the paths of sandboxes.
 * Every id is parsed before it becomes part of a path, so that it holds no separator and no dot.
 */
import { randomBytes } from "node:crypto";
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, rmSync, statfsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { allocatedBytes, newestChange } from "../disk/file-tree.ts";
import { Removals } from "../disk/removals.ts";
import { bootId } from "../../proc/marked-processes.ts";
import { DirectoryLock } from "./directory-lock.ts";
import { DurableFiles } from "./durable-files.ts";

export const sandboxIdText = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "A sandbox id is 1 to 63 of a-z 0-9 -.");
export const instanceIdText = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,64}$/, "An instance id is 1 to 64 of A-Z a-z 0-9 _ -.");

export const containerIdText = z
  .string()
  .regex(/^shared-[a-z0-9-]{1,56}$/, "A container id is `shared-` and a-z 0-9 -.");

/** The id of a session or of a snapshot, as a file name. */
export const snapshotNameText = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,64}$/, "A snapshot's name is 1 to 64 of A-Z a-z 0-9 _ -.");

export interface SandboxPaths {
  readonly root: string;
  readonly workspace: string;
  /** HOME of jobs that have a user of their own. Removed with the sandbox, and part of no snapshot. */
  readonly home: string;
  readonly instances: string;
}

export interface InstancePaths {
  readonly root: string;
  /** The guardian's standard output: one line once the wrapper listens. */
  readonly ready: string;
  readonly log: string;
  readonly state: string;
}

const identity = z.object({
  hostId: z.string(),
  controlPlane: z.string().nullable().default(null),
  /** The host's process, to name it to a second host. */
  pid: z.int().optional(),
});
const identityFile = "host.json";
/** The directories without which the state directory is not whole. */
const parts = ["sandboxes", "snapshots", "records", "containers"];

export class StateDirectory {
  readonly path: string;
  readonly hostId: string;
  readonly bootId: string;
  readonly files: DurableFiles;
  readonly removals: Removals;
  /** The shared container that holds a sandbox's directory, by sandbox id. */
  readonly #containerOf = new Map<string, string>();
  #lock: DirectoryLock;
  #letsThrough = false;
  /** null: none has called yet. */
  #controlPlane: string | null;

  /** Throws when a living host uses the directory. */
  constructor(path: string, keepControlPlane = true) {
    this.path = path;
    this.files = new DurableFiles(path);
    this.removals = new Removals(join(path, "sandboxes"));
    this.#lock = this.#open();
    this.bootId = bootId();
    const stored = readIdentity(this.files);
    this.hostId = stored?.hostId ?? `host-${randomBytes(8).toString("hex")}`;
    this.#controlPlane = keepControlPlane ? (stored?.controlPlane ?? null) : null;
    this.#writeIdentity();
    this.removals.load(Date.now());
  }

  get snapshots(): string {
    return join(this.path, "snapshots");
  }

  /** It is still the directory that was opened, and all its parts are there. */
  get isWhole(): boolean {
    return this.#lock.holds && [identityFile, ...parts].every((part) => this.files.has(part));
  }

  /** Makes the directory again from memory. The caller must write the records again too (`Records.writeAll`). */
  makeAnew(): void {
    const earlier = this.#lock;
    if (!earlier.holds) {
      this.#lock = this.#open();
      earlier.release();
    } else this.#makeParts();
    this.#writeIdentity();
    if (this.#letsThrough) this.letThrough();
    this.removals.load(Date.now());
  }

  #open(): DirectoryLock {
    mkdirSync(this.path, { recursive: true, mode: 0o700 });
    const lock = DirectoryLock.take(this.path, () => holderOf(this.files));
    try {
      this.files.open();
      this.#makeParts();
      return lock;
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  #makeParts(): void {
    for (const part of parts) mkdirSync(join(this.path, part), { recursive: true, mode: 0o700 });
  }

  /** The control plane that is served; null: none has called yet. */
  get controlPlane(): string | null {
    return this.#controlPlane;
  }

  /** Adopts the first control plane that calls, and stores that. Answers which one is served. */
  serve(controlPlane: string): string {
    if (this.#controlPlane === null) {
      this.#controlPlane = controlPlane;
      this.#writeIdentity();
    }
    return this.#controlPlane;
  }

  #writeIdentity(): void {
    const known = { hostId: this.hostId, controlPlane: this.#controlPlane, pid: process.pid };
    this.files.write(identityFile, JSON.stringify(known satisfies z.infer<typeof identity>));
  }

  sandbox(sandboxId: string): SandboxPaths {
    const root = this.#rootOf(sandboxIdText.parse(sandboxId));
    const inside = (name: string): string => join(root, name);
    return { root, workspace: inside("workspace"), home: inside("home"), instances: inside("instances") };
  }

  instance(sandboxId: string, instanceId: string): InstancePaths {
    const root = join(this.sandbox(sandboxId).instances, instanceIdText.parse(instanceId));
    return { root, ready: join(root, "ready.json"), log: join(root, "guardian.log"), state: join(root, "state") };
  }

  /**
   * From now on jobs may run as other users. They may pass through the directories above their workspace, but not list
   * them; everything else in those directories stays closed.
   */
  letThrough(): void {
    this.#letsThrough = true;
    for (const path of [this.path, join(this.path, "sandboxes")]) chmodSync(path, 0o711);
  }

  makeRoot({ root }: SandboxPaths): void {
    mkdirSync(root, { recursive: true, mode: 0o700 });
    // The parent is the shared container, or the directory of all sandboxes.
    if (this.#letsThrough) for (const path of [dirname(root), root]) chmodSync(path, 0o711);
  }

  /** For an instance that never answered and has no process: removes what an earlier try stored, which would refuse this one. */
  prepare(sandboxId: string, instanceId: string): InstancePaths {
    const paths = this.instance(sandboxId, instanceId);
    rmSync(paths.state, { recursive: true, force: true });
    const sandbox = this.sandbox(sandboxId);
    this.makeRoot(sandbox);
    mkdirSync(sandbox.workspace, { recursive: true, mode: 0o700 });
    mkdirSync(paths.state, { recursive: true, mode: 0o700 });
    return paths;
  }

  /** Makes an empty workspace when a job deleted it. Not when the whole sandbox is gone: its files may be lost then. */
  remakeWorkspace(sandboxId: string, jobUid: number | null): string {
    const { root, workspace } = this.sandbox(sandboxId);
    if (existsSync(root) && !existsSync(workspace)) {
      mkdirSync(workspace, { mode: 0o700 });
      if (jobUid !== null) chownSync(workspace, jobUid, jobUid);
    }
    return workspace;
  }

  isEmpty(sandboxId: string): boolean {
    return !existsSync(this.sandbox(sandboxId).root);
  }

  /** False: it was moved away, and its removal is tried again (disk/removals.ts). */
  remove(sandboxId: string): Promise<boolean> {
    return this.removals.remove(this.sandbox(sandboxId).root, Date.now());
  }

  /** Bytes allocated for one sandbox; null: for all of them and their snapshots. */
  async diskUse(sandboxId: string | null): Promise<number> {
    if (sandboxId !== null) return allocatedBytes(this.sandbox(sandboxId).root);
    return (await allocatedBytes(join(this.path, "sandboxes"))) + (await allocatedBytes(this.snapshots));
  }

  /** From now on the sandbox's directory is inside that of the container. */
  house(sandboxId: string, container: string): void {
    this.#containerOf.set(sandboxIdText.parse(sandboxId), containerIdText.parse(container));
  }

  hasContainer(container: string): boolean {
    return existsSync(join(this.path, "sandboxes", containerIdText.parse(container)));
  }

  removeContainer(container: string): Promise<boolean> {
    return this.removals.remove(join(this.path, "sandboxes", containerIdText.parse(container)), Date.now());
  }

  /** The directories of shared containers. */
  containers(): readonly string[] {
    return readdirSync(join(this.path, "sandboxes")).filter((name) => containerIdText.safeParse(name).success);
  }

  /** The names of all directories that a sandbox could have, also of those inside shared containers. */
  names(): readonly string[] {
    const all = readdirSync(join(this.path, "sandboxes")).filter((name) => !name.startsWith("."));
    return all.flatMap((name) =>
      containerIdText.safeParse(name).success ? readdirSync(join(this.path, "sandboxes", name)) : [name],
    );
  }

  /** When an entry was last added to the top of its directory or removed from it, in epoch ms. null: no such directory. */
  changedAt(name: string): number | null {
    return statSync(this.#rootOf(name), { throwIfNoEntry: false })?.mtimeMs ?? null;
  }

  #rootOf(name: string): string {
    return join(this.path, "sandboxes", this.#containerOf.get(name) ?? "", name);
  }

  /** Time since the newest change of any entry in it. Rejects when that cannot be read. */
  async untouchedMs(name: string, now: number): Promise<number> {
    return now - (await newestChange(this.#rootOf(name)));
  }

  freeBytes(): number {
    return this.disk().freeBytes;
  }

  disk(): { readonly freeBytes: number; readonly totalBytes: number } {
    const { bavail, blocks, bsize } = statfsSync(this.path);
    return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
  }

  unlock(): void {
    this.files.close();
    this.#lock.release();
  }
}

function readIdentity(files: DurableFiles): z.infer<typeof identity> | null {
  const text = files.read(identityFile);
  // Throws for an identity that cannot be read: a host that took a new id would strand every lease that names the old one.
  return text === null ? null : identity.parse(JSON.parse(text));
}

function holderOf(files: DurableFiles): string | null {
  try {
    const pid = readIdentity(files)?.pid;
    return pid === undefined ? null : `The host with process id ${pid}`;
  } catch {
    return null;
  }
}
