/** Every problem code Mooring answers with, and the one total map from code to HTTP status. RFC 9457 bodies. */
import { z } from "zod";

export const problemStatus = {
  // who are you
  unauthorized: 401,
  forbidden: 403,
  permission_denied: 403,
  user_unavailable: 403,
  // where
  not_found: 404,
  file_not_found: 404,
  process_not_found: 404,
  method_not_allowed: 405,
  not_acceptable: 406,
  // your request
  malformed_json: 400,
  validation_failed: 422,
  idempotency_mismatch: 422,
  unsupported_by_provider: 422,
  payload_too_large: 413,
  headers_too_large: 431,
  unsupported_media_type: 415,
  precondition_required: 428,
  precondition_failed: 412,
  offset_past_end: 416,
  name_too_long: 422,
  cannot_start: 422,
  // not now, in this state
  session_ended: 409,
  session_paused: 409,
  session_not_running: 409,
  sandbox_lost: 409,
  idempotency_in_flight: 409,
  job_ended: 409,
  process_ended: 409,
  stdin_closed: 409,
  no_terminal: 409,
  already_exists: 409,
  not_a_directory: 409,
  is_a_directory: 409,
  not_a_file: 409,
  directory_not_empty: 409,
  link_loop: 409,
  other_file_system: 409,
  file_busy: 409,
  not_stuck: 409,
  lease_not_expired: 409,
  conflict: 409,
  snapshot_missing: 409,
  snapshot_damaged: 409,
  snapshot_failed: 409,
  insufficient_space: 409,
  space_unmeasurable: 409,
  filesystem_unusable: 409,
  // never again
  session_gone: 410,
  // too much
  quota_exhausted: 429,
  rate_limited: 429,
  too_many_jobs: 429,
  stdin_full: 429,
  too_many_streams: 429,
  // the sandbox cannot
  port_closed: 502,
  port_bad_answer: 502,
  disk_full: 507,
  // we cannot
  capacity_unavailable: 503,
  spawn_breaker_open: 503,
  draining: 503,
  newer_record: 503,
  unreadable_record: 503,
  sandbox_unreachable: 503,
  storage_failed: 503,
  secret_missing: 503,
  unavailable: 503,
  internal: 500,
} as const satisfies Record<string, number>;

export type ProblemCode = keyof typeof problemStatus;
export const problemCodes = Object.keys(problemStatus) as [ProblemCode, ...ProblemCode[]];

export const fieldError = z.object({
  pointer: z.string().describe("JSON pointer into the body, or `header.<name>` / `query.<name>` / `path.<name>`."),
  detail: z.string(),
});

export const problemBody = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  code: z.enum(problemCodes),
  detail: z.string().describe("What happened, what it means, what to do."),
  retryable: z.boolean(),
  request_id: z.string(),
  instance: z.string().describe("The address of the console's page of what this is about, for a person."),
  retry_at: z.string().optional(),
  errors: z.array(fieldError).optional(),
  limit: z.int().optional(),
  used: z.int().optional(),
  length: z.int().nonnegative().optional().describe("Bytes that the job's output has so far; with `offset_past_end`."),
});
export type ProblemBody = z.infer<typeof problemBody>;

/** What an object answers instead of a value. Plain data: survives object RPC. */
export interface Problem {
  readonly code: ProblemCode;
  readonly detail: string;
  /** Epoch ms. */
  readonly retryAt?: number;
  readonly limit?: number;
  readonly used?: number;
  /** Length of the output, with `offset_past_end`. */
  readonly length?: number;
  readonly errors?: readonly z.infer<typeof fieldError>[];
}

export type Reply<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: Problem };

export function bodyTooLarge(maxBytes: number): Problem {
  return {
    code: "payload_too_large",
    detail: `The body is larger than ${maxBytes} bytes, so it was dropped and nothing was changed. Send less at once.`,
    limit: maxBytes,
  };
}
