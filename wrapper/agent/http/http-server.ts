/**
 * The HTTP side: admission, bounded bodies, proofs, back-pressure. It knows no route by name but `/health` and `/lease`,
 * which alone are served before the first renewal. A request may fail; it never ends the process.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import {
  controllerToken,
  protocolFor,
  wrapperHeaders,
  wrapperProof,
  type WrapperBoot,
} from "../../../src/protocol/sandbox/wrapper.ts";
import { admit, nonceOf, protocolOf, type Admission } from "./admission.ts";
import { errorStatus, refuse, type Answer } from "./answer.ts";
import { maxHeadBytes } from "../../relay/relay.ts";
import { boundConnections, connectionLimits } from "./connections.ts";
import type { Log } from "../bounded-log.ts";
import type { Fence } from "../fence.ts";
import type { Traffic } from "../traffic/traffic.ts";

export interface Route {
  readonly method: "GET" | "POST" | "DELETE";
  /** Each group is one path parameter, handed over in order. */
  readonly path: RegExp;
  /** A body beyond it is refused; 0: none is read. */
  readonly maxBodyBytes: number;
  /** Served before the first accepted renewal. */
  readonly beforeRenewal: boolean;
  readonly handle: (request: RouteRequest) => Answer | Promise<Answer>;
}

export interface RouteRequest {
  readonly parameters: readonly string[];
  readonly query: URLSearchParams;
  readonly body: Buffer;
  /** The protocol version that the caller speaks. */
  readonly protocol: number;
}

export interface ServeOptions {
  readonly boot: WrapperBoot;
  readonly fence: Fence;
  readonly routes: readonly Route[];
  readonly traffic: Traffic;
  readonly log: Log;
  readonly port: number;
  readonly address: string;
}

const bodyTimeoutMs = 30_000;
/** Longer than a renewal interval would keep idle sockets for nothing; shorter races with a client's reuse of one. */
const keepAliveMs = 75_000;
/** Held of one body for a reader that is slower than its sender. With less, the sender is stopped after each piece. */
const aheadBytes = 131_072;

interface Context extends ServeOptions {
  readonly admission: Admission;
  readonly admitted: (request: IncomingMessage) => void;
}

export async function serve(options: ServeOptions): Promise<Server> {
  const { boot, log } = options;
  // Traffic may take hours to send one body: `readBody` bounds those of the other routes.
  const server = createServer({
    ...{ maxHeaderSize: maxHeadBytes, highWaterMark: aheadBytes },
    ...{ requestTimeout: 0, keepAliveTimeout: keepAliveMs },
  });
  const context: Context = {
    ...options,
    admission: { token: await controllerToken(boot.secret), generation: boot.generation },
    admitted: boundConnections(server, connectionLimits),
  };
  server.on("request", (request, response) => {
    response.on("error", () => {});
    const admitted = (): void => context.admitted(request);
    const isTraffic = options.traffic.isTraffic(request.url);
    const answered = isTraffic
      ? options.traffic.request(request, response, admitted)
      : respond(context, request, response);
    answered.catch((error: unknown) => {
      log("request failed", { error: String(error instanceof Error ? error.stack : error) });
      response.destroy();
    });
  });
  server.on("upgrade", (request, socket, head) => {
    if (!options.traffic.isTraffic(request.url)) return void socket.destroy();
    void options.traffic.upgrade(request, socket, head, () => context.admitted(request));
  });
  server.on("clientError", (_error, socket) => {
    if (socket.writable) socket.end("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, options.address, () => resolve(server));
  });
}

async function respond(context: Context, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const nonce = nonceOf(request.headers);
  if (nonce !== null) response.setHeader(wrapperHeaders.proof, await wrapperProof(context.boot.secret, nonce));
  const answer = await answerOf(context, request).catch((error: unknown) => {
    context.log("route failed", { error: String(error instanceof Error ? error.stack : error) });
    return refuse("internal", "A bug in the wrapper; its log has more.");
  });
  // The lease was lost while this request was handled, for example because the wrapper was frozen past its deadline: drop
  // the connection, because another instance may act by now. After a requested stop or a newer generation the caller still
  // gets its answer, so that it can watch the end.
  const { lost } = context.fence;
  if (lost !== null && lost !== "stop_requested" && lost !== "newer_generation") return void response.destroy();
  switch (answer.type) {
    case "json":
      return sendJson(request, response, answer.status, answer.body);
    case "refused":
      return sendJson(request, response, errorStatus[answer.code], { code: answer.code, message: answer.message });
    case "empty":
      // Never 204: the container runtime reuses a connection whose answer had no body, and then tears it down.
      return sendJson(request, response, 200, {});
    case "bytes":
      return sendBytes(response, answer.offset, answer.chunks);
  }
}

async function answerOf(context: Context, request: IncomingMessage): Promise<Answer> {
  const { admission, fence, routes } = context;
  const admitted = admit(admission, request.headers);
  if (admitted.type === "refused") {
    // Answered first, so that the controller learns why; then everything ends.
    if (admitted.newerGeneration) setImmediate(() => fence.lose("newer_generation"));
    return admitted.answer;
  }
  context.admitted(request);
  const url = new URL(`http://wrapper${request.url ?? "/"}`);
  for (const route of routes) {
    const match = route.method === request.method ? route.path.exec(url.pathname) : null;
    if (match === null) continue;
    if (!route.beforeRenewal && !fence.renewed)
      return refuse("not_renewed", "Nothing is done before the first renewal.");
    const body = await readBody(request, route.maxBodyBytes);
    if (body === null) return refuse("invalid", `A body of at most ${route.maxBodyBytes} bytes is read here.`);
    // Asked again after the body has arrived.
    const { lost } = fence;
    if (lost !== null && lost !== "stop_requested") return refuse("draining", "This instance is ending.");
    return route.handle({
      parameters: match.slice(1),
      query: url.searchParams,
      body,
      protocol: protocolFor(protocolOf(request.headers)),
    });
  }
  return refuse("not_found", "No such route.");
}

/** null: too long. */
async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const tooSlow = setTimeout(() => request.destroy(), bodyTimeoutMs);
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxBytes) return null;
      chunks.push(chunk);
    }
  } finally {
    clearTimeout(tooSlow);
  }
  return Buffer.concat(chunks);
}

function sendJson(request: IncomingMessage, response: ServerResponse, status: number, body: object): void {
  // What was not read of a refused body would be taken for the next request.
  if (!request.complete) response.setHeader("connection", "close");
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

async function sendBytes(
  response: ServerResponse,
  offset: number,
  chunks: (signal: AbortSignal) => AsyncIterable<Buffer>,
): Promise<void> {
  const gone = new AbortController();
  const closed = new Promise<void>((resolve) => {
    response.once("close", () => {
      gone.abort();
      resolve();
    });
  });
  response.writeHead(200, { "content-type": "application/octet-stream", [wrapperHeaders.offset]: String(offset) });
  // The reader learns that it is connected, although the job may be silent for an hour.
  response.flushHeaders();
  for await (const chunk of chunks(gone.signal)) {
    const flushed = new Promise<void>((resolve) => response.write(chunk, () => resolve()));
    await Promise.race([flushed, closed]);
    if (gone.signal.aborted) return;
  }
  response.end();
}
