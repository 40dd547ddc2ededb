/**
 * Changes in a directory, and in those below it when asked to. inotify through Node tells only "a name came or went" and
 * "something changed", so what really happened is found by comparing the name with what was known of it before.
 *
 * - A change that leaves time and size alone is one of the mode or the owner. An entry that shows no difference at all was written: a
 *   file that is made and written at once has its last state at its first sight. A write too many harms nobody, a lost one hangs programs.
 * - A name that went is a rename when its file turns up under another name watched here, else a removal.
 * - A file that appears with content is told as created and as modified: an upload takes its place with a rename.
 * - A directory that appears is watched first and looked into then, so that nothing that is put into it at once is missed.
 */
import { type BigIntStats, type FSWatcher, lstatSync, readdirSync, statSync, watch } from "node:fs";
import type { FileChange } from "../../../../src/protocol/resources/sandbox/files.ts";
import type { FilePath } from "../files/paths.ts";
import { isDraft } from "../files/replacing.ts";
import { fileFailure, ServiceFailure } from "../service-failure.ts";
import { errnoOf } from "../../../proc/errno.ts";

export interface Change {
  readonly kind: FileChange["kind"];
  /** Below the watched directory, one character for each byte. For a rename the name that is no more. */
  readonly relative: string;
  readonly path: FilePath;
}

export interface WatchOrder {
  readonly root: FilePath;
  readonly recursive: boolean;
  readonly changed: (change: Change) => void;
  /** Nothing is told any more. null: the directory is gone. */
  readonly ended: (failure: ServiceFailure | null) => void;
}

interface Watched {
  readonly directory: FilePath;
  readonly watcher: FSWatcher;
  /** By name, in latin1. */
  readonly known: Map<string, BigIntStats>;
}

interface Gone {
  readonly relative: string;
  readonly path: FilePath;
  readonly stats: BigIntStats;
}

/** All kinds together: each costs an open stream, or memory until it is asked. */
const maxWatches = 64;
/** The kernel's own bound for a user is often 8192, for all programs together. */
const maxDirectories = 4_096;
const mayBeMissing: ReadonlySet<string> = new Set(["ENOENT", "EACCES", "ENOTDIR"]);
let open = 0;

export class DirectoryWatch {
  readonly #order: WatchOrder;
  /** By path below the root, with a slash at its end; "": the root itself. */
  readonly #directories = new Map<string, Watched>();
  readonly #gone: Gone[] = [];
  #isClosed = false;

