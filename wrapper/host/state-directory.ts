/**
 * The host's own directory: who it is, that only one host uses it, and where each sandbox lives. Ids reach a path only
 * through `sandboxIdText` and `instanceIdText`, which admit no separator and no dot.
 */
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { allocatedBytes, newestChange } from "./file-tree.ts";
import { bootId, startTimeOf } from "./process-table.ts";
import { writeDurably } from "./records.ts";

export const sandboxIdText = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "A sandbox id is 1 to 63 of a-z 0-9 -.");
export const instanceIdText = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,64}$/, "An instance id is 1 to 64 of A-Z a-z 0-9 _ -.");

export const containerIdText = z
  .string()
  .regex(/^shared-[a-z0-9-]{1,56}$/, "A container id is `shared-` and a-z 0-9 -.");

/** A session, or a snapshot of it, as a file name. */
export const snapshotNameText = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,64}$/, "A snapshot's name is 1 to 64 of A-Z a-z 0-9 _ -.");

export interface SandboxPaths {
  readonly root: string;
  readonly workspace: string;
  /** HOME of jobs that have a user of their own. Goes with the sandbox, and is in no snapshot. */
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

const identity = z.object({ hostId: z.string() });

export class StateDirectory {
  readonly path: string;
  readonly hostId: string;
  readonly bootId: string;
  /** The shared container that a sandbox is a place in, for those that are. */
  readonly #homes = new Map<string, string>();
  #letsThrough = false;

  /** Throws when another host that is alive has it. */
  constructor(path: string) {
    this.path = path;
    mkdirSync(join(path, "sandboxes"), { recursive: true, mode: 0o700 });
    mkdirSync(this.snapshots, { recursive: true, mode: 0o700 });
    lock(path);
    this.bootId = bootId();
    const stored = readIdentity(path);
    this.hostId = stored?.hostId ?? `host-${randomBytes(8).toString("hex")}`;
    writeDurably(path, "host.json", JSON.stringify({ hostId: this.hostId }));
  }

  get snapshots(): string {
    return join(this.path, "snapshots");
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
   * From now on jobs may run as other users. To reach their workspace they pass through the directories above it, whose
   * contents they cannot list; everything else in them is closed.
   */
  letThrough(): void {
    this.#letsThrough = true;
    for (const path of [this.path, join(this.path, "sandboxes")]) chmodSync(path, 0o711);
  }

  makeRoot({ root }: SandboxPaths): void {
    mkdirSync(root, { recursive: true, mode: 0o700 });
    // Above it is the shared container that it is in, or the directory of all.
    if (this.#letsThrough) for (const path of [dirname(root), root]) chmodSync(path, 0o711);
  }

  /** For an instance of which nothing is left and which never answered: what an earlier try stored would forbid this one. */
  prepare(sandboxId: string, instanceId: string): InstancePaths {
    const paths = this.instance(sandboxId, instanceId);
    rmSync(paths.state, { recursive: true, force: true });
    const sandbox = this.sandbox(sandboxId);
    this.makeRoot(sandbox);
    mkdirSync(sandbox.workspace, { recursive: true, mode: 0o700 });
    mkdirSync(paths.state, { recursive: true, mode: 0o700 });
    return paths;
  }

  isEmpty(sandboxId: string): boolean {
    return !existsSync(this.sandbox(sandboxId).root);
  }

  async remove(sandboxId: string): Promise<void> {
    await rm(this.sandbox(sandboxId).root, { recursive: true, force: true, maxRetries: 3 });
  }

  /** Bytes allocated under a sandbox, or under all and their snapshots. What vanishes while it is counted counts nothing. */
  async diskUse(sandboxId: string | null): Promise<number> {
    if (sandboxId !== null) return allocatedBytes(this.sandbox(sandboxId).root);
    return (await allocatedBytes(join(this.path, "sandboxes"))) + (await allocatedBytes(this.snapshots));
  }

  /** From now on its directory is inside that of the container. */
  house(sandboxId: string, container: string): void {
    this.#homes.set(sandboxIdText.parse(sandboxId), containerIdText.parse(container));
  }

  hasContainer(container: string): boolean {
    return existsSync(join(this.path, "sandboxes", containerIdText.parse(container)));
  }

  async removeContainer(container: string): Promise<void> {
    const directory = join(this.path, "sandboxes", containerIdText.parse(container));
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  }

  /** What there are directories for, whoever made them; for a shared container, those in it. */
  names(): readonly string[] {
    const all = readdirSync(join(this.path, "sandboxes"));
    return all.flatMap((name) =>
      containerIdText.safeParse(name).success ? readdirSync(join(this.path, "sandboxes", name)) : [name],
    );
  }

  #rootOf(name: string): string {
    return join(this.path, "sandboxes", this.#homes.get(name) ?? "", name);
  }

  /** Since anything in it changed, by the newest time of any entry. Rejects when that cannot be told. */
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
    rmSync(join(this.path, "host.lock"), { force: true });
  }
}

function readIdentity(path: string): z.infer<typeof identity> | null {
  const file = join(path, "host.json");
  // One that is there and unreadable throws: a host that silently took a new id would strand every lease that names the old one.
  return existsSync(file) ? identity.parse(JSON.parse(readFileSync(file, "utf8"))) : null;
}

function lock(path: string): void {
  const file = join(path, "host.lock");
  const mine = `${process.pid} ${startTimeOf(process.pid)}`;
  for (let attempt = 0; attempt < 2; attempt += 1) {
    try {
      writeFileSync(file, mine, { flag: "wx", mode: 0o600 });
      return;
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
      const [pid, startTime] = readFileSync(file, "utf8").split(" ").map(Number);
      if (pid !== undefined && startTime !== undefined && startTimeOf(pid) === startTime) {
        throw new Error(`The host with process id ${pid} uses ${path}.`);
      }
      rmSync(file, { force: true });
    }
  }
  throw new Error(`Another host takes ${path} at this moment.`);
}
