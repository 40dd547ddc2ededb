/**
 * Removes the directories of sandboxes and shared containers, again until they are gone.
 *
 * A directory is first renamed into `.removing`, which needs no room on a full disk. From then on nothing can start in it,
 * its name is free, and a restarted host still knows that it must be removed. A removal that fails is tried again with
 * backoff and shown to the control plane. It does not hold up others.
 */
import { chmodSync, mkdirSync, readdirSync, renameSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { NotRemoved, detachMountsOn, removeTree } from "./remove-tree.ts";
import { errnoOf } from "../../proc/errno.ts";

export interface PendingRemoval {
  /** The sandbox id or container id. */
  readonly name: string;
  readonly since: number;
  readonly attempts: number;
  /** Why the last attempt failed; null: none has yet. */
  readonly why: string | null;
}

interface Pending extends PendingRemoval {
  readonly path: string;
  attempts: number;
  why: string | null;
  nextAt: number;
  running: Promise<void> | null;
}

const directoryName = ".removing";
/** A busy mount or a full disk may pass within seconds. Damage that an operator has to mend is tried every ten minutes. */
const firstBackoffMs = 1_000;
const longestBackoffMs = 10 * 60_000;
/** Each walk keeps about a dozen descriptors open. */
const atOnce = 4;

export class Removals {
  readonly #directory: string;
  readonly #pending = new Map<string, Pending>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #taken = 0;

  /** `parent`: the directory in which sandboxes live, so that a rename never leaves its file system. */
  constructor(parent: string) {
    this.#directory = join(parent, directoryName);
  }

  /** Takes up removals that an earlier start of this host did not finish. */
  load(now: number): void {
    try {
      mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
      for (const entry of readdirSync(this.#directory))
        this.#add(entry, statSync(join(this.#directory, entry)).ctimeMs);
    } catch (error) {
      // A full disk or a damaged directory must not keep the host from starting. Directories are then removed in place.
      if (errnoOf(error) === "unknown") throw error;
    }
    this.retry(now);
  }

  /** Resolves after the first attempt. False: it was moved away and is tried again. A missing directory is success. */
  async remove(path: string, now: number): Promise<boolean> {
    const entry = `${basename(path)}~${now.toString(36)}-${(this.#taken += 1).toString(36)}`;
    if (!this.#moveAway(path, join(this.#directory, entry))) {
      await removeTree(path);
      return true;
    }
    const pending = this.#add(entry, now);
    await this.#attempt(pending, now);
    return !this.#pending.has(entry);
  }

  /** Starts every attempt that is due. */
  retry(now: number): void {
    for (const pending of this.#pending.values())
      if (pending.nextAt <= now && pending.running === null) void this.#attempt(pending, now);
  }

  /** Removals that failed at least once, oldest first. */
  failing(): readonly PendingRemoval[] {
    return [...this.#pending.values()].filter(({ why }) => why !== null).toSorted((a, b) => a.since - b.since);
  }

  /** False: the directory could not be moved, so it is removed in place. */
  #moveAway(path: string, to: string): boolean {
    for (let attempt = 0; attempt < 2; attempt += 1) {
      try {
        renameSync(path, to);
        return true;
      } catch (error) {
        const code = errnoOf(error);
        if (attempt > 0 || code === "ENOENT") return false;
        // A job may have removed the directory's write permission, or mounted a file system on it.
        try {
          chmodSync(path, 0o700);
        } catch {
          return false;
        }
        if (code === "EBUSY") detachMountsOn(path);
      }
    }
    return false;
  }

  #add(entry: string, since: number): Pending {
    const name = entry.slice(0, entry.lastIndexOf("~"));
    const path = join(this.#directory, entry);
    const pending: Pending = { name, path, since, attempts: 0, why: null, nextAt: 0, running: null };
    this.#pending.set(entry, pending);
    return pending;
  }

  async #attempt(pending: Pending, now: number): Promise<void> {
    pending.running ??= this.#limited(async () => {
      try {
        await removeTree(pending.path);
        this.#pending.delete(basename(pending.path));
      } catch (error) {
        pending.why = error instanceof NotRemoved ? error.message : "unknown";
        pending.attempts += 1;
        pending.nextAt = now + Math.min(longestBackoffMs, firstBackoffMs * 2 ** (pending.attempts - 1));
      } finally {
        pending.running = null;
      }
    });
    await pending.running;
  }

  async #limited(act: () => Promise<void>): Promise<void> {
    if (this.#running >= atOnce) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running += 1;
    try {
      await act();
    } finally {
      this.#running -= 1;
      this.#waiting.shift()?.();
    }
  }
}
