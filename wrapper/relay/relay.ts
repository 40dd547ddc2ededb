/**
 * Passes one request, or one WebSocket, on to another server and its answer back. It adds nothing, keeps nothing, follows no redirect.
 *
 * Each direction waits for its reader. When one side breaks off, so does the other: a body that ends early must never look like one
 * that is whole.
 */
import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { isEndToEnd, maxTrafficBodyBytes, namedByConnection } from "../../src/protocol/sandbox/traffic.ts";
import { passBody } from "./pass-body.ts";
import { refuseRequest, TrafficRefused, refuseUpgrade } from "./refusal.ts";

function tooLargeWords(maxBytes: number): string {
  return `The body is longer than ${maxBytes} bytes.`;
}

/** Size limit of a head, request or answer. Browsers with many cookies come near it. */
export const maxHeadBytes = 65_536;

export interface RelayRules {
  /** Headers of ours that cross all the same, to the server and back. All others that begin with `mooring-` do not. */
  readonly sent: ReadonlySet<string>;
  readonly answered: ReadonlySet<string>;
  /** The refusal that a broken connection becomes when nothing was answered yet. */
  readonly broken: (error: Error) => TrafficRefused;
  /** Size limit of a request's body. Left out: `maxTrafficBodyBytes`. */
  readonly maxBodyBytes?: number;
  /** Bytes went through. `from` tells in which direction. */
  readonly passed: (chunk: Buffer, from: "client" | "server" | "socket", answer: IncomingMessage | null) => void;
}

/** The headers of a request as they go on. An upgrade needs two that belong to the connection. */
export function onward({ headers }: IncomingMessage, sent: ReadonlySet<string>): OutgoingHttpHeaders {
  const named = namedByConnection(headers.connection);
  const kept: OutgoingHttpHeaders = {};
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined && (sent.has(name) || isEndToEnd(name, named))) kept[name] = value;
  return headers.upgrade === undefined ? kept : { ...kept, connection: "upgrade", upgrade: headers.upgrade };
}

export function relayRequest(
  request: IncomingMessage,
  response: ServerResponse,
  upstream: ClientRequest,
  rules: RelayRules,
): void {
  const { answered, broken, passed, maxBodyBytes = maxTrafficBodyBytes } = rules;
  if (Number(request.headers["content-length"] ?? 0) > maxBodyBytes) {
    upstream.on("error", () => {});
    upstream.destroy();
    return refuseRequest(response, new TrafficRefused("too_large", tooLargeWords(maxBodyBytes)));
  }
  upstream.once("response", (answer) => {
    for (const [name, value] of endToEnd(answer, answered)) response.appendHeader(name, value);
    response.writeHead(answer.statusCode ?? 502);
    // An event stream may be silent for an hour: its reader learns at once that it is connected.
    response.flushHeaders();
    answer.on("error", () => response.destroy());
    answer.on("aborted", () => response.destroy());
    passBody(answer, response, (piece) => {
      passed(piece, "server", answer);
      return true;
    });
  });
  // Without a handler Node would throw at an upgrade that nobody asked for.
  upstream.on("upgrade", (_answer, socket) => socket.destroy());
  upstream.on("error", (error) => {
    if (response.headersSent) response.destroy();
    else refuseRequest(response, error instanceof TrafficRefused ? error : broken(error));
  });
  response.once("close", () => {
    if (!response.writableFinished) upstream.destroy();
  });
  request.on("error", () => upstream.destroy());
  let bytes = 0;
  passBody(request, upstream, (piece) => {
    bytes += piece.length;
    if (bytes <= maxBodyBytes) {
      passed(piece, "client", null);
      return true;
    }
    // The other side must take it for broken off, never for whole.
    if (!upstream.destroyed) upstream.destroy(new TrafficRefused("too_large", tooLargeWords(maxBodyBytes)));
    return false;
  });
}

/** `own`: lines of ours in the head of the handshake. */
export function relayUpgrade(
  socket: Duplex,
  head: Buffer,
  upstream: ClientRequest,
  rules: RelayRules,
  own: readonly string[],
): void {
  const { answered, broken, passed } = rules;
  socket.on("error", () => upstream.destroy());
  socket.once("close", () => upstream.destroy());
  upstream.once("upgrade", (answer, other, first) => {
    socket.write(rawHead(answer, answered, [...own, "connection: upgrade", "upgrade: websocket"]), "latin1");
    if (first.length > 0) socket.write(first);
    if (head.length > 0) other.write(head);
    for (const [from, to] of [
      [socket, other],
      [other, socket],
    ] as const) {
      from.on("data", (chunk: Buffer) => passed(chunk, "socket", null));
      from.on("error", () => to.destroy());
      from.once("close", () => to.destroy());
      from.pipe(to);
    }
  });
  upstream.once("response", (answer) => {
    // The server wants no WebSocket, and says so in an ordinary answer.
    socket.write(rawHead(answer, answered, [...own, "connection: close"]), "latin1");
    answer.on("error", () => socket.destroy());
    answer.pipe(socket);
  });
  upstream.on("error", (error) => refuseUpgrade(socket, broken(error), null));
  upstream.end();
}

function* endToEnd(answer: IncomingMessage, answered: ReadonlySet<string>): Iterable<readonly [string, string]> {
  const named = namedByConnection(answer.headers.connection);
  for (let at = 0; at + 1 < answer.rawHeaders.length; at += 2) {
    const name = answer.rawHeaders[at] ?? "";
    const lower = name.toLowerCase();
    if (answered.has(lower) || isEndToEnd(lower, named)) yield [name, answer.rawHeaders[at + 1] ?? ""];
  }
}

/** The head of an answer as it goes on a bare socket. */
function rawHead(answer: IncomingMessage, answered: ReadonlySet<string>, own: readonly string[]): string {
  const lines = [
    `HTTP/1.1 ${answer.statusCode ?? 502} ${answer.statusMessage ?? ""}`,
    ...Array.from(endToEnd(answer, answered), ([name, value]) => `${name}: ${value}`),
    ...own,
  ];
  return `${lines.join("\r\n")}\r\n\r\n`;
}