  /** Everything that is there already is watched when this returns. Throws a `ServiceFailure`. */
  constructor(order: WatchOrder) {
    if (open >= maxWatches)
      throw new ServiceFailure("too_many", `At most ${maxWatches} watches are open at once in a sandbox. Close some.`);
    open += 1;
    this.#order = order;
    const { root } = order;
    try {
      if (!statSync(root.bytes).isDirectory())
        throw new ServiceFailure("not_a_directory", `${JSON.stringify(root.text)} is not a directory.`, {
          path: root.text,
        });
      this.#arm("", root, false);
    } catch (error) {
      this.close();
      throw fileFailure(error, root.text);
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    open -= 1;
    for (const { watcher } of this.#directories.values()) watcher.close();
    this.#directories.clear();
  }

  /** Resolves when everything that the kernel has told so far has been passed on. */
  async settled(): Promise<void> {
    for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }

  #arm(relative: string, directory: FilePath, isNew: boolean): void {
    if (this.#directories.size >= maxDirectories)
      throw new ServiceFailure("too_many", `At most ${maxDirectories} directories are watched at once.`);
    const watcher = this.#watcher(relative, directory);
    const known = new Map<string, BigIntStats>();
    this.#directories.set(relative, { directory, watcher, known });
    watcher.on("error", () => this.#disarm(relative));
    // First the watch, then the look: what comes in between is told twice rather than never.
    for (const name of readdirSync(directory.bytes, { encoding: "buffer" })) {
      const latin1 = name.toString("latin1");
      const path = directory.child(latin1);
      const stats = isDraft(latin1) ? null : look(path);
      if (stats === null) continue;
      known.set(latin1, stats);
      if (isNew) this.#tell("created", relative + latin1, path);
      this.#descend(relative + latin1, path, stats, isNew);
      if (isNew) this.#tellContent(relative + latin1, path, stats);
    }
  }

  #watcher(relative: string, directory: FilePath): FSWatcher {
    try {
      return watch(directory.bytes, { encoding: "buffer", persistent: false }, (event, name) =>
        this.#heard(relative, event, name),
      );
    } catch (error) {
      if (errnoOf(error) !== "ENOSPC") throw error;
      throw new ServiceFailure("too_many", "The system's number of watched directories is used up.");
    }
  }

  #descend(relative: string, path: FilePath, stats: BigIntStats, isNew: boolean): void {
    if (!this.#order.recursive || !stats.isDirectory()) return;
    try {
      this.#arm(`${relative}/`, path, isNew);
    } catch (error) {
      this.#disarm(`${relative}/`);
      // It went again, or is closed to us: that hides nothing that the client could see.
      if (mayBeMissing.has(errnoOf(error))) return;
      if (!isNew) throw error;
      // A watch that goes on would let the client believe that it hears of everything.
      this.#end(fileFailure(error, path.text));
    }
  }

  #disarm(prefix: string): void {
    for (const [relative, { watcher }] of this.#directories) {
      if (!relative.startsWith(prefix)) continue;
      watcher.close();
      this.#directories.delete(relative);
    }
  }

  #heard(prefix: string, event: string, given: Buffer | null): void {
    const watched = this.#directories.get(prefix);
    if (this.#isClosed || watched === undefined || given === null) return;
    const name = given.toString("latin1");
    if (isDraft(name)) return;
    const { directory, known } = watched;
    const [relative, path] = [prefix + name, directory.child(name)];
    const before = known.get(name) ?? null;
    const now = look(path);
    if (now === null) {
      if (before !== null) this.#went(watched, { relative, path, stats: before }, name);
      else if (prefix === "" && look(directory) === null) this.#end(null);
      return;
    }
    known.set(name, now);
    if (event !== "rename")
      return this.#tell(before !== null && isOnlyAttributes(before, now) ? "attributes" : "modified", relative, path);
    if (before !== null && isSameFile(before, now)) return;
    this.#came(now);
    if (before?.isDirectory() === true) this.#disarm(`${relative}/`);
    this.#tell("created", relative, path);
    this.#descend(relative, path, now, true);
    this.#tellContent(relative, path, now);
  }

  /** Tells a write for a file that appears with content: its client waits for a write, and this one came before the watch. */
  #tellContent(relative: string, path: FilePath, stats: BigIntStats): void {
    if (stats.isFile() && stats.size > 0n) this.#tell("modified", relative, path);
  }

  /** A rename shows only once the other name has arrived, in the same turn or the next. */
  #went({ known }: Watched, gone: Gone, name: string): void {
    known.delete(name);
    if (gone.stats.isDirectory()) this.#disarm(`${gone.relative}/`);
    this.#gone.push(gone);
    setImmediate(() => {
      const at = this.#gone.indexOf(gone);
      if (at < 0) return;
      this.#gone.splice(at, 1);
      this.#tell("removed", gone.relative, gone.path);
    });
  }

  #came(stats: BigIntStats): void {
    const at = this.#gone.findIndex((each) => isSameFile(each.stats, stats));
    const [gone] = at < 0 ? [] : this.#gone.splice(at, 1);
    if (gone !== undefined) this.#tell("renamed", gone.relative, gone.path);
  }

  #tell(kind: Change["kind"], relative: string, path: FilePath): void {
    if (!this.#isClosed) this.#order.changed({ kind, relative, path });
  }

  #end(failure: ServiceFailure | null): void {
    if (this.#isClosed) return;
    this.close();
    this.#order.ended(failure);
  }
}

function look(path: FilePath): BigIntStats | null {
  return lstatSync(path.bytes, { bigint: true, throwIfNoEntry: false }) ?? null;
}

function isSameFile(one: BigIntStats, other: BigIntStats): boolean {
  return one.ino === other.ino && one.dev === other.dev;
}

function isOnlyAttributes(before: BigIntStats, now: BigIntStats): boolean {
  return before.mtimeNs === now.mtimeNs && before.size === now.size && before.ctimeNs !== now.ctimeNs;
}
