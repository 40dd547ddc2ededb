/**
 * Whether there is room on the disk. There are three refusals: too little room, with the numbers; room that cannot be
 * measured; and a filesystem that refuses writes, which needs a write that was tried and refused for that very reason.
 */
import { randomBytes } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Refusal } from "../refusal.ts";
import type { StateDirectory } from "../records/state-directory.ts";
import { errnoOf, isFull } from "../../proc/errno.ts";

export interface Space {
  readonly freeBytes: number;
  readonly totalBytes: number;
}

/** Below this a job could not even write its log. */
const leastFreeBytes = 16 * 1024 * 1024;
/** More than fits into an inode, so that the write needs a block. */
const probeBytes = 8_192;

/** `quotaBytes`: what all sandboxes and snapshots may take together; null: what the disk has. */
export async function refuseWithoutSpace(
  state: StateDirectory,
  quotaBytes: number | null,
  neededBytes: number,
): Promise<void> {
  const full = diskFull(state, neededBytes);
  if (full !== null) throw new Refusal("insufficient_space", full);
  if (quotaBytes === null) return;
  const used = await state.diskUse(null);
  if (used + neededBytes < quotaBytes) return;
  const more = neededBytes === 0 ? "" : `, ${neededBytes} more are needed`;
  throw new Refusal("insufficient_space", `${used} bytes of a quota of ${quotaBytes} are used${more}.`);
}

/** Says that the disk is full, with the numbers; null: it has room for a launch. Throws when the disk cannot be measured. */
export function diskFull(state: Pick<StateDirectory, "freeBytes">, neededBytes = 0): string | null {
  const free = state.freeBytes();
  const needed = leastFreeBytes + neededBytes;
  if (free >= needed) return null;
  return `The disk is full: ${free} bytes are free, ${needed} are needed. End sessions or delete files on that disk.`;
}

/** What can be measured about a directory that holds workspaces. */
export type Measurable = Pick<StateDirectory, "path" | "disk" | "diskUse">;

export async function measureSpace(state: Measurable, quotaBytes: number | null): Promise<Space> {
  const space = await told(state, quotaBytes);
  try {
    tryToWrite(state.path);
  } catch (error) {
    const refused = refusedWrite(error);
    // A disk that is full by its own numbers is not broken, and the numbers say so.
    if (refused !== null && !(isFull(error) && space.freeBytes < probeBytes)) throw refused;
    if (refused === null) throw unmeasurable(error);
  }
  return space;
}

/** The refusal that a failed write proves; null: the failure says nothing about the filesystem. */
function refusedWrite(error: unknown): Refusal | null {
  if (errnoOf(error) === "EROFS")
    return new Refusal("filesystem_unusable", "A write was refused: the filesystem is read-only (EROFS).");
  if (isFull(error)) {
    const why = "A write was refused for want of space although space was measured as free";
    return new Refusal(
      "filesystem_unusable",
      `${why} (${errnoOf(error)}): out of inodes, or over a quota of the system.`,
    );
  }
  return null;
}

/**
 * The refusal that a failed preparation proves, or the error itself. On a read-only filesystem Node reports ENOENT for a
 * recursive mkdir and no code for a recursive removal, so this tries a plain write as well.
 */
export function whyNotPrepared(state: StateDirectory, error: unknown): unknown {
  if (error instanceof Refusal) return error;
  const refused = refusedWrite(error);
  if (refused !== null) return refused;
  try {
    tryToWrite(state.path);
    return error;
  } catch (second) {
    return refusedWrite(second) ?? error;
  }
}

async function told(state: Measurable, quotaBytes: number | null): Promise<Space> {
  try {
    const disk = state.disk();
    if (quotaBytes === null) return disk;
    const left = Math.max(0, quotaBytes - (await state.diskUse(null)));
    return { freeBytes: Math.min(disk.freeBytes, left), totalBytes: quotaBytes };
  } catch (error) {
    throw unmeasurable(error);
  }
}

function tryToWrite(directory: string): void {
  const probe = join(directory, `.probe-${randomBytes(6).toString("hex")}`);
  try {
    writeFileSync(probe, Buffer.alloc(probeBytes, 1), { flag: "wx", mode: 0o600, flush: true });
  } finally {
    rmSync(probe, { force: true });
  }
}

function unmeasurable(error: unknown): Refusal {
  return new Refusal("space_unmeasurable", `The free disk space cannot be measured: ${errnoOf(error)}.`);
}
