/**
 * E2B's `/files`: reads, and uploads as one body or as parts of a form. A file is written to a name of its own first, so an upload that
 * breaks off leaves what was there. Paths in the query are as the client signed them; the Worker has checked the signature.
 */
import { mkdir } from "node:fs/promises";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import type { ServiceErrorCode } from "../../../../src/protocol/sandbox/services.ts";
import { type Exchange, readToEnd, type ServiceRoute } from "../exchange.ts";
import { checkMetadata, type FileMetadata, type Metadata } from "../files/metadata.ts";
import type { FilePath } from "../files/paths.ts";
import { readFileRoute } from "../files/reading.ts";
import { followed, refuseNoFile, replaceFile, statIfThere } from "../files/replacing.ts";
import { whole } from "../files/writing.ts";
import { fileFailure, ServiceFailure } from "../service-failure.ts";
import { isKnownUser, unknownUser } from "./caller.ts";
import type { E2bPaths } from "./e2b-paths.ts";
import { boundaryOf, partsOf } from "./multipart.ts";
import { isFull } from "../../../proc/errno.ts";

/** Fails a call with a status of E2B's own. */
class RestFailure extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

interface Written {
  readonly name: string;
  readonly path: string;
  readonly type: "file";
  readonly metadata?: Metadata;
}

type Write = (path: FilePath, body: AsyncIterable<Buffer>) => Promise<Written>;

export function restRoutes(paths: E2bPaths, kept: FileMetadata): readonly ServiceRoute[] {
  const read = readFileRoute((exchange) => pathOf(exchange, paths));
  return [
    { method: "GET", path: /^\/envd\/files$/, handle: refusing((exchange) => readFile(exchange, paths, read)) },
    { method: "POST", path: /^\/envd\/files$/, handle: refusing((exchange) => upload(exchange, paths, kept)) },
  ];
}

function refusing(handle: (exchange: Exchange) => Promise<void>): ServiceRoute["handle"] {
  return async (exchange) => {
    try {
      await handle(exchange);
    } catch (error) {
      const { request, response } = exchange;
      if (response.headersSent) return void response.destroy();
      const status = statusOf(error);
      const message = error instanceof Error ? error.message : "unknown";
      await readToEnd(request);
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify({ code: status, message }));
    }
  };
}

function statusOf(error: unknown): number {
  if (error instanceof RestFailure) return error.status;
  const { code } = (error instanceof ServiceFailure ? error : fileFailure(error, "the file")).error;
  return statuses[code] ?? 400;
}

const statuses: Partial<Record<ServiceErrorCode, number>> = {
  not_found: 404,
  no_space: 507,
  too_large: 413,
  range_not_satisfiable: 416,
  too_many: 429,
  precondition_failed: 412,
  internal: 500,
};

function pathOf({ query }: Exchange, paths: E2bPaths): FilePath {
  const given = query.bytes("path");
  if (given === null || given.length === 0) throw new RestFailure(400, "The parameter `path` is needed.");
  return paths.resolve(given);
}

function checkUser({ query }: Exchange): void {
  const name = query.text("username") ?? "";
  if (!isKnownUser(name)) throw new RestFailure(401, unknownUser(name));
}

async function readFile(
  exchange: Exchange,
  paths: E2bPaths,
  read: (exchange: Exchange) => Promise<void>,
): Promise<void> {
  checkUser(exchange);
  const path = pathOf(exchange, paths);
  const { response } = exchange;
  const name = encodeURIComponent(Buffer.from(path.name, "latin1").toString("utf8"));
  response.setHeader("content-disposition", `inline; filename*=UTF-8''${name}`);
  response.setHeader("vary", "Accept-Encoding");
  try {
    await read(exchange);
  } catch (error) {
    response.removeHeader("content-disposition");
    if (error instanceof ServiceFailure && error.error.code === "not_found")
      throw new RestFailure(404, `path '${paths.shown(path.text)}' does not exist`);
    throw error;
  }
}

