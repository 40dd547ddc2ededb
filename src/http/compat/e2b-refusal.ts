/**
 * Mooring's "no" in E2B's shape. Its SDK reads the numeric `code` of the body, makes its typed errors of 401, 404, 429 and 503,
 * takes any 409 to a pause for "already paused", and throws at a 410 where a 404 would have meant "not there any more".
 */
import type { E2bError } from "../../protocol/e2b.ts";
import { type Problem, type ProblemCode, problemStatus } from "../../protocol/problem.ts";
import { compatHeaders, inOneLine, type ProblemContext } from "../problem.ts";
import type { Ask } from "../route.ts";

/** The statuses of E2B's API. What the native API says with another one is a request that is not to be had. */
const known = new Set([400, 401, 404, 405, 409, 413, 429, 500, 503]);

/** Where E2B's status is another than the native one, though it has that as well. */
const statuses: Partial<Record<ProblemCode, number>> = {
  // Gone, as far as an E2B client is concerned.
  session_ended: 404,
  session_gone: 404,
  sandbox_lost: 404,
  // 409 means "paused" there and nothing else; these pass by themselves.
  session_not_running: 503,
  conflict: 503,
  idempotency_in_flight: 503,
};

export function e2bRefusal(problem: Problem, context: ProblemContext, headers: Record<string, string> = {}): Response {
  const native = problemStatus[problem.code];
  const status = statuses[problem.code] ?? (known.has(native) ? native : 400);
  const said = { ...compatHeaders(status, problem, context), ...headers };
  return e2bAnswer(status, inOneLine(problem), problem.code, said);
}

export function refuse(from: Ask, problem: Problem): Response {
  return e2bRefusal(problem, { requestId: from.requestId, now: from.clock.now() });
}

/** For what only E2B's API has a status for. */
export function e2bAnswer(
  status: number,
  message: string,
  errorCode: string,
  headers: Record<string, string> = {},
): Response {
  const body: E2bError = { code: status, message, error_code: errorCode };
  return new Response(JSON.stringify(body), {
    status,
    headers: { "content-type": "application/json", ...headers },
  });
}

/** Calls of E2B's API and of its data plane that have no counterpart here. 404 would say that the sandbox is gone. */
export function e2bNotServed(request: Request): Response {
  const { pathname } = new URL(request.url);
  if (!/^\/(process|filesystem)\./.test(pathname)) return e2bAnswer(501, notServed, "not_served");
  // Commands and files speak the Connect protocol: its codes are words, and a stream fails inside of a 200.
  const error = { code: "unimplemented", message: notServed };
  const type = request.headers.get("content-type") ?? "";
  if (type.startsWith("application/connect+")) return connectStreamError(error, type);
  return new Response(JSON.stringify(error), { status: 501, headers: { "content-type": "application/json" } });
}

const notServed =
  "Mooring serves E2B's control plane: create, connect, list, info, timeout, pause, kill, metrics, and whether a sandbox runs. " +
  "This call is not part of it. Run commands with POST /v1/sessions/{sandbox id}/jobs and the same key; docs/compat.md says what else there is.";

/** One message with the flag "end of stream": five bytes of flag and length, then JSON. */
function connectStreamError(error: object, type: string): Response {
  const message = new TextEncoder().encode(JSON.stringify({ error }));
  const frame = new Uint8Array(5 + message.length);
  frame[0] = 2;
  new DataView(frame.buffer).setUint32(1, message.length);
  frame.set(message, 5);
  return new Response(frame, { status: 200, headers: { "content-type": type } });
}
