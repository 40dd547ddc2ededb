/** One request to the service process and its answer. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { z } from "zod";
import { serviceErrorStatus } from "../../../src/protocol/sandbox/services.ts";
import type { RawQuery } from "./raw-query.ts";
import { fileFailure, ServiceFailure } from "./service-failure.ts";

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: RawQuery;
  /** The groups of the route's path. */
  readonly parameters: readonly string[];
  /** Aborted when the client is gone. */
  readonly gone: AbortSignal;
}

export interface ServiceRoute {
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  readonly path: RegExp;
  readonly handle: (exchange: Exchange) => void | Promise<void>;
}

export function answerJson(
  { request, response }: Exchange,
  status: number,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): void {
  const text = request.method === "HEAD" ? undefined : JSON.stringify(body);
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(text);
}

export async function answerFailure(exchange: Exchange, thrown: unknown): Promise<void> {
  const { request, response } = exchange;
  const failure = thrown instanceof ServiceFailure ? thrown : fileFailure(thrown, "the request");
  // An answer that has begun cannot become another one: it breaks off, so that nobody takes it for whole.
  if (response.headersSent) return void response.destroy();
  await readToEnd(request);
  answerJson(exchange, serviceErrorStatus[failure.error.code], failure.error, failure.headers);
}

/** Bytes read of a body that is not wanted. A client that sends more loses the answer. */
const maxUnwantedBytes = 1_024 * 1_024 * 1_024;

/** Before a refusal: an answer closes the connection, and a client that still sends would find it broken instead of reading why. */
export function readToEnd(request: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    if (request.readableEnded || request.destroyed) return resolve();
    let bytes = 0;
    request.unpipe();
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > maxUnwantedBytes) resolve();
    });
    request.once("close", resolve);
    request.once("end", resolve);
    request.resume();
  });
}

const maxJsonBytes = 2 * 1_024 * 1_024;

export async function readJson<T>({ request }: Exchange, schema: z.ZodType<T>): Promise<T> {
  return jsonOf(schema, await bodyOf(request, maxJsonBytes));
}

/** A body that is too large is read to its end, so that the client gets to read the answer, but not kept. */
export async function bodyOf(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes <= maxBytes) chunks.push(chunk);
    else chunks.length = 0;
  }
  if (bytes > maxBytes)
    throw new ServiceFailure("too_large", `The body has ${bytes} bytes; at most ${maxBytes} are read here.`);
  return Buffer.concat(chunks);
}

/** An empty body counts as an empty object. */
export function jsonOf<T>(schema: z.ZodType<T>, bytes: Buffer): T {
  let json: unknown;
  try {
    json = bytes.length === 0 ? {} : JSON.parse(bytes.toString("utf8"));
  } catch {
    throw new ServiceFailure("invalid", "The body is not JSON.");
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map((issue) => `${issue.path.join(".") || "body"}: ${issue.message}`);
  throw new ServiceFailure("invalid", issues.join("; "));
}
