/**
 * Packs a directory into one tar file and unpacks it, with the system's `tar`. Keeps names of any bytes, modes, links
 * (never followed), empty directories and holes; drops sockets, on which nothing would listen.
 *
 * Every archive goes through a pipe of this process, so that `tar` ends with it and a checksum is made as bytes pass.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { lstat, open } from "node:fs/promises";
import type { Readable, Writable } from "node:stream";
import type { RunAs } from "../../agent/user/job-user.ts";
import { walkTree } from "./tree-walk.ts";
import { errnoOf, isFull } from "../../proc/errno.ts";

export interface Sum {
  readonly bytes: number;
  readonly sha256: string;
}

/** `tar` failed, or the directory was changed meanwhile. */
export class ArchiveFailed extends Error {}

export class DiskFull extends Error {}

/** The most that precedes a file's contents: a header, and another one with its exact times. */
const headerBytes = 2_048;
const blockBytes = 512;
/** An archive is padded to a multiple of this. */
const recordBytes = 10_240;

export interface Measure {
  readonly entries: number;
  /** The most that an archive of the directory takes. */
  readonly bytes: number;
  /** The longest path below the directory, in bytes. */
  readonly longestPath: number;
}

/** `tar` cannot unpack a longer path: the path, with `./` before it, is one argument of a system call. */
export const longestRestorable = 4_093;

/** null: no such directory. Mounted file systems count, because `tar` packs them too. */
export async function measure(directory: string): Promise<Measure | null> {
  let entries = 1;
  let bytes = headerBytes + 2 * recordBytes;
  let longestPath = 0;
  const count = async (path: Buffer, length: number): Promise<void> => {
    const stats = await lstat(path);
    if (stats.isSocket()) return;
    // Holes are not stored. A small file may take no block of its own.
    const stored = stats.blocks === 0 ? Math.min(stats.size, blockBytes) : Math.min(stats.size, stats.blocks * 512);
    entries += 1;
    bytes += headerBytes + length + (stats.isDirectory() ? 0 : Math.ceil(stored / blockBytes) * blockBytes);
    longestPath = Math.max(longestPath, length);
  };
  try {
    await lstat(directory);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return null;
    throw error;
  }
  await walkTree(directory, {
    entry: count,
    left: count,
    blocked: async (_path, why) => {
      if (why.type === "unreadable") throw why.error;
      return "enter";
    },
  });
  return { entries, bytes, longestPath };
}

/** Writes `file`, which must not exist yet, and syncs it. When this throws, the caller removes the file. */
export async function pack(directory: string, file: string, signal: AbortSignal): Promise<Sum> {
  const archive = await open(file, "wx", 0o600);
  try {
    const tar = startTar(
      ["--create", "--file=-", "--format=posix", "--sparse", "--numeric-owner", `--directory=${directory}`, "."],
      signal,
    );
    const hash = createHash("sha256");
    let bytes = 0;
    try {
      for await (const chunk of tar.output) {
        hash.update(chunk);
        bytes += chunk.length;
        await archive.appendFile(chunk);
      }
    } catch (error) {
      tar.child.kill("SIGKILL");
      await tar.ended.catch(() => {});
      throw isFull(error) ? new DiskFull("The disk is full.") : error;
    }
    await tar.ended;
    await archive.sync();
    return { bytes, sha256: hash.digest("hex") };
  } finally {
    await archive.close();
  }
}

/** Length and checksum of a file, read from disk to its end. */
export async function sumOf(file: string, signal: AbortSignal): Promise<Sum> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of createReadStream(file, { signal }) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { bytes, sha256: hash.digest("hex") };
}

/** How many entries `tar` finds in an archive. */
export async function entriesOf(file: string, signal: AbortSignal): Promise<number> {
  // Escaped, so that a name with line breaks is still one line.
  const tar = startTar(["--list", `--file=${file}`, "--quoting-style=escape"], signal);
  let lines = 0;
  for await (const chunk of tar.output) for (const byte of chunk) if (byte === 0x0a) lines += 1;
  await tar.ended;
  return lines;
}

/**
 * Unpacks into an empty directory. The caller must compare the checksum with the recorded one before it uses the files.
 * `owner`: `tar` runs as that user, who owns the directory and then every file in it. Jobs made the archive, so unpacking
 * gets no more rights than they have. null: `tar` runs as this process, and files keep their owners where it may set them.
 */
export async function unpack(
  file: string,
  directory: string,
  signal: AbortSignal,
  owner: RunAs | null,
  passed: (bytes: number) => void,
): Promise<Sum> {
  const tar = startTar(
    ["--extract", "--file=-", "--same-permissions", "--numeric-owner", `--directory=${directory}`],
    signal,
    owner ?? undefined,
  );
  const hash = createHash("sha256");
  let bytes = 0;
  try {
    for await (const chunk of createReadStream(file, { signal }) as AsyncIterable<Buffer>) {
      hash.update(chunk);
      bytes += chunk.length;
      passed(bytes);
      if (tar.input.writable && !tar.input.write(chunk)) await Promise.race([once(tar.input, "drain"), tar.ended]);
    }
  } catch (error) {
    tar.child.kill("SIGKILL");
    await tar.ended.catch(() => {});
    throw error;
  }
  tar.input.end();
  await tar.ended;
  return { bytes, sha256: hash.digest("hex") };
}

export interface Tar {
  readonly child: ChildProcess;
  readonly input: Writable;
  readonly output: Readable & AsyncIterable<Buffer>;
  /** Rejects unless `tar` succeeded. */
  readonly ended: Promise<void>;
}

/** Starts `tar` with pipes on both sides; the signal ends it. `user`: whom it runs as, if not as this process. */
export function startTar(args: readonly string[], signal: AbortSignal, user?: RunAs): Tar {
  const child = spawn("tar", args, {
    // The current directory may be closed to that user.
    ...(user === undefined ? {} : { uid: user.uid, gid: user.gid, cwd: "/" }),
    stdio: ["pipe", "pipe", "pipe"],
    signal,
    killSignal: "SIGKILL",
    // A clean environment, above all without the token; and messages in English, which are parsed below.
    env: { PATH: process.env["PATH"], LC_ALL: "C" },
  });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => (said = `${said}${chunk.toString("utf8")}`.slice(-2_000)));
  // `tar` ended before it had read everything; its exit code says why.
  child.stdin.on("error", () => {});
  const ended = new Promise<void>((resolve, reject) => {
    child.on("error", (error) => reject(new ArchiveFailed(error.message)));
    child.on("close", (code) => {
      if (code === 0) resolve();
      else if (/No space left on device|Disk quota exceeded/.test(said)) reject(new DiskFull("The disk is full."));
      else reject(new ArchiveFailed(said.trim().split("\n").slice(0, 3).join(" | ") || `tar ended with ${code}.`));
    });
  });
  // Not an unhandled rejection when the caller failed first and never awaits this.
  ended.catch(() => {});
  return { child, input: child.stdin, output: child.stdout, ended };
}
