/**
 * Files into a sandbox and out of it, through the standard input and output of a job: it works on every provider, runs as the
 * user of the session's jobs, and ends with the session. A file arrives under a temporary name and is renamed when it is whole.
 */
import { spawn } from "node:child_process";
import { createReadStream, createWriteStream, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { type Job, isProblem, type Session } from "../../client/mooring.ts";
import { exitCodes } from "../exit-codes.ts";
import { CliFault } from "../fault.ts";

export interface Transfer {
  readonly session: Session;
  readonly signal: AbortSignal;
  /** Bytes so far. */
  readonly onBytes: (count: number) => void;
}

/** Below the limit of one write to a job. */
const pieceBytes = 64 * 1_024;
const fullPauseMs = 200;
/** What the scripts exit with. */
const notThere = 44;
const isDirectory = 21;
const isNoDirectory = 20;

/** `$1`: where it goes, `$2`: its name, should `$1` be a directory, `$3`: its mode. */
const takeFile = `case $1 in */) mkdir -p -- "$1";; esac; [ -d "$1" ] && set -- "\${1%/}/$2" "$2" "$3"
mkdir -p -- "$(dirname -- "$1")" && t="$1.mooring-$$" && cat > "$t" && chmod "$3" "$t" && mv -f -- "$t" "$1" || { rm -f -- "$t"; exit 1; }`;
const takeTree = `[ "$2" != . ] && [ -d "$1" ] && set -- "\${1%/}/$2" "$2"
mkdir -p -- "$1" && tar -xf - -C "$1" && cat > /dev/null`;
const giveFile = `[ -e "$1" ] || exit ${notThere}; [ -d "$1" ] && exit ${isDirectory}; cat -- "$1"`;
const giveTree = `[ -e "$1" ] || exit ${notThere}; [ -d "$1" ] || exit ${isNoDirectory}; tar -cf - -C "$1" .`;

/** `contents`: what is in the directory, in place of the directory itself. */
export async function upload(
  transfer: Transfer,
  from: string,
  to: string,
  { recursive, contents = false }: { readonly recursive: boolean; readonly contents?: boolean },
): Promise<void> {
  const found = statSync(from, { throwIfNoEntry: false });
  if (found === undefined) throw new CliFault(exitCodes.notFound, `There is no ${from} here.`);
  if (found.isDirectory() && !recursive)
    throw new CliFault(exitCodes.usage, `${from} is a directory.`, "the same command with -r");
  const name = contents || basename(from) === ".." ? "." : basename(from);
  const mode = (found.mode & 0o777).toString(8);
  const argv = found.isDirectory()
    ? ["sh", "-c", takeTree, "cp", to, name]
    : ["sh", "-c", takeFile, "cp", to, name, mode];
  const job = await transfer.session.run({ argv, stdin_open: true });
  await cancelledOnFault(job, async () => {
    if (found.isDirectory()) {
      const tar = spawn("tar", ["-cf", "-", "-C", from, "."], { stdio: ["ignore", "pipe", "inherit"] });
      const ended = exitOf(tar, "tar");
      await feed(transfer, job, tar.stdout);
      await ended;
    } else await feed(transfer, job, createReadStream(from));
    const { state, exit_code: code, output_tail: said } = await job.done({ signal: transfer.signal });
    if (state !== "succeeded")
      throw new CliFault(
        exitCodes.failed,
        `${to} could not be written (${state}, exit code ${code ?? "none"}): ${said ?? ""}`.trim(),
      );
  });
}

export async function download(transfer: Transfer, from: string, to: string, recursive: boolean): Promise<void> {
  const argv = ["sh", "-c", recursive ? giveTree : giveFile, "cp", from];
  const job = await transfer.session.run({ argv });
  const isInto = to.endsWith("/") || statSync(to, { throwIfNoEntry: false })?.isDirectory() === true;
  const target = isInto ? join(to, basename(from)) : to;
  mkdirSync(recursive ? target : dirname(target), { recursive: true });
  const draft = `${target}.mooring-${process.pid}`;
  await cancelledOnFault(job, async () => {
    if (recursive) {
      const tar = spawn("tar", ["-xf", "-", "--no-same-owner", "-C", target], {
        stdio: ["pipe", "inherit", "inherit"],
      });
      const ended = exitOf(tar, "tar");
      ended.catch(() => {});
      await receive(transfer, job, tar.stdin, from);
      await ended;
      return;
    }
    try {
      await receive(transfer, job, createWriteStream(draft), from);
      renameSync(draft, target);
    } finally {
      rmSync(draft, { force: true });
    }
  });
}

async function feed({ signal, onBytes }: Transfer, job: Job, source: Readable): Promise<void> {
  for await (const chunk of source) {
    const bytes = chunk as Buffer;
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      const piece = bytes.subarray(at, at + pieceBytes);
      // A job that has ended takes no more; how it ended is read by whoever started it.
      if (!(await written(job, piece, signal))) return;
      onBytes(piece.length);
    }
  }
  await written(job, null, signal);
}

/** `null`: the end of it. A job that has not read yet what it was given takes nothing: the same piece is sent again. */
async function written(job: Job, piece: Uint8Array | null, signal: AbortSignal): Promise<boolean> {
  for (;;) {
    try {
      await job.write(piece ?? "", { end: piece === null, signal });
      return true;
    } catch (error) {
      if (isProblem(error, "job_ended")) return false;
      if (!isProblem(error, "stdin_full", "rate_limited")) throw error;
      const waitMs = error.retryAt === null ? fullPauseMs : Math.max(fullPauseMs, error.retryAt.getTime() - Date.now());
      await new Promise((resolve) => setTimeout(resolve, waitMs));
      signal.throwIfAborted();
    }
  }
}

async function receive({ signal, onBytes }: Transfer, job: Job, sink: Writable, from: string): Promise<void> {
  let count = 0;
  const closed = new Promise<void>((resolve, reject) => void sink.on("close", resolve).on("error", reject));
  closed.catch(() => {});
  const output = job.outputBytes({ signal });
  for (;;) {
    const next = await output.next();
    if (next.done === true) {
      sink.end();
      await closed;
      const { state, exit_code: code, output_bytes: bytes, output_gap: gap } = next.value;
      if (code === notThere) throw new CliFault(exitCodes.notFound, `There is no ${from} in the sandbox.`);
      if (code === isDirectory)
        throw new CliFault(exitCodes.usage, `${from} is a directory.`, "the same command with -r");
      if (code === isNoDirectory)
        throw new CliFault(exitCodes.usage, `${from} is a file.`, "the same command without -r");
      if (state !== "succeeded")
        throw new CliFault(exitCodes.failed, `${from} could not be read (${state}, exit code ${code ?? "none"}).`);
      if (gap !== null || count !== bytes)
        throw new CliFault(
          exitCodes.failed,
          `${from} is more than a job's output keeps (64 MB), so it did not come whole and was not kept.`,
        );
      return;
    }
    count += next.value.length;
    onBytes(next.value.length);
    if (!sink.write(next.value)) await Promise.race([new Promise((resolve) => sink.once("drain", resolve)), closed]);
  }
}

async function cancelledOnFault(job: Job, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    await job.cancel().catch(() => {});
    throw error;
  }
}

function exitOf(child: ReturnType<typeof spawn>, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.on("error", () => reject(new CliFault(exitCodes.failed, `${name} could not be started on this machine.`)));
    child.on("close", (code) =>
      code === 0 ? resolve() : reject(new CliFault(exitCodes.failed, `${name} ended with ${code}.`)),
    );
  });
}
