/**
 * Refusals on E2B's data plane. A unary call gets a code of the Connect protocol, a stream gets the code in its last
 * envelope (with HTTP status 200), and `/files` gets a status with two fields, which programs compare as a whole.
 *
 * A sandbox that does not run, for whatever reason, is "unavailable" or 502: the SDK makes its own error of that.
 */
import {
  type ConnectCode,
  connectStatus,
  endEnvelope,
  streamType,
  unaryType,
} from "../../../protocol/compat/connect.ts";
import { type Problem, type ProblemCode, problemStatus } from "../../../protocol/problem.ts";
import { compatHeaders, inOneLine, type ProblemContext } from "../../answer/problem.ts";

const codes: Partial<Record<ProblemCode, ConnectCode>> = {
  unauthorized: "unauthenticated",
  forbidden: "permission_denied",
  not_found: "unavailable",
  session_ended: "unavailable",
  session_gone: "unavailable",
  session_paused: "unavailable",
  session_not_running: "unavailable",
  sandbox_lost: "unavailable",
  conflict: "unavailable",
  method_not_allowed: "unimplemented",
  unsupported_by_provider: "unimplemented",
  internal: "internal",
};

function connectCodeOf({ code }: Problem): ConnectCode {
  const known = codes[code];
  if (known !== undefined) return known;
  const status = problemStatus[code];
  if (status === 429 || status === 413) return "resource_exhausted";
  return status >= 500 ? "unavailable" : "invalid_argument";
}

type Headers = Readonly<Record<string, string>>;

export function unaryRefusal(problem: Problem, context: ProblemContext, headers: Headers = {}): Response {
  const code = connectCodeOf(problem);
  const status = connectStatus[code];
  const said = { "content-type": unaryType, ...compatHeaders(status, problem, context), ...headers };
  return new Response(JSON.stringify({ code, message: inOneLine(problem) }), { status, headers: said });
}

export function streamRefusal(problem: Problem, _context?: ProblemContext, headers: Headers = {}): Response {
  const error = { code: connectCodeOf(problem), message: inOneLine(problem) };
  return new Response(endEnvelope(error), { status: 200, headers: { "content-type": streamType, ...headers } });
}

export function fileRefusal(problem: Problem, context: ProblemContext, headers: Headers = {}): Response {
  const status = problem.code === "payload_too_large" ? 413 : (fileStatuses[connectCodeOf(problem)] ?? 502);
  const said = { "content-type": "application/json", ...compatHeaders(status, problem, context), ...headers };
  return new Response(JSON.stringify({ code: status, message: inOneLine(problem) }), { status, headers: said });
}

/** Any other code is 502, which the SDK takes for a sandbox that does not run. */
const fileStatuses: Partial<Record<ConnectCode, number>> = {
  unauthenticated: 401,
  permission_denied: 400,
  invalid_argument: 400,
  unimplemented: 400,
  resource_exhausted: 429,
  internal: 500,
};

/** The calls whose answer is a stream. */
const streams = /^\/(process\.Process\/(Start|Connect)|filesystem\.Filesystem\/WatchDir)$/;

/** How a path of the data plane refuses; null: the path is not of the data plane. */
export function dataRefusalOf(path: string): typeof unaryRefusal | null {
  if (streams.test(path)) return streamRefusal;
  if (/^\/(process\.Process|filesystem\.Filesystem)(\/|$)/.test(path)) return unaryRefusal;
  return /^\/(files|envs)(\/|$)/.test(path) ? fileRefusal : null;
}
