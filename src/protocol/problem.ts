/** Every problem code Mooring answers with, and the one total map from code to HTTP status. RFC 9457 bodies. */
import { z } from "zod";

export const problemStatus = {
  // who are you
  unauthorized: 401,
  forbidden: 403,
  // where
  not_found: 404,
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
  // not now, in this state
  session_ended: 409,
  session_paused: 409,
  session_not_running: 409,
  sandbox_lost: 409,
  idempotency_in_flight: 409,
  job_ended: 409,
  not_stuck: 409,
  lease_not_expired: 409,
  conflict: 409,
  snapshot_missing: 409,
  insufficient_space: 409,
  space_unmeasurable: 409,
  filesystem_unusable: 409,
  // never again
  session_gone: 410,
  // too much
  quota_exhausted: 429,
  rate_limited: 429,
  too_many_jobs: 429,
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
  retry_at: z.string().optional(),
  errors: z.array(fieldError).optional(),
  limit: z.int().optional(),
  used: z.int().optional(),
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
  readonly errors?: readonly z.infer<typeof fieldError>[];
}

export type Reply<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: Problem };