async function upload(exchange: Exchange, paths: E2bPaths, kept: FileMetadata): Promise<void> {
  checkUser(exchange);
  const { request, response, query } = exchange;
  const metadata = metadataOf(request.headers);
  const write: Write = (path, body) => writeTo(path, body, { metadata, kept, paths });
  const type = request.headers["content-type"] ?? "";
  const given = query.bytes("path");
  const boundary = boundaryOf(type);
  const written =
    boundary !== null
      ? await form(exchange, boundary, given, paths, write)
      : /^application\/octet-stream\s*(;|$)/i.test(type)
        ? [await single(exchange, given, paths, write)]
        : null;
  if (written === null)
    throw new RestFailure(400, `Uploads are multipart/form-data or application/octet-stream, not '${type}'.`);
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(written));
}

async function single({ request }: Exchange, given: Buffer | null, paths: E2bPaths, write: Write): Promise<Written> {
  if (given === null || given.length === 0)
    throw new RestFailure(400, "An upload of this type needs the parameter `path`.");
  const path = paths.resolve(given);
  return await write(path, whole(request, plain(request)));
}

async function form(
  { request }: Exchange,
  boundary: string,
  given: Buffer | null,
  paths: E2bPaths,
  write: Write,
): Promise<readonly Written[]> {
  const written: Written[] = [];
  const seen = new Set<string>();
  for await (const part of partsOf(whole(request, plain(request)), boundary)) {
    if (part.name !== "file") continue;
    const named = given !== null && given.length > 0 ? given : Buffer.from(part.filename ?? "");
    if (named.length === 0) throw new RestFailure(400, "A file needs a path: in the query, or as its filename.");
    const path = paths.resolve(named);
    if (seen.has(path.latin1))
      throw new RestFailure(400, `The path '${path.text}' is there twice: each file needs its own.`);
    seen.add(path.latin1);
    written.push(await write(path, part.body));
  }
  return written;
}

function plain(request: Exchange["request"]): Readable {
  const encoding = request.headers["content-encoding"]?.trim().toLowerCase() ?? "identity";
  if (encoding === "identity" || encoding === "") return request;
  if (encoding !== "gzip") throw new RestFailure(400, `The encoding '${encoding}' is not read here; gzip is.`);
  const unpacked = createGunzip();
  // Its failure reaches the reader as well.
  pipeline(request, unpacked).catch(() => {});
  return unpacked;
}

interface Writing {
  readonly metadata: Metadata;
  readonly kept: FileMetadata;
  readonly paths: E2bPaths;
}

async function writeTo(
  given: FilePath,
  body: AsyncIterable<Buffer>,
  { metadata, kept, paths }: Writing,
): Promise<Written> {
  try {
    await mkdir(given.directory.bytes, { recursive: true, mode: 0o755 });
    const path = await followed(given);
    const present = await statIfThere(path);
    if (present?.isDirectory() === true) throw new RestFailure(400, `path is a directory: ${paths.shown(given.text)}`);
    refuseNoFile(present, given);
    await replaceFile(path, { present, body, mode: null, finish: (written) => kept.set(written, metadata) });
  } catch (error) {
    throw error instanceof RestFailure ? error : failureOf(error, given);
  }
  const name = Buffer.from(given.name, "latin1").toString("utf8");
  const hasMetadata = Object.keys(metadata).length > 0;
  return { name, path: paths.shown(given.text), type: "file", ...(hasMetadata ? { metadata } : {}) };
}

function failureOf(error: unknown, path: FilePath): Error {
  if (isFull(error)) return new RestFailure(507, `not enough disk space available for '${path.text}'`);
  return fileFailure(error, path.text);
}

const metadataHeader = "x-metadata-";

function metadataOf(headers: Exchange["request"]["headers"]): Metadata {
  const given = Object.entries(headers).filter(([name]) => name.startsWith(metadataHeader));
  return checkMetadata(
    given.map(([name, value]) => [
      name.slice(metadataHeader.length),
      Array.isArray(value) ? value.join(", ") : (value ?? ""),
    ]),
  );
}
