/**
 * Copies files into and out of a sandbox, over the files API: a file as it is, a directory as a stream of tar.
 *
 * A file gets its name only when it is complete, on both sides. A directory is unpacked while it arrives, so a transfer
 * that breaks off leaves a part of it.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { createReadStream, createWriteStream, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { promises, Readable } from "node:stream";
import { isProblem, type Session } from "../../client/mooring.ts";
import { exitCodes } from "../exit-codes.ts";
import { CliFault } from "../fault.ts";

export interface Transfer {
  readonly session: Session;
  readonly signal: AbortSignal;
  /** Bytes since the last call, and how many there are in all; null: unknown, for a directory. */
  readonly onBytes: (count: number, total: number | null) => void;
}

/** `contents`: copy what is in the directory, not the directory itself. */
export async function upload(
  transfer: Transfer,
  from: string,
  to: string,
  { recursive, contents = false }: { readonly recursive: boolean; readonly contents?: boolean },
): Promise<void> {
  const found = statSync(from, { throwIfNoEntry: false });
  if (found === undefined) throw new CliFault(exitCodes.notFound, `There is no ${from} here.`);
  if (!found.isDirectory()) return await uploadFile(transfer, from, to, found.mode & 0o777, found.size);
  if (!recursive) throw new CliFault(exitCodes.usage, `${from} is a directory.`, "the same command with -r");
  const name = contents || basename(from) === ".." ? "." : basename(from);
  const target = name !== "." && (await isDirectoryThere(transfer, to)) ? below(to, name) : to;
  const tar = spawn("tar", ["-cf", "-", "-C", from, "."], { stdio: ["ignore", "pipe", "inherit"] });
  await withTar(tar, async () => {
    const { session, signal } = transfer;
    await session.files.upload(target, streamOf(counted(transfer, tar.stdout, null)), { signal });
  });
}

async function uploadFile(transfer: Transfer, from: string, to: string, mode: number, size: number): Promise<void> {
  const { session, signal } = transfer;
  const isInto = to.endsWith("/") || (await isDirectoryThere(transfer, to));
  const target = isInto ? below(to, basename(from)) : to;
  await session.files.write(target, streamOf(counted(transfer, createReadStream(from), size)), { mode, signal });
}

export async function download(transfer: Transfer, from: string, to: string, recursive: boolean): Promise<void> {
  const isInto = to.endsWith("/") || statSync(to, { throwIfNoEntry: false })?.isDirectory() === true;
  const target = isInto ? join(to, basename(from)) : to;
  try {
    await (recursive ? downloadTree(transfer, from, target) : downloadFile(transfer, from, target));
  } catch (error) {
    if (isProblem(error, "file_not_found"))
      throw new CliFault(exitCodes.notFound, `There is no ${from} in the sandbox.`);
    if (isProblem(error, "is_a_directory"))
      throw new CliFault(exitCodes.usage, `${from} is a directory.`, "the same command with -r");
    if (isProblem(error, "not_a_directory") && recursive)
      throw new CliFault(exitCodes.usage, `${from} is a file.`, "the same command without -r");
    throw error;
  }
}

async function downloadFile(transfer: Transfer, from: string, target: string): Promise<void> {
  const { session, signal } = transfer;
  const answer = await session.files.open(from, { signal });
  const length = answer.headers.get("content-length");
  mkdirSync(dirname(target), { recursive: true });
  const draft = `${target}.mooring-${process.pid}`;
  try {
    await promises.pipeline(
      counted(transfer, bodyOf(answer.body), length === null ? null : Number(length)),
      createWriteStream(draft),
    );
    renameSync(draft, target);
  } finally {
    rmSync(draft, { force: true });
  }
}

async function downloadTree(transfer: Transfer, from: string, target: string): Promise<void> {
  const { session, signal } = transfer;
  const stream = await session.files.download(from, { signal });
  mkdirSync(target, { recursive: true });
  const tar = spawn("tar", ["-xf", "-", "--no-same-owner", "-C", target], { stdio: ["pipe", "inherit", "inherit"] });
  await withTar(tar, () => promises.pipeline(counted(transfer, bodyOf(stream), null), tar.stdin));
}

async function isDirectoryThere({ session, signal }: Transfer, path: string): Promise<boolean> {
  try {
    const { type, link } = await session.files.stat(path, { signal });
    return (link?.type ?? type) === "directory";
  } catch (error) {
    if (isProblem(error, "file_not_found", "not_a_directory")) return false;
    throw error;
  }
}

const below = (directory: string, name: string) => `${directory.replace(/\/$/, "")}/${name}`;

async function* counted({ onBytes }: Transfer, source: Readable, total: number | null): AsyncGenerator<Buffer> {
  for await (const chunk of source) {
    onBytes((chunk as Buffer).length, total);
    yield chunk as Buffer;
  }
}

/** Node's type of a web stream and the platform's type differ, though the objects are the same. */
function streamOf(chunks: AsyncIterable<Buffer>): ReadableStream<Uint8Array> {
  return Readable.toWeb(Readable.from(chunks, { objectMode: false })) as unknown as ReadableStream<Uint8Array>;
}

function bodyOf(body: ReadableStream<Uint8Array> | null): Readable {
  return body === null
    ? Readable.from([])
    : Readable.fromWeb(body as unknown as Parameters<typeof Readable.fromWeb>[0]);
}

/** Runs a tar of this machine together with the transfer. When one of them fails, the other is ended too. */
async function withTar(tar: ChildProcess, act: () => Promise<void>): Promise<void> {
  const ended = exitOf(tar);
  ended.catch(() => {});
  try {
    await act();
  } catch (error) {
    // When tar gives up it closes its pipe, which is the error caught here. Tar's own message says why.
    if (tar.exitCode !== null && tar.exitCode !== 0) await ended;
    tar.kill("SIGKILL");
    throw error;
  }
  await ended;
}

function exitOf(tar: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    tar.on("error", () => reject(new CliFault(exitCodes.failed, "tar could not be started on this machine.")));
    tar.on("close", (code) =>
      code === 0 ? resolve() : reject(new CliFault(exitCodes.failed, `tar ended with ${code ?? "a signal"}.`)),
    );
  });
}
