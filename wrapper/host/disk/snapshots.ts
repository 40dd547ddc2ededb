/**
 * Saved workspaces: `<state>/snapshots/<session>/<name>.tar`. Beside it lies `<name>.json` with its length and checksum,
 * which acknowledges the save, or `<name>.removed`, a tombstone that overrides everything else under that name.
 *
 * - A save is acknowledged only after the archive was synced, read back to its end, and found to have as many entries as
 *   the workspace. Until then the archive has another name, which the next start deletes: no partial save is ever restored.
 * - A removal first writes its tombstone, synchronously. No await separates the last check of a save from its rename, so a
 *   save that comes late is refused.
 * - Calls about the same snapshot run one after another.
 */
import { existsSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { chown, mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { removeTree } from "./remove-tree.ts";
import { ArchiveFailed, DiskFull, entriesOf, longestRestorable, measure, pack, sumOf, unpack } from "./archive.ts";
import type { RunAs } from "../../agent/user/job-user.ts";
import { KeyedQueue } from "../../../src/calls/keyed-queue.ts";
import { makeDurably, type DurableFiles } from "../records/durable-files.ts";
import { Refusal } from "../refusal.ts";
import { refuseWithoutSpace } from "./space.ts";
import { type SandboxPaths, snapshotNameText, type StateDirectory } from "../records/state-directory.ts";
import { tombstoneMs } from "../records/records.ts";

const acknowledgement = z.object({ bytes: z.int(), sha256: z.string() });
type Acknowledgement = z.infer<typeof acknowledgement>;

/** Twice as long as a session waits for a save: gives up on a disk that hangs, not on one that is slow. */
const saveMs = 10 * 60_000;
/** Small files take longer to unpack than to pack. A session gives up after the same time. */
const restoreMs = 10 * 60_000;

/** Lies beside a restored workspace and names the instance, the snapshot and the owner. */
const restoredFile = "restored.json";

export interface RestoreOrder {
  readonly session: string;
  readonly name: string;
  readonly sandbox: SandboxPaths;
  /** The owner of all files afterwards; null: files keep their owners. */
  readonly owner: RunAs | null;
  readonly instance: string;
  readonly signal: AbortSignal;
  /** Told how many bytes of the archive were read, and how many there are. */
  readonly passed: (done: number, total: number) => void;
}

export class Snapshots {
  readonly #state: StateDirectory;
  readonly #quotaBytes: number | null;
  readonly #queue = new KeyedQueue();
  readonly #saving = new Map<string, AbortController>();

  constructor(state: StateDirectory, quotaBytes: number | null) {
    this.#state = state;
    this.#quotaBytes = quotaBytes;
  }

  /** Deletes saves that were never acknowledged, archives that were removed, and tombstones that are old enough. */
  start(now: number): void {
    for (const session of readdirSync(this.#state.snapshots)) {
      const directory = join(this.#state.snapshots, session);
      const onDisk = new Set(readdirSync(directory));
      const files = new Set(this.#state.files.list(`snapshots/${session}`));
      for (const file of onDisk) files.add(file);
      for (const file of files) {
        const [, name, kind] = /^([^.]+)\.(tar|json|removed)$/.exec(file) ?? [];
        const removed = files.has(`${name}.removed`);
        // A file that so far lies in the reserve only, because the disk was full.
        const isOnlyReserved = !onDisk.has(file);
        const keeps =
          isOnlyReserved ||
          (kind === "removed"
            ? now - statSync(join(directory, file)).mtimeMs <= tombstoneMs
            : !removed && (kind === "json" || (kind === "tar" && files.has(`${name}.json`))));
        if (!keeps) rmSync(join(directory, file), { force: true });
      }
      if (readdirSync(directory).length === 0) rmdirSync(directory);
    }
  }

  /** Every acknowledged snapshot, and every archive without one. */
  all(): readonly { readonly session: string; readonly name: string; readonly changedAt: number | null }[] {
    return readdirSync(this.#state.snapshots).flatMap((session) => {
      const files = readdirSync(join(this.#state.snapshots, session));
      const names = files.flatMap((file) => /^([^.]+)\.(?:tar|saving|json)$/.exec(file)?.[1] ?? []);
      return [...new Set(names)].map((name) => ({ session, name, changedAt: this.#changedAt(session, name) }));
    });
  }

  /** The newest time of its files, in epoch ms; null: it has none. */
  #changedAt(session: string, name: string): number | null {
    const times = ["tar", "saving", "json"].flatMap((kind) => {
      const file = join(this.#state.snapshots, session, `${name}.${kind}`);
      return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? [];
    });
    return times.length === 0 ? null : Math.max(...times);
  }

  /** Everything that lies under its name but the tombstone. Throws when that cannot be told. */
  stored(session: string, name: string): { readonly files: number; readonly bytes: number } {
    const { directory } = new SnapshotPaths(this.#state, session, name);
    const sizes = ["tar", "saving", "json"].flatMap((kind) => {
      const stat = statSync(join(directory, `${name}.${kind}`), { throwIfNoEntry: false });
      return stat === undefined ? [] : [stat.size];
    });
    return { files: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0) };
  }

  /** Answers the archive's length. A repeat saves nothing and answers the same. */
  save(session: string, name: string, workspace: string): Promise<number> {
    const paths = new SnapshotPaths(this.#state, session, name);
    return this.#queue.run(paths.archive, async () => {
      const giveUp = new AbortController();
      this.#saving.set(paths.archive, giveUp);
      try {
        return await this.#save(paths, workspace, AbortSignal.any([giveUp.signal, AbortSignal.timeout(saveMs)]));
      } finally {
        this.#saving.delete(paths.archive);
      }
    });
  }

  async remove(session: string, name: string): Promise<void> {
    const paths = new SnapshotPaths(this.#state, session, name);
    // Makes no directory: a removal must work on a full disk.
    if (!paths.removed) this.#state.files.write(paths.tombstone, `${Date.now()}`);
    this.#saving.get(paths.archive)?.abort();
    await this.#queue.run(paths.archive, async () => {
      this.#state.files.remove(paths.acknowledged);
      await rm(paths.archive, { force: true });
    });
  }

  /**
   * Replaces the workspace as a whole or not at all. Done once per instance: a repeat, even after a restart of the host,
   * finds what the first call did.
   */
  async restore({ session, name, sandbox, owner, instance, signal, passed }: RestoreOrder): Promise<void> {
    const done = join(sandbox.root, restoredFile);
    const mark = JSON.stringify({ instance, session, name, owner: owner?.uid ?? null });
    if (existsSync(sandbox.workspace) && textOf(done) === mark) return;
    const paths = new SnapshotPaths(this.#state, session, name);
    const recorded = paths.read();
    if (recorded === null) throw new Refusal("not_found", `No snapshot ${name} of session ${session} here.`);
    if (!existsSync(paths.archive))
      throw new Refusal("not_found", `Snapshot ${name} of session ${session} was saved here, and its archive is gone.`);
    await refuseWithoutSpace(this.#state, this.#quotaBytes, recorded.bytes);
    this.#state.makeRoot(sandbox);
    // Parts of an earlier try that the host crashed in.
    for (const entry of readdirSync(sandbox.root))
      if (entry.startsWith("workspace.")) await removeTree(join(sandbox.root, entry));
    const fresh = join(sandbox.root, `workspace.${process.hrtime.bigint()}`);
    await mkdir(fresh, { recursive: true, mode: 0o700 });
    try {
      if (owner !== null) await chown(fresh, owner.uid, owner.gid);
      const bound = AbortSignal.any([signal, AbortSignal.timeout(restoreMs)]);
      const sum = await unpack(paths.archive, fresh, bound, owner, (bytes) => passed(bytes, recorded.bytes));
      if (!same(sum, recorded)) throw damaged(name);
      await removeTree(sandbox.workspace);
      await rename(fresh, sandbox.workspace);
      writeFileSync(done, mark, { mode: 0o600 });
    } catch (error) {
      await removeTree(fresh);
      if (!(error instanceof Refusal) && (await differs(paths, recorded, signal))) throw damaged(name);
      throw refusalOf(error, "launch_failed", `Snapshot ${name} cannot be restored; nothing was started`);
    }
  }

  async #save(paths: SnapshotPaths, workspace: string, signal: AbortSignal): Promise<number> {
    paths.refuseRemoved();
    const known = paths.read();
    if (known !== null) return known.bytes;
    const before = await measure(workspace);
    if (before === null) throw new Refusal("not_found", "There is no workspace to save.");
    if (before.longestPath > longestRestorable) {
      throw new Refusal(
        "save_failed",
        `The workspace has a path of ${before.longestPath} bytes. No path longer than ${longestRestorable} bytes can be restored: shorten or delete it.`,
      );
    }
    await refuseWithoutSpace(this.#state, this.#quotaBytes, before.bytes);
    makeDurably(this.#state.snapshots, paths.session);
    // A crash of the host may have left a file that was never acknowledged.
    await rm(paths.unfinished, { force: true });
    try {
      const written = await pack(workspace, paths.unfinished, signal);
      const readBack = await sumOf(paths.unfinished, signal);
      const entries = await entriesOf(paths.unfinished, signal);
      if (!same(written, readBack))
        throw new ArchiveFailed("The archive reads back differently from what was written.");
      if (entries !== before.entries) {
        throw new ArchiveFailed(
          `The archive has ${entries} entries and the workspace had ${before.entries}: it changed meanwhile.`,
        );
      }
      paths.refuseRemoved();
      renameSync(paths.unfinished, paths.archive);
      this.#state.files.write(paths.acknowledged, JSON.stringify(readBack satisfies Acknowledgement));
      return readBack.bytes;
    } catch (error) {
      await rm(paths.unfinished, { force: true });
      paths.refuseRemoved();
      throw refusalOf(error, "save_failed", "The workspace could not be saved");
    }
  }
}

function textOf(file: string): string | null {
  return existsSync(file) ? readFileSync(file, "utf8") : null;
}

/** The files of one snapshot. */
class SnapshotPaths {
  readonly session: string;
  readonly name: string;
  readonly directory: string;
  readonly #files: DurableFiles;

  constructor({ files, snapshots }: StateDirectory, session: string, name: string) {
    this.#files = files;
    this.session = snapshotNameText.parse(session);
    this.name = snapshotNameText.parse(name);
    this.directory = join(snapshots, this.session);
  }

  /** A name for `DurableFiles`. */
  get tombstone(): string {
    return `snapshots/${this.session}/${this.name}.removed`;
  }

  get archive(): string {
    return join(this.directory, `${this.name}.tar`);
  }

  get unfinished(): string {
    return join(this.directory, `${this.name}.saving`);
  }

  get acknowledged(): string {
    return `snapshots/${this.session}/${this.name}.json`;
  }

  get removed(): boolean {
    return this.#files.has(this.tombstone);
  }

  refuseRemoved(): void {
    if (this.removed) throw new Refusal("refused_retired", `Snapshot ${this.name} was removed.`);
  }

  /** null: never saved, or removed. Throws when it cannot be read: that must not count as absent. */
  read(): Acknowledgement | null {
    const text = this.removed ? null : this.#files.read(this.acknowledged);
    return text === null ? null : acknowledgement.parse(JSON.parse(text));
  }
}

function same(one: Acknowledgement, other: Acknowledgement): boolean {
  return one.bytes === other.bytes && one.sha256 === other.sha256;
}

/** `tar` may stumble over a damaged archive before its checksum is known. False as well when it cannot be read to its end now. */
async function differs(paths: SnapshotPaths, recorded: Acknowledgement, signal: AbortSignal): Promise<boolean> {
  try {
    return !same(await sumOf(paths.archive, signal), recorded);
  } catch {
    return false;
  }
}

function damaged(name: string): Refusal {
  return new Refusal("damaged", `Snapshot ${name} is damaged: it differs from what was saved. Nothing was started.`);
}

/** Call it once the partial result is deleted. */
function refusalOf(error: unknown, code: "save_failed" | "launch_failed", what: string): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof DiskFull) return new Refusal("insufficient_space", `${what}: the disk is full.`);
  return new Refusal(code, `${what}: ${error instanceof Error ? error.message : "unknown"}`);
}
