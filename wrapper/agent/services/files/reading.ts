/** `GET` and `HEAD /files`: one file as bytes, or a range of it. */
import { constants } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import type { Exchange } from "../exchange.ts";
import { fileFailure, ServiceFailure } from "../service-failure.ts";
import { checkPreconditions, rangeOf } from "./conditions.ts";
import { etagOf, typeOf } from "./entries.ts";
import type { FilePath } from "./paths.ts";

/** Large enough that the disk is not asked for each packet, small enough for 200 readers at once. */
const chunkBytes = 256 * 1_024;

export function readFileRoute(pathOf: (exchange: Exchange) => FilePath): (exchange: Exchange) => Promise<void> {
  return async (exchange) => {
    const path = pathOf(exchange);
    // Without O_NONBLOCK a pipe that nobody writes to would hold this up for ever.
    const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
    const file = await open(path.bytes, flags).catch((error: unknown) => {
      throw fileFailure(error, path.text);
    });
    try {
      await send(exchange, file, path);
    } finally {
      await file.close().catch(() => {});
    }
  };
}

async function send(exchange: Exchange, file: FileHandle, path: FilePath): Promise<void> {
  const { request, response } = exchange;
  const stats = await file.stat({ bigint: true });
  const type = typeOf(stats);
  if (type === "directory")
    throw new ServiceFailure(
      "is_a_directory",
      `${JSON.stringify(path.text)} is a directory. List it with files/list, or read all of it with files/archive.`,
      { path: path.text },
    );
  if (type !== "file")
    throw new ServiceFailure("not_a_file", `${JSON.stringify(path.text)} is a ${type}, which is not read as a file.`, {
      path: path.text,
    });
  const size = Number(stats.size);
  const modifiedAt = Number(stats.mtimeNs / 1_000_000_000n) * 1_000;
  const present = { etag: etagOf(stats), modifiedAt };
  const headers = {
    etag: present.etag,
    "last-modified": new Date(modifiedAt).toUTCString(),
    "accept-ranges": "bytes",
    "content-type": "application/octet-stream",
  };
  if (checkPreconditions(request.headers, present, true) === "not_modified")
    return void response.writeHead(304, { etag: present.etag }).end();
  const range = rangeOf(request.headers, size, present);
  const length = range === null ? size : range.to - range.from + 1;
  // A file of /proc says that it is empty, and is not.
  const isOpenEnded = size === 0 && (await file.read(Buffer.alloc(1), 0, 1, 0)).bytesRead > 0;
  response.writeHead(range === null ? 200 : 206, {
    ...headers,
    ...(isOpenEnded ? {} : { "content-length": length }),
    ...(range === null ? {} : { "content-range": `bytes ${range.from}-${range.to}/${size}` }),
  });
  if (request.method === "HEAD" || (length === 0 && !isOpenEnded)) return void response.end();
  const start = range?.from ?? 0;
  const isWhole = await sendBytes(exchange, file, start, isOpenEnded ? Number.POSITIVE_INFINITY : length);
  // A file that became shorter while it was read: the client must not take what it got for the whole.
  if (!isOpenEnded && !isWhole) return void response.destroy();
  response.end();
}

/**
 * One buffer is filled while the other is being sent. Both are reused: a new one for each read would cost the kernel as many
 * pages, and stay until the next collection. False: fewer bytes than that were there, or the client has gone.
 */
async function sendBytes(
  { response, gone }: Exchange,
  file: FileHandle,
  start: number,
  length: number,
): Promise<boolean> {
  const closed = new Promise<void>((resolve) => {
    if (gone.aborted) resolve();
    else gone.addEventListener("abort", () => resolve(), { once: true });
  });
  const size = Math.min(chunkBytes, length);
  const pieces = [0, 1].map(() => ({ bytes: Buffer.allocUnsafeSlow(size), sent: Promise.resolve() }));
  for (let done = 0, turn = 0; done < length; turn += 1) {
    const piece = pieces[turn % 2];
    if (piece === undefined) break;
    await Promise.race([piece.sent, closed]);
    if (gone.aborted) return false;
    const { bytesRead } = await file.read(piece.bytes, 0, Math.min(size, length - done), start + done);
    if (bytesRead === 0) {
      await Promise.race([Promise.all(pieces.map(({ sent }) => sent)), closed]);
      return false;
    }
    done += bytesRead;
    piece.sent = new Promise((resolve) => response.write(piece.bytes.subarray(0, bytesRead), () => resolve()));
  }
  return true;
}
