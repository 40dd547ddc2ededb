/**
 * `GET` and `PUT /files/archive`: a whole tree as one stream of tar, by the system's own `tar`. It knows sparse and long names, hard
 * links and whatever else a tree has, refuses what would leave the directory, and holds nothing in memory.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, openSync } from "node:fs";
import { lstat, mkdir } from "node:fs/promises";
import type { Readable, Writable } from "node:stream";
import { finished, pipeline } from "node:stream/promises";
import { answerJson, type Exchange } from "../exchange.ts";
import { fileFailure, ServiceFailure } from "../service-failure.ts";
import { resolvePath, type FilePath, type BaseDirectories } from "./paths.ts";
import { errnoOf } from "../../../proc/errno.ts";

const maxAtOnce = 8;
const maxWords = 2_000;
let running = 0;

export function packRoute(base: BaseDirectories): (exchange: Exchange) => Promise<void> {
  return async (exchange) => {
    const path = resolvePath(exchange.query.bytes("path") ?? Buffer.from(base.workspace), base);
    const packed = compression(exchange);
    const isDirectory = await lstat(path.bytes).then(
      (stats) => stats.isDirectory() || stats.isSymbolicLink(),
      (error: unknown) => {
        throw fileFailure(error, path.text);
      },
    );
    if (!isDirectory)
      throw new ServiceFailure("not_a_directory", `${JSON.stringify(path.text)} is a file: read it with files?path=.`, {
        path: path.text,
      });
    await withTar(exchange, path, ["-c", ...packed, "-f", "-", "."], async (tar, words) => {
      const { response } = exchange;
      const out = tar.stdout as Readable;
      // What fails at once is answered; what fails later breaks the stream off.
      const first = await Promise.race([once(out, "readable").then(() => true), once(tar, "exit").then(() => false)]);
      if (!first && tar.exitCode !== 0) throw tarFailure(words(), path);
      response.writeHead(200, { "content-type": packed.length > 0 ? "application/gzip" : "application/x-tar" });
      await pipeline(out, response, { end: false });
      const code = tar.exitCode ?? ((await once(tar, "exit")) as [number | null])[0];
      // 1: a file changed while it was read. Such an archive is whole.
      if (code === 0 || code === 1) response.end();
      else response.destroy();
    });
  };
}

export function unpackRoute(base: BaseDirectories): (exchange: Exchange) => Promise<void> {
  return async (exchange) => {
    const path = resolvePath(exchange.query.bytes("path") ?? Buffer.from(base.workspace), base);
    const packed = compression(exchange);
    await mkdir(path.bytes, { recursive: true }).catch((error: unknown) => {
      throw fileFailure(error, path.text);
    });
    // -o: files belong to the user that unpacks, not to the one that the archive names.
    await withTar(exchange, path, ["-x", "-o", ...packed, "-f", "-"], async (tar, words) => {
      const { request } = exchange;
      const exited = once(tar, "exit") as Promise<[number | null]>;
      const over = feed(request, tar.stdin as Writable);
      const [code] = await exited;
      // First what tar says: a client that broke off in the middle of a file is told of by tar as well.
      if (code !== 0) throw tarFailure(words(), path);
      await over;
      if (!request.complete)
        throw new ServiceFailure("invalid", "The upload broke off; what had come is unpacked. Send it again.");
      answerJson(exchange, 200, {});
    });
  };
}

/**
 * Resolves when the request has ended, whole or not. A tar stops reading where its archive ends, and may be gone before the padding
 * behind that has come, or because it gave up: what comes then is read and dropped, because a request that is cut has no answer.
 */
async function feed(request: Readable, stdin: Writable): Promise<void> {
  stdin.once("close", () => {
    request.unpipe(stdin);
    request.resume();
  });
  request.pipe(stdin);
  await finished(request, { writable: false }).catch(() => {});
  stdin.end();
}

function compression({ query }: Exchange): readonly string[] {
  const text = query.text("compress") ?? "none";
  if (text !== "none" && text !== "gzip") throw new ServiceFailure("invalid", "compress must be none or gzip.");
  return text === "gzip" ? ["-z"] : [];
}

async function withTar(
  { gone }: Exchange,
  path: FilePath,
  args: readonly string[],
  use: (tar: ChildProcess, words: () => string) => Promise<void>,
): Promise<void> {
  if (running >= maxAtOnce)
    throw new ServiceFailure("too_many", `At most ${maxAtOnce} archives are packed or unpacked at once.`);
  running += 1;
  let directory: number | null = null;
  try {
    // By descriptor: an argument of a program is text, and a path need not be.
    directory = openSync(path.bytes, constants.O_RDONLY | constants.O_DIRECTORY);
    const tar = spawn("tar", ["-C", "/proc/self/fd/3", ...args], { stdio: ["pipe", "pipe", "pipe", directory] });
    const failed = once(tar, "error").then(([error]) => {
      throw errnoOf(error) === "ENOENT"
        ? new ServiceFailure(
            "unsupported",
            "This image has no `tar`, so directories cannot be packed or unpacked. Use an image that has it, or send the files one by one.",
          )
        : (error as Error);
    });
    failed.catch(() => {});
    let words = "";
    tar.stderr?.on("data", (chunk: Buffer) => (words = (words + chunk.toString()).slice(0, maxWords)));
    tar.stdin?.on("error", () => {});
    const cut = (): void => void tar.kill("SIGKILL");
    gone.addEventListener("abort", cut);
    try {
      await Promise.race([use(tar, () => words), failed]);
    } finally {
      gone.removeEventListener("abort", cut);
      cut();
    }
  } catch (error) {
    throw fileFailure(error, path.text);
  } finally {
    if (directory !== null) closeSync(directory);
    running -= 1;
  }
}

function tarFailure(words: string, path: FilePath): ServiceFailure {
  const said = words.trim().split("\n").slice(0, 5).join("; ");
  const code = /No space left/.test(words)
    ? "no_space"
    : /Permission denied|Cannot open/.test(words)
      ? "permission_denied"
      : "invalid";
  return new ServiceFailure(code, `tar could not do all of it: ${said === "" ? "it was ended" : said}`, {
    path: path.text,
  });
}
