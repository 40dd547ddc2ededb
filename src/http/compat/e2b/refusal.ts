/**
 * Refusals in E2B's shape. Its SDK reads the numeric `code` of the body, has typed errors for 401, 404, 429 and 503,
 * takes any 409 to a pause for "already paused", and throws at a 410 where a 404 would have meant "does not exist any
 * more".
 */
import type { E2bError } from "../../../protocol/compat/e2b.ts";
import { type Problem, type ProblemCode, problemStatus } from "../../../protocol/problem.ts";
import { compatHeaders, inOneLine, type ProblemContext } from "../../answer/problem.ts";
import type { RequestContext } from "../../route.ts";

/** The statuses of E2B's API. A native error with another status becomes 400. */
const known = new Set([400, 401, 404, 405, 409, 413, 429, 500, 503]);

/** Codes whose E2B status differs from the native one, although E2B's API has the native one too. */
const statuses: Partial<Record<ProblemCode, number>> = {
  // For an E2B client the sandbox is gone.
  session_ended: 404,
  session_gone: 404,
  sandbox_lost: 404,
  // In E2B's API 409 means "paused" and nothing else. These conditions pass by themselves.
  session_not_running: 503,
  conflict: 503,
  snapshot_failed: 503,
  // The template that a create names is a snapshot.
  snapshot_missing: 404,
  snapshot_damaged: 404,
  idempotency_in_flight: 503,
};

function statusOf({ code }: Problem): number {
  const native = problemStatus[code];
  return statuses[code] ?? (known.has(native) ? native : 400);
}

/** The error object, for answers that carry it as a part. */
export function errorOf(problem: Problem): E2bError {
  return { code: statusOf(problem), message: inOneLine(problem), error_code: problem.code };
}

export function e2bRefusal(problem: Problem, context: ProblemContext, headers: Record<string, string> = {}): Response {
  const status = statusOf(problem);
  const said = { ...compatHeaders(status, problem, context), ...headers };
  return e2bAnswer(status, inOneLine(problem), problem.code, said);
}

export function refuse(context: RequestContext, problem: Problem): Response {
  return e2bRefusal(problem, { requestId: context.requestId, now: context.clock.now(), url: context.request.url });
}

/** An error for which only E2B's API has a status. */
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

/** For calls of E2B's API without a counterpart here. 404 would say that the sandbox is gone. */
export function e2bNotServed(): Response {
  return e2bAnswer(501, notServed, "not_served");
}

const notServed =
  "Mooring serves E2B's sandboxes: their life, commands, files, terminals, and snapshots. " +
  "This call is not part of that. docs/compat.md says what there is, and what to do instead.";
