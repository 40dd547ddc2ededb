/**
 * E2B's calls as the Connect protocol has them: a unary call is JSON both ways, a stream answers with envelopes. What a call throws
 * becomes its error; a stream that has begun tells it in its last envelope.
 */
import type { z } from "zod";
import {
  type ConnectCode,
  type ConnectError,
  connectStatus,
  endEnvelope,
  EnvelopeReader,
  messageEnvelope,
  streamType,
  unaryType,
} from "../../../../src/protocol/compat/connect.ts";
import type { ServiceErrorCode } from "../../../../src/protocol/sandbox/services.ts";
import { bodyOf, type Exchange, jsonOf, type ServiceRoute } from "../exchange.ts";
import { fileFailure, ServiceFailure } from "../service-failure.ts";

/** Fails a call with a code that only E2B's API has. */
export class RpcFailure extends Error {
  readonly code: ConnectCode;

  constructor(code: ConnectCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** The answers of a stream that has begun. */
export interface Sending {
  /** false: the client reads too slowly; wait for `drained`. */
  readonly message: (message: object) => boolean;
  readonly drained: () => Promise<void>;
  readonly gone: AbortSignal;
}

/** The largest message that is read: what is written to the stdin of a process at once. */
const maxMessageBytes = 16 * 1_024 * 1_024;
/** E2B's own, for clients that name none. */
const usualKeepAliveSeconds = 90;

export function unary<T>(
  path: string,
  schema: z.ZodType<T>,
  call: (message: T, exchange: Exchange) => object | Promise<object>,
): ServiceRoute {
  return {
    method: "POST",
    path: exactly(path),
    handle: async (exchange) => {
      try {
        const message = jsonOf(schema, await bodyOf(exchange.request, maxMessageBytes));
        answer(exchange, 200, await call(message, exchange));
      } catch (error) {
        const failure = connectErrorOf(error);
        answer(exchange, connectStatus[failure.code], failure);
      }
    },
  };
}

/** `call` resolves when the stream has come to its end, after which nothing may be sent. */
export function serverStream<T>(
  path: string,
  schema: z.ZodType<T>,
  keepAlive: object,
  call: (message: T, sending: Sending, exchange: Exchange) => Promise<void>,
): ServiceRoute {
  return {
    method: "POST",
    path: exactly(path),
    handle: async (exchange) => {
      const { request, response, gone } = exchange;
      response.writeHead(200, { "content-type": streamType });
      response.flushHeaders();
      const seconds = Number(request.headers["keepalive-ping-interval"]);
      const everyMs = (Number.isFinite(seconds) && seconds >= 1 ? seconds : usualKeepAliveSeconds) * 1_000;
      const pings = setInterval(() => response.write(messageEnvelope(keepAlive)), everyMs);
      const sending: Sending = {
        message: (message) => {
          pings.refresh();
          return response.write(messageEnvelope(message));
        },
        drained: () => drained(exchange),
        gone,
      };
      try {
        const message = jsonOf(schema, envelopeOf(await bodyOf(exchange.request, maxMessageBytes + 5)));
        await call(message, sending, exchange);
        if (!gone.aborted) response.end(endEnvelope(null));
      } catch (error) {
        if (!gone.aborted) response.end(endEnvelope(connectErrorOf(error)));
      } finally {
        clearInterval(pings);
      }
    },
  };
}

/** What `Connect-Timeout-Ms` says; null: no end. */
export function timeoutOf({ request }: Exchange): number | null {
  const ms = Number(request.headers["connect-timeout-ms"]);
  return Number.isInteger(ms) && ms > 0 && ms < 2 ** 31 ? ms : null;
}

function drained({ response, gone }: Exchange): Promise<void> {
  return new Promise((resolve) => {
    if (gone.aborted || !response.writableNeedDrain) return resolve();
    response.once("drain", resolve);
    gone.addEventListener("abort", () => resolve(), { once: true });
  });
}

function exactly(path: string): RegExp {
  return new RegExp(`^/envd/${path.replaceAll(".", "\\.")}$`);
}

function answer({ response }: Exchange, status: number, body: object): void {
  response.writeHead(status, { "content-type": unaryType }).end(JSON.stringify(body));
}

/** The one message that a client sends to a stream. */
function envelopeOf(bytes: Buffer): Buffer {
  const reader = new EnvelopeReader(maxMessageBytes);
  const [first] = reader.push(bytes);
  if (first?.type === "fault") throw new RpcFailure(first.error.code, first.error.message);
  if (first === undefined) throw new RpcFailure("invalid_argument", "The request holds no whole message.");
  return Buffer.from(first.payload);
}

/** E2B's words for our refusals. What it has no word for is internal there too. */
const codes: Readonly<Record<ServiceErrorCode, ConnectCode>> = {
  invalid: "invalid_argument",
  not_found: "not_found",
  permission_denied: "permission_denied",
  read_only: "permission_denied",
  already_exists: "already_exists",
  not_a_directory: "invalid_argument",
  is_a_directory: "invalid_argument",
  not_a_file: "invalid_argument",
  directory_not_empty: "failed_precondition",
  link_loop: "failed_precondition",
  other_file_system: "internal",
  busy: "internal",
  name_too_long: "invalid_argument",
  precondition_failed: "failed_precondition",
  range_not_satisfiable: "out_of_range",
  no_space: "resource_exhausted",
  too_large: "resource_exhausted",
  cannot_start: "invalid_argument",
  user_unavailable: "unauthenticated",
  process_ended: "not_found",
  stdin_closed: "internal",
  no_terminal: "internal",
  too_many: "resource_exhausted",
  unsupported: "unimplemented",
  internal: "internal",
};

function connectErrorOf(error: unknown): ConnectError {
  if (error instanceof RpcFailure) return { code: error.code, message: error.message };
  const failure = error instanceof ServiceFailure ? error : fileFailure(error, "the request");
  return { code: codes[failure.error.code], message: failure.error.message };
}
