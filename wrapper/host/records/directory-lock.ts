/**
 * Only one host uses a state directory. The kernel's lock (`flock`) is on the directory itself, so it needs no room on a
 * full disk, and it ends with this process however that ends. Node has no call for it: the program `flock` inherits this
 * process's descriptor and locks it.
 */
import { spawnSync } from "node:child_process";
import { closeSync, constants, fstatSync, openSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { readRow } from "../../proc/process-table.ts";

export class DirectoryLock {
  readonly #path: string;
  readonly #descriptor: number;

  private constructor(path: string, descriptor: number) {
    this.#path = path;
    this.#descriptor = descriptor;
  }

  /** Throws when a living host holds the lock. `holder` names that host; null: not known. */
  static take(path: string, holder: () => string | null): DirectoryLock {
    const descriptor = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      const why = refusal(descriptor, path, holder) ?? earlierRelease(path);
      if (why !== null) throw new Error(why);
      return new DirectoryLock(path, descriptor);
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
  }

  /** The path still leads to the locked directory. */
  get holds(): boolean {
    const there = statSync(this.#path, { bigint: true, throwIfNoEntry: false });
    const ours = fstatSync(this.#descriptor, { bigint: true });
    return there !== undefined && there.dev === ours.dev && there.ino === ours.ino;
  }

  release(): void {
    closeSync(this.#descriptor);
  }
}

/** null: this process holds the lock now. */
function refusal(descriptor: number, path: string, holder: () => string | null): string | null {
  const locked = spawnSync("flock", ["-x", "-n", "3"], {
    stdio: ["ignore", "ignore", "pipe", descriptor],
    timeout: 5_000,
  });
  if (locked.status === 0) return null;
  if (locked.status === 1) return `${holder() ?? "Another host"} uses ${path}.`;
  const said = locked.error?.message ?? locked.stderr.toString("utf8").trim();
  return `${path} cannot be locked: the program flock (package util-linux) failed: ${said}`;
}

/** A host of an earlier release named itself in a file. null: no such host is alive. */
function earlierRelease(path: string): string | null {
  const file = join(path, "host.lock");
  let text;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return null;
  }
  const [pid, startTime] = text.split(" ").map(Number);
  if (pid !== undefined && pid > 0 && startTime !== undefined && readRow(pid)?.startTime === startTime)
    return `The host with process id ${pid} uses ${path}.`;
  rmSync(file, { force: true });
  return null;
}
