/** Problems on the wire: RFC 9457 bodies, the same fields each time, `Retry-After` where waiting helps. */
import { type Problem, type ProblemBody, type ProblemCode, type Reply, problemStatus } from "../../protocol/problem.ts";
import { consolePath } from "../../protocol/console-address.ts";
import { rfc3339 } from "../../protocol/primitives.ts";

interface ProblemKind {
  readonly title: string;
  /** The same request, unchanged, may succeed later. */
  readonly retryable: boolean;
  /** What `Retry-After` says when the problem itself names no time. */
  readonly retryAfterSeconds?: number;
}

const problemKinds: Readonly<Record<ProblemCode, ProblemKind>> = {
  unauthorized: { title: "Not authenticated", retryable: false },
  forbidden: { title: "Not allowed", retryable: false },
  permission_denied: { title: "Closed to the sandbox's user", retryable: false },
  user_unavailable: { title: "No such user in the sandbox", retryable: false },
  not_found: { title: "Not found", retryable: false },
  file_not_found: { title: "No such file", retryable: false },
  process_not_found: { title: "No such process", retryable: false },
  method_not_allowed: { title: "Method not allowed", retryable: false },
  not_acceptable: { title: "Not acceptable", retryable: false },
  malformed_json: { title: "Malformed JSON", retryable: false },
  validation_failed: { title: "Validation failed", retryable: false },
  idempotency_mismatch: { title: "Idempotency key used for another request", retryable: false },
  unsupported_by_provider: { title: "Not supported by the provider", retryable: false },
  payload_too_large: { title: "Payload too large", retryable: false },
  headers_too_large: { title: "Headers too large", retryable: false },
  unsupported_media_type: { title: "Unsupported media type", retryable: false },
  precondition_required: { title: "Precondition required", retryable: false },
  precondition_failed: { title: "Precondition failed", retryable: false },
  offset_past_end: { title: "Offset past the end", retryable: false },
  name_too_long: { title: "Name too long", retryable: false },
  cannot_start: { title: "Program could not be started", retryable: false },
  process_ended: { title: "Process ended", retryable: false },
  stdin_closed: { title: "Standard input closed", retryable: false },
  no_terminal: { title: "Not in a terminal", retryable: false },
  already_exists: { title: "Exists already", retryable: false },
  not_a_directory: { title: "Not a directory", retryable: false },
  is_a_directory: { title: "A directory", retryable: false },
  not_a_file: { title: "Not a regular file", retryable: false },
  directory_not_empty: { title: "Directory not empty", retryable: false },
  link_loop: { title: "Too many symbolic links", retryable: false },
  other_file_system: { title: "On another file system", retryable: false },
  file_busy: { title: "File busy", retryable: true },
  disk_full: { title: "File system full", retryable: false },
  session_ended: { title: "Session ended", retryable: false },
  session_paused: { title: "Session paused", retryable: false },
  session_not_running: { title: "Session not running", retryable: true },
  sandbox_lost: { title: "Sandbox lost", retryable: false },
  idempotency_in_flight: { title: "Request in flight", retryable: true, retryAfterSeconds: 1 },
  job_ended: { title: "Job ended", retryable: false },
  not_stuck: { title: "Not stuck", retryable: false },
  lease_not_expired: { title: "Lease not expired", retryable: true },
  conflict: { title: "Conflict", retryable: false },
  snapshot_failed: { title: "Snapshot not taken", retryable: true },
  snapshot_missing: { title: "Snapshot missing", retryable: false },
  snapshot_damaged: { title: "Snapshot damaged", retryable: false },
  insufficient_space: { title: "Insufficient space", retryable: true },
  space_unmeasurable: { title: "Space unmeasurable", retryable: true },
  filesystem_unusable: { title: "Filesystem unusable", retryable: false },
  session_gone: { title: "Session gone", retryable: false },
  // No Retry-After: time alone frees nothing, ending a session does.
  quota_exhausted: { title: "Quota exhausted", retryable: false },
  rate_limited: { title: "Rate limited", retryable: true, retryAfterSeconds: 1 },
  stdin_full: { title: "Standard input full", retryable: true, retryAfterSeconds: 1 },
  too_many_streams: { title: "Too many connections", retryable: true, retryAfterSeconds: 1 },
  port_closed: { title: "Nobody listens on that port", retryable: true, retryAfterSeconds: 1 },
  port_bad_answer: { title: "Bad answer of the sandbox's server", retryable: true, retryAfterSeconds: 1 },
  too_many_jobs: { title: "Too many jobs", retryable: true, retryAfterSeconds: 5 },
  capacity_unavailable: { title: "Capacity unavailable", retryable: true, retryAfterSeconds: 10 },
  spawn_breaker_open: { title: "Launches are paused", retryable: true, retryAfterSeconds: 30 },
  draining: { title: "Draining", retryable: true, retryAfterSeconds: 60 },
  newer_record: { title: "Record of a newer version", retryable: true, retryAfterSeconds: 60 },
  unreadable_record: { title: "Record unreadable", retryable: false },
  sandbox_unreachable: { title: "Sandbox unreachable", retryable: true, retryAfterSeconds: 5 },
  storage_failed: { title: "Storage failed", retryable: true, retryAfterSeconds: 2 },
  secret_missing: { title: "Secret missing", retryable: false },
  unavailable: { title: "Unavailable", retryable: true, retryAfterSeconds: 2 },
  internal: { title: "Internal error", retryable: false },
};

