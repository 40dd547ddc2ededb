/**
 * What routes of files and processes have in common: a request is checked, goes through the gate to the agent in the sandbox, and
 * comes back; the agent's refusals become problems. Bodies are passed on as they come, in both directions.
 */
import type { z } from "zod";
import type { SessionId } from "../../../domain/state/ids.ts";
import { sessionIdPattern } from "../../../protocol/primitives.ts";
import type { Problem, ProblemCode } from "../../../protocol/problem.ts";
import { serviceError, type ServiceErrorCode } from "../../../protocol/sandbox/services.ts";
import { trafficTooLarge } from "../../guard/size-limits.ts";
import { readQuery } from "../../request/headers.ts";
import { refused } from "../../answer/problem.ts";
import type { TenantContext } from "../../route.ts";
import type { Made } from "../../serve.ts";
import { sessionNotFound } from "../../../protocol/not-found.ts";

export interface ServiceCall {
  /** The agent's path, after `/traffic/`. */
  readonly path: string;
  readonly query?: z.ZodObject | undefined;
  readonly body?: ReadableStream<Uint8Array> | null;
  /** What a 404 of the agent is about. */
  readonly missing?: "file_not_found" | "process_not_found";
  /** A watcher: it must not hold the idle clock, nor resume a paused session. */
  readonly quiet?: true;
  /** The agent says `{}` where HTTP has a status for it. */
  readonly empty?: true;
}

const sentOn = [
  "accept",
  "content-encoding",
  "content-type",
  "if-match",
  "if-modified-since",
  "if-none-match",
  "if-range",
  "if-unmodified-since",
  "last-event-id",
  "range",
  "upgrade",
  "connection",
  "sec-websocket-key",
  "sec-websocket-version",
  "sec-websocket-protocol",
] as const;
const answeredWith = [
  "accept-ranges",
  "cache-control",
  "content-length",
  "content-range",
  "content-type",
  "etag",
  "last-modified",
  "x-accel-buffering",
] as const;

export async function inSandbox(context: TenantContext, call: ServiceCall): Promise<Made> {
  const { request } = context;
  const id = context.param("id");
  if (!sessionIdPattern.test(id)) return refused(sessionNotFound);
  const heavy = trafficTooLarge(request);
  if (heavy !== null) return refused(heavy);
  if (call.query !== undefined) {
    const query = readQuery(request, call.query);
    if (!query.ok) return query;
  }
  const headers = new Headers();
  for (const name of sentOn) {
    const value = request.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  // The raw query, never decoded: a path in it need not be UTF-8.
  const { search } = new URL(request.url);
  const reply = await context.traffic.send(context.caller, id as SessionId, {
    method: request.method,
    path: `${call.path}${search}`,
    headers,
    body: call.body ?? null,
    signal: request.signal,
    ...(call.quiet === true ? { quiet: true } : {}),
  });
  if (!reply.ok) return reply;
  const answer = reply.value;
  if (answer.status >= 400) return refused(await problemOf(answer, call));
  if (answer.webSocket !== null && answer.webSocket !== undefined) return answer;
  if (call.empty === true) {
    await answer.body?.cancel();
    return new Response(null, { status: 204 });
  }
  const shown = new Headers();
  for (const name of answeredWith) {
    const value = answer.headers.get(name);
    if (value !== null) shown.set(name, value);
  }
  return new Response(answer.status === 304 ? null : answer.body, { status: answer.status, headers: shown });
}

const codes: Readonly<Record<ServiceErrorCode, ProblemCode>> = {
  invalid: "validation_failed",
  not_found: "not_found",
  permission_denied: "permission_denied",
  read_only: "permission_denied",
  already_exists: "already_exists",
  not_a_directory: "not_a_directory",
  is_a_directory: "is_a_directory",
  not_a_file: "not_a_file",
  directory_not_empty: "directory_not_empty",
  link_loop: "link_loop",
  other_file_system: "other_file_system",
  busy: "file_busy",
  name_too_long: "name_too_long",
  precondition_failed: "precondition_failed",
  range_not_satisfiable: "offset_past_end",
  no_space: "disk_full",
  too_large: "payload_too_large",
  cannot_start: "cannot_start",
  user_unavailable: "user_unavailable",
  process_ended: "process_ended",
  stdin_closed: "stdin_closed",
  no_terminal: "no_terminal",
  too_many: "too_many_streams",
  unsupported: "unsupported_by_provider",
  internal: "internal",
};

async function problemOf(answer: Response, { missing }: ServiceCall): Promise<Problem> {
  const refused = serviceError.safeParse(await answer.json().catch(() => null));
  if (!refused.success)
    return {
      code: "sandbox_unreachable",
      detail: "The sandbox gave an answer that Mooring does not understand. Try again in some seconds.",
    };
  const { code, message, size, path } = refused.data;
  const isFile = path !== undefined || missing === undefined;
  return {
    code: code === "not_found" ? (isFile ? "file_not_found" : missing) : codes[code],
    detail: message,
    ...(size === undefined ? {} : { length: size }),
  };
}
