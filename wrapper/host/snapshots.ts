/**
 * What was saved of workspaces: `<state>/snapshots/<session>/<name>.tar`, and beside it `<name>.json` (its length and sum),
 * whose presence is the acknowledgement, or `<name>.removed`, whose presence outweighs everything else under that name.
 *
 * - A save is acknowledged only after the archive was synced, read back to its end, and found to have as many entries as
 *   the workspace. Until then it has another name, which the next start throws away: nothing half-saved is ever restored.
 * - A removal writes its tombstone first, synchronously; the last check of a save and its rename have no await between
 *   them. So a save that lands late is refused, whichever of them is faster.
 * - Calls about one name wait for each other; different names do not.
 */
import { existsSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, statSync } from "node:fs";
import { chown, mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { ArchiveFailed, DiskFull, entriesOf, measure, pack, sumOf, unpack } from "./archive.ts";
import type { RunAs } from "../src/job-user.ts";
import { makeDurably, writeDurably } from "./records.ts";
import { Refusal } from "./refusal.ts";
import { refuseWithoutSpace } from "./space.ts";
import { type SandboxPaths, snapshotNameText, type StateDirectory } from "./state-directory.ts";

const acknowledgement = z.object({ bytes: z.int(), sha256: z.string() });
type Acknowledgement = z.infer<typeof acknowledgement>;

/** Twice what a session waits for one: a slow disk is no reason to give up, a hung one is. */
const saveMs = 10 * 60_000;
/** A restore is part of a launch, whose caller waits a minute. */
const restoreMs = 5 * 60_000;
/** Far longer than any save can be late. */
const tombstoneMs = 7 * 24 * 3_600_000;

export class Snapshots {
  readonly #state: StateDirectory;
  readonly #quotaBytes: number | null;
  readonly #queues = new Map<string, Promise<unknown>>();
  readonly #saving = new Map<string, AbortController>();

  constructor(state: StateDirectory, quotaBytes: number | null) {
    this.#state = state;
    this.#quotaBytes = quotaBytes;
  }

  /** Throws away what was never acknowledged, what was removed, and tombstones that nothing can come after. */
  start(now: number): void {
    for (const session of readdirSync(this.#state.snapshots)) {
      const directory = join(this.#state.snapshots, session);
      const files = new Set(readdirSync(directory));
      for (const file of files) {
        const [, name, kind] = /^([^.]+)\.(tar|json|removed)$/.exec(file) ?? [];
        const removed = files.has(`${name}.removed`);
        const keeps =
          kind === "removed"
            ? now - statSync(join(directory, file)).mtimeMs <= tombstoneMs
            : !removed && (kind === "json" || (kind === "tar" && files.has(`${name}.json`)));
        if (!keeps) rmSync(join(directory, file), { force: true });
      }
      if (readdirSync(directory).length === 0) rmdirSync(directory);
    }
  }

  /** Answers its length. The first save of a name is the one that counts. */
  save(session: string, name: string, workspace: string): Promise<number> {
    const place = new Place(this.#state.snapshots, session, name);
    return this.#inTurn(place, async () => {
      const giveUp = new AbortController();
      this.#saving.set(place.archive, giveUp);
      try {
        return await this.#save(place, workspace, AbortSignal.any([giveUp.signal, AbortSignal.timeout(saveMs)]));
      } finally {
        this.#saving.delete(place.archive);
      }
    });
  }

  async remove(session: string, name: string): Promise<void> {
    const place = new Place(this.#state.snapshots, session, name);
    makeDurably(this.#state.snapshots, session);
    if (!place.removed) writeDurably(place.directory, place.tombstone, "");
    this.#saving.get(place.archive)?.abort();
    await this.#inTurn(place, async () => {
      await rm(place.acknowledged, { force: true });
      await rm(place.archive, { force: true });
    });
  }

  /** In place of whatever workspace is there: it is whole, or it is not there. `owner`: whose it is then; null: whoever's it was. */
  async restore(session: string, name: string, sandbox: SandboxPaths, owner: RunAs | null): Promise<void> {
    const place = new Place(this.#state.snapshots, session, name);
    const recorded = place.read();
    if (recorded === null) throw new Refusal("not_found", `No snapshot ${name} of session ${session} here.`);
    await refuseWithoutSpace(this.#state, this.#quotaBytes, recorded.bytes);
    this.#state.makeRoot(sandbox);
    const fresh = join(sandbox.root, `workspace.${process.hrtime.bigint()}`);
    await mkdir(fresh, { recursive: true, mode: 0o700 });
    try {
      if (owner !== null) await chown(fresh, owner.uid, owner.gid);
      const sum = await unpack(place.archive, fresh, AbortSignal.timeout(restoreMs), owner);
      if (!same(sum, recorded)) {
        throw new Refusal("launch_failed", `Snapshot ${name} is not what was saved; nothing was started.`);
      }
      await rm(sandbox.workspace, { recursive: true, force: true });
      await rename(fresh, sandbox.workspace);
    } catch (error) {
      await rm(fresh, { recursive: true, force: true });
      throw refusalOf(error, "launch_failed", `Snapshot ${name} cannot be restored; nothing was started`);
    }
  }

  async #save(place: Place, workspace: string, signal: AbortSignal): Promise<number> {
    place.refuseRemoved();
    const known = place.read();
    if (known !== null) return known.bytes;
    const before = await measure(workspace);
    if (before === null) throw new Refusal("not_found", "There is no workspace to save.");
    await refuseWithoutSpace(this.#state, this.#quotaBytes, before.bytes);
    makeDurably(this.#state.snapshots, place.session);
    // What a crash of ours left under this name was never acknowledged.
    await rm(place.unfinished, { force: true });
    try {
      const written = await pack(workspace, place.unfinished, signal);
      const readBack = await sumOf(place.unfinished, signal);
      const entries = await entriesOf(place.unfinished, signal);
      if (!same(written, readBack)) throw new ArchiveFailed("What was read back is not what was written.");
      if (entries !== before.entries) {
        throw new ArchiveFailed(
          `It has ${entries} entries, the workspace had ${before.entries}: something changed it.`,
        );
      }
      place.refuseRemoved();
      renameSync(place.unfinished, place.archive);
      writeDurably(place.directory, `${place.name}.json`, JSON.stringify(readBack satisfies Acknowledgement));
      return readBack.bytes;
    } catch (error) {
      await rm(place.unfinished, { force: true });
      place.refuseRemoved();
      throw refusalOf(error, "save_failed", "The workspace could not be saved");
    }
  }

  #inTurn<T>(place: Place, act: () => Promise<T>): Promise<T> {
    const before = this.#queues.get(place.archive) ?? Promise.resolve();
    const mine = before.then(act, act);
    this.#queues.set(place.archive, mine);
    const leave = (): void => {
      if (this.#queues.get(place.archive) === mine) this.#queues.delete(place.archive);
    };
    mine.then(leave, leave);
    return mine;
  }
}

/** Where one name lies. */
class Place {
  readonly session: string;
  readonly name: string;
  readonly directory: string;
  readonly tombstone: string;

  constructor(snapshots: string, session: string, name: string) {
    this.session = snapshotNameText.parse(session);
    this.name = snapshotNameText.parse(name);
    this.directory = join(snapshots, this.session);
    this.tombstone = `${this.name}.removed`;
  }

  get archive(): string {
    return join(this.directory, `${this.name}.tar`);
  }

  get unfinished(): string {
    return join(this.directory, `${this.name}.saving`);
  }

  get acknowledged(): string {
    return join(this.directory, `${this.name}.json`);
  }

  get removed(): boolean {
    return existsSync(join(this.directory, this.tombstone));
  }

  refuseRemoved(): void {
    if (this.removed) throw new Refusal("refused_retired", `Snapshot ${this.name} was removed.`);
  }

  /** null: not there, or removed. One that is there and unreadable throws: it is not for us to call it absent. */
  read(): Acknowledgement | null {
    if (this.removed || !existsSync(this.acknowledged)) return null;
    return acknowledgement.parse(JSON.parse(readFileSync(this.acknowledged, "utf8")));
  }
}

function same(one: Acknowledgement, other: Acknowledgement): boolean {
  return one.bytes === other.bytes && one.sha256 === other.sha256;
}

/** Whatever went wrong, nothing of it is left. */
function refusalOf(error: unknown, code: "save_failed" | "launch_failed", what: string): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof DiskFull) return new Refusal("insufficient_space", `${what}: the disk is full.`);
  return new Refusal(code, `${what}: ${error instanceof Error ? error.message : "unknown"}`);
}