/** Words for a code, the same wherever it is answered. */
export function problemKindOf(code: ProblemCode): Pick<ProblemKind, "title" | "retryable"> {
  return problemKinds[code];
}

export interface ProblemContext {
  readonly requestId: string;
  /** Epoch ms. */
  readonly now: number;
  /** The request's id. */
  readonly url: string;
}

export function problemResponse(
  problem: Problem,
  context: ProblemContext,
  headers: Record<string, string> = {},
): Response {
  const status = problemStatus[problem.code];
  const kind = problemKinds[problem.code];
  const body: ProblemBody = {
    type: `urn:mooring:problem:${problem.code}`,
    title: kind.title,
    status,
    code: problem.code,
    detail: problem.detail,
    retryable: kind.retryable,
    request_id: context.requestId,
    instance: consoleAddress(context.url),
    ...(problem.retryAt === undefined ? {} : { retry_at: rfc3339(problem.retryAt) }),
    ...(problem.errors === undefined ? {} : { errors: [...problem.errors] }),
    ...(problem.limit === undefined ? {} : { limit: problem.limit }),
    ...(problem.used === undefined ? {} : { used: problem.used }),
    ...(problem.length === undefined ? {} : { length: problem.length }),
  };
  return new Response(JSON.stringify(body), {
    status,
    headers: { "content-type": "application/problem+json", ...refusalHeaders(problem, context), ...headers },
  });
}

/** Where a person sees what the request was about. */
function consoleAddress(requested: string): string {
  const { origin, pathname } = new URL(requested);
  return `${origin}${consolePath(pathname)}`;
}

/** On a surface whose clients wait only where its own API says so. */
export function compatHeaders(status: number, problem: Problem, context: ProblemContext): Record<string, string> {
  const { "retry-after": after, ...headers } = refusalHeaders(problem, context);
  return after === undefined || (status !== 429 && status !== 503) ? headers : { ...headers, "retry-after": after };
}

function refusalHeaders(problem: Problem, context: ProblemContext): Record<string, string> {
  const retryAfter = retryAfterSeconds(problem, context.now);
  return {
    ...(retryAfter === null ? {} : { "retry-after": String(retryAfter) }),
    ...(problem.length === undefined ? {} : { "content-range": `bytes */${problem.length}` }),
    ...(problem.code === "unauthorized" ? { "www-authenticate": 'Bearer realm="mooring"' } : {}),
  };
}

function retryAfterSeconds(problem: Problem, now: number): number | null {
  if (problem.code === "quota_exhausted") return null;
  if (problem.retryAt !== undefined) return Math.max(1, Math.ceil((problem.retryAt - now) / 1_000));
  return problemKinds[problem.code].retryAfterSeconds ?? null;
}

/** For surfaces whose errors have one text: what is wrong with which field takes the place of "see errors". */
export function inOneLine({ detail, errors = [] }: Problem): string {
  if (errors.length === 0) return detail;
  const fields = errors.map((error) => `${error.pointer.replace(/^\//, "") || "the body"}: ${error.detail}`);
  return `The request was not accepted and nothing was changed. ${fields.join(" ")}`;
}

/** A parse that failed, as a value. */
export function refused(problem: Problem): Reply<never> {
  return { ok: false, problem };
}

/** The answer of an object that refuses nothing. */
export async function answered<T>(value: Promise<T>): Promise<Reply<T>> {
  return { ok: true, value: await value };
}

export function mapped<T, U>(reply: Reply<T>, turn: (value: T) => U): Reply<U> {
  return reply.ok ? { ok: true, value: turn(reply.value) } : reply;
}
