/**
 * A directory as one tar file and back, with the system's `tar`: names of any bytes, modes, links (never followed), empty
 * directories and holes. Sockets are not kept: nothing listens on them afterwards.
 *
 * Every archive goes through a pipe of ours: `tar` ends when we do, and what is read is summed as it passes.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { lstat, open, readdir } from "node:fs/promises";
import type { Readable, Writable } from "node:stream";
import type { RunAs } from "../src/job-user.ts";

export interface Sum {
  readonly bytes: number;
  readonly sha256: string;
}

/** `tar` said no, or somebody changed the directory meanwhile. */
export class ArchiveFailed extends Error {}

export class DiskFull extends Error {}

/** What goes before each file's contents, at most: a header, and one more with its exact times. */
const headerBytes = 2_048;
const blockBytes = 512;
/** An archive is padded to this. */
const recordBytes = 10_240;

export interface Measure {
  readonly entries: number;
  /** What an archive of it takes, at most. */
  readonly bytes: number;
}

/** null: there is no such directory. */
export async function measure(directory: string): Promise<Measure | null> {
  try {
    const { entries, bytes } = await measured(Buffer.from(directory));
    return { entries, bytes: bytes + 2 * recordBytes };
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null;
    throw error;
  }
}

/** Names as bytes: not every one is text. */
async function measured(path: Buffer): Promise<Measure> {
  const stats = await lstat(path);
  if (stats.isSocket()) return { entries: 0, bytes: 0 };
  if (!stats.isDirectory()) {
    // Holes are not stored. A small file may take no block of its own.
    const stored = stats.blocks === 0 ? Math.min(stats.size, blockBytes) : Math.min(stats.size, stats.blocks * 512);
    return { entries: 1, bytes: headerBytes + Math.ceil(stored / blockBytes) * blockBytes };
  }
  let entries = 1;
  let bytes = headerBytes;
  for (const name of await readdir(path, { encoding: "buffer" })) {
    const inside = await measured(Buffer.concat([path, Buffer.from("/"), name]));
    entries += inside.entries;
    bytes += inside.bytes;
  }
  return { entries, bytes };
}

/** Writes `file`, which must not be there yet, and syncs it. Whoever calls removes it when this throws. */
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
      throw codeOf(error) === "ENOSPC" || codeOf(error) === "EDQUOT" ? new DiskFull("The disk is full.") : error;
    }
    await tar.ended;
    await archive.sync();
    return { bytes, sha256: hash.digest("hex") };
  } finally {
    await archive.close();
  }
}

/** What is on disk now, read to its end. */
export async function sumOf(file: string, signal: AbortSignal): Promise<Sum> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of createReadStream(file, { signal }) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { bytes, sha256: hash.digest("hex") };
}

/** How many entries `tar` finds in it. */
export async function entriesOf(file: string, signal: AbortSignal): Promise<number> {
  // Escaped, so that a name with line breaks is still one line.
  const tar = startTar(["--list", `--file=${file}`, "--quoting-style=escape"], signal);
  let lines = 0;
  for await (const chunk of tar.output) for (const byte of chunk) if (byte === 0x0a) lines += 1;
  await tar.ended;
  return lines;
}

/**
 * Into an empty directory. What came out is to be believed only when the sum is the one that was recorded. `owner`: who
 * unpacks it, into a directory of his. An archive holds what jobs made: so it can do no more than they, and all of it is
 * theirs, whoever it belonged to. null: we do, and each file belongs to whom it belonged to, where we may give it away.
 */
export async function unpack(file: string, directory: string, signal: AbortSignal, owner: RunAs | null): Promise<Sum> {
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
  /** Rejects unless it succeeded. */
  readonly ended: Promise<void>;
}

/** `tar` with pipes on both sides; it ends with the signal. `user`: whom it runs as, when not as we do. */
export function startTar(args: readonly string[], signal: AbortSignal, user?: RunAs): Tar {
  const child = spawn("tar", args, {
    // Where we are may be closed to them.
    ...(user === undefined ? {} : { uid: user.uid, gid: user.gid, cwd: "/" }),
    stdio: ["pipe", "pipe", "pipe"],
    signal,
    killSignal: "SIGKILL",
    // Nothing of ours, above all no token; messages that we can read.
    env: { PATH: process.env["PATH"], LC_ALL: "C" },
  });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => (said = `${said}${chunk.toString("utf8")}`.slice(-2_000)));
  // It ended before it had read everything: its exit code tells.
  child.stdin.on("error", () => {});
  const ended = new Promise<void>((resolve, reject) => {
    child.on("error", (error) => reject(new ArchiveFailed(error.message)));
    child.on("close", (code) => {
      if (code === 0) resolve();
      else if (/No space left on device|Disk quota exceeded/.test(said)) reject(new DiskFull("The disk is full."));
      else reject(new ArchiveFailed(said.trim().split("\n").slice(0, 3).join(" | ") || `tar ended with ${code}.`));
    });
  });
  // Told to whoever awaits it; never unhandled when somebody else failed first.
  ended.catch(() => {});
  return { child, input: child.stdin, output: child.stdout, ended };
}

function codeOf(error: unknown): string | null {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : null;
}
