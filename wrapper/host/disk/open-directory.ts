/**
 * Directories by descriptor. Every path that the kernel gets is `/proc/self/fd/N/name`, because a job may make a tree that
 * is deeper than PATH_MAX, with names that are not UTF-8.
 */
import { spawnSync } from "node:child_process";
import { closeSync, constants, openSync, readFileSync } from "node:fs";
import { open, readdir, type FileHandle } from "node:fs/promises";

/** A flag of `open(2)`, for which Node has no constant: the descriptor names a file of any type without opening it. */
const pathOnly = 0o10000000;

export interface Names {
  readonly directories: readonly Buffer[];
  readonly others: readonly Buffer[];
}

export class OpenDirectory {
  readonly #handle: FileHandle;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** Does not follow the name if it is a link. */
  static async open(path: string | Buffer): Promise<OpenDirectory> {
    // Without the trailing "follow" flag a link that a job left fails instead of leading out of its tree.
    const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
    return new OpenDirectory(await open(path, flags));
  }

  at(name: Buffer | string): Buffer {
    return Buffer.concat([Buffer.from(`/proc/self/fd/${this.#handle.fd}/`), Buffer.from(name as Buffer)]);
  }

  async names(): Promise<Names> {
    const entries = await readdir(`/proc/self/fd/${this.#handle.fd}`, { withFileTypes: true, encoding: "buffer" });
    const directories = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
    const others = entries.filter((entry) => !entry.isDirectory()).map((entry) => entry.name);
    return { directories, others };
  }

  /** Identifies the directory, whatever path leads to it. */
  async identity(): Promise<string> {
    const { dev, ino } = await this.#handle.stat({ bigint: true });
    return `${dev}:${ino}`;
  }

  /** The id of its mount. When it differs from the parent's, a file system is mounted here. */
  get mount(): string {
    return mountOf(this.#handle.fd);
  }

  /** Detaches what is mounted here; this descriptor still leads into it. null: done; otherwise why not. */
  detachMount(): string | null {
    return detach(this.#handle.fd);
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** Detaches a file system that is mounted on a file. null: done; otherwise why not. */
export async function detachMountOn(path: Buffer): Promise<string | null> {
  const handle = await open(path, pathOnly | constants.O_NOFOLLOW);
  try {
    return detach(handle.fd);
  } finally {
    await handle.close();
  }
}

/** False: nothing is mounted there any more, or it cannot be detached. */
export function detachMountAt(path: string): boolean {
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    return detach(descriptor) === null;
  } finally {
    closeSync(descriptor);
  }
}

function mountOf(descriptor: number): string {
  return /^mnt_id:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, "utf8"))?.[1] ?? "";
}

/** Lazily: the mount disappears at once, and its memory is freed when no process has it open any more. */
function detach(descriptor: number): string | null {
  const umount = spawnSync("umount", ["-c", "-l", "/proc/self/fd/3"], {
    stdio: ["ignore", "ignore", "pipe", descriptor],
    env: { PATH: process.env["PATH"], LC_ALL: "C" },
    timeout: 5_000,
  });
  if (umount.status === 0) return null;
  return umount.error === undefined ? umount.stderr.toString("utf8").trim() || "umount failed" : umount.error.message;
}
