/**
 * Puts bytes in the place of a file. They go to a temporary name beside it, which takes its place when all have come: whoever reads
 * sees the old file or the new one, and an upload that breaks off leaves the old one.
 */
import { randomBytes } from "node:crypto";
import { rmSync, type BigIntStats } from "node:fs";
import { lstat, open, readlink, rename, stat, unlink, type FileHandle } from "node:fs/promises";
import { spentBuffer } from "../../../relay/spent-buffers.ts";
import { ServiceFailure } from "../service-failure.ts";
import { modeOf, typeOf } from "./entries.ts";
import { FilePath } from "./paths.ts";
import { errnoOf } from "../../../proc/errno.ts";

export interface Replacement {
  /** The file that is there now. null: none. */
  readonly present: BigIntStats | null;
  readonly body: AsyncIterable<Buffer>;
  /** Permission bits. null: those of the file that is replaced, else what the umask leaves of 666. */
  readonly mode: number | null;
  /** Called with the whole file, before it takes its place. */
  readonly finish: (written: FilePath) => Promise<void>;
  /** Gives the temporary file its name. Left out: a rename. */
  readonly takePlace?: (draft: FilePath) => Promise<void>;
}

const maxLinks = 40;
const newFileMode = 0o666;
const draftName = /^\.mooring-[0-9a-f]{16}\.part$/;
/** Drafts of uploads under way. Those left over are removed when this process ends. */
const drafts = new Set<string>();

/** An upload that is under way: what watchers hear of is the file that it becomes. */
export function isDraft(name: string): boolean {
  return draftName.test(name);
}

export function removeDrafts(): void {
  for (const draft of drafts) rmSync(Buffer.from(draft, "latin1"), { force: true });
}

/** `path`: as `followed` gives it. */
export async function replaceFile(path: FilePath, replacement: Replacement): Promise<void> {
  const { present, body, mode, finish, takePlace = (from) => rename(from.bytes, path.bytes) } = replacement;
  const draft = path.directory.child(`.mooring-${randomBytes(8).toString("hex")}.part`);
  let file: FileHandle;
  try {
    file = await open(draft.bytes, "wx", newFileMode);
  } catch (error) {
    // The directory is closed to us, the file in it is not: there is only the direct way.
    if (present === null || !["EACCES", "EPERM", "EROFS"].includes(errnoOf(error))) throw error;
    return writeInPlace(path, replacement);
  }
  drafts.add(draft.latin1);
  try {
    try {
      await copyTo(file, body);
      const wanted = mode ?? (present === null ? null : modeOf(present));
      if (wanted !== null) await file.chmod(wanted);
    } finally {
      await file.close();
    }
    await finish(draft);
    await takePlace(draft);
  } catch (error) {
    await unlink(draft.bytes).catch(() => {});
    throw error;
  } finally {
    drafts.delete(draft.latin1);
  }
}

async function writeInPlace(path: FilePath, { body, mode, finish }: Replacement): Promise<void> {
  const file = await open(path.bytes, "r+");
  try {
    await file.truncate(0);
    await copyTo(file, body);
    if (mode !== null) await file.chmod(mode);
  } finally {
    await file.close();
  }
  await finish(path);
}

/** Waits for each piece to be written before it asks for the next: that is the back-pressure. */
async function copyTo(file: FileHandle, body: AsyncIterable<Buffer>): Promise<void> {
  for await (const chunk of body) {
    for (let done = 0; done < chunk.length;) done += (await file.write(chunk, done)).bytesWritten;
    spentBuffer(chunk.length);
  }
}

/** Only regular files are written: the open of a pipe that nobody reads would hold a thread of this process for ever. */
export function refuseNoFile(present: BigIntStats | null, given: FilePath): void {
  const path = given.text;
  const type = present === null ? "file" : typeOf(present);
  if (type === "directory")
    throw new ServiceFailure("is_a_directory", `${JSON.stringify(path)} is a directory.`, { path });
  if (type !== "file")
    throw new ServiceFailure("not_a_file", `${JSON.stringify(path)} is a ${type}, which is not written as a file.`, {
      path,
    });
}

/** Where the kernel would write: through every link, also one that leads to nothing yet. */
export async function followed(path: FilePath): Promise<FilePath> {
  let at = path;
  for (let links = 0; links < maxLinks; links += 1) {
    const stats = await lstat(at.bytes).catch((error: unknown) => {
      if (errnoOf(error) === "ENOENT") return null;
      throw error;
    });
    if (stats?.isSymbolicLink() !== true) return at;
    const target = (await readlink(at.bytes, { encoding: "buffer" })).toString("latin1");
    at = target.startsWith("/") ? new FilePath(target) : at.directory.child(target);
  }
  throw Object.assign(new Error("too many links"), { code: "ELOOP" });
}

export async function statIfThere(path: FilePath): Promise<BigIntStats | null> {
  return stat(path.bytes, { bigint: true }).catch((error: unknown) => {
    if (errnoOf(error) === "ENOENT") return null;
    throw error;
  });
}
