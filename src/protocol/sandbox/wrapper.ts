/**
 * The wire between a session and its wrapper (HTTP over loopback or the container's port), and what a wrapper is started with.
 *
 * Authentication runs both ways and never sends the instance secret itself:
 * a request carries `authorization: Bearer <controllerToken(secret)>`, the fencing token and a fresh nonce;
 * every response carries `mooring-proof = wrapperProof(secret, nonce)`. A process that takes over the port may read
 * the controller's token from a request, but cannot make a proof, so it is never taken for the instance.
 */
import { z } from "zod";
import { hmacHex } from "../bytes.ts";
import { jobFailure, jobFailureCodes, leftRunning, outputGap } from "../job-failure.ts";

export const wrapperHeaders = {
  authorization: "authorization",
  /** The fencing token: decimal generation. Must equal the wrapper's own; a greater one makes the wrapper fence itself. */
  generation: "mooring-generation",
  /** 32 hex digits, fresh for each request. */
  nonce: "mooring-nonce",
  proof: "mooring-proof",
  /** The protocol that the controller speaks; absent: 1. The wrapper answers in the lower of the two (domain/state/wrapper-protocol.ts). */
  protocol: "mooring-protocol",
  /** On an output response: the byte offset of the first byte of the body. */
  offset: "mooring-offset",
} as const;

export { markers } from "./markers.ts";
export { protocolFor } from "../../domain/state/wrapper-protocol.ts";

/** The largest uid. -1 means "leave it as it is" to the kernel, and Node takes no more than this. */
const userId = z.int().min(1).max(2_147_483_647);

/**
 * Whom jobs and setup steps run as, instead of as the wrapper, which must then be root. The number is this instance's alone
 * for as long as anything of it may be left: every process that has it is taken for one of the instance and ended with it.
 */
export const jobUser = z.strictObject({
  uid: userId,
  gid: userId,
  /** HOME of its jobs, made when it is not there; absent: the workspace. */
  home_dir: z.string().startsWith("/").optional(),
  /** Where the system cannot give jobs a user of their own they run as the wrapper, and its log says why; absent: it then refuses to start. */
  if_possible: z.boolean().optional(),
});
export type JobUser = z.infer<typeof jobUser>;

/**
 * One JSON document on the standard input of `node wrapper.js guardian`; the guardian hands it to the wrapper the same
 * way. Once the wrapper listens, the guardian prints one line `{"port": N, "wrapper_pid": P}` on its standard output.
 */
export const wrapperBoot = z.strictObject({
  session_id: z.string(),
  instance_id: z.string(),
  generation: z.int(),
  secret: z.string().min(32),
  /** Epoch ms: a wrapper that starts later exits at once, having done nothing. */
  launch_not_after: z.int(),
  lease_ttl_ms: z.int().positive(),
  job_grace_ms: z.int().nonnegative(),
  stop_grace_ms: z.int().positive(),
  /** Where jobs run. */
  workspace_dir: z.string(),
  /** Where the wrapper keeps its lock, its log and job outputs; not inside the workspace. */
  state_dir: z.string(),
  /** Extra environment for every job. */
  env: z.record(z.string(), z.string()),
  /** Bytes of output kept per job: its beginning and its end. What lies between is counted and dropped; `output_gap` says which. */
  max_output_bytes: z.int().positive(),
  /** Absent: jobs run as the wrapper does. A wrapper older than this field refuses it. */
  job_user: jobUser.optional(),
});
export type WrapperBoot = z.infer<typeof wrapperBoot>;

export const wrapperReady = z.object({ port: z.int().positive(), wrapper_pid: z.int().positive() });

export const wrapperHealth = z.object({
  session_id: z.string(),
  instance_id: z.string(),
  generation: z.int(),
  version: z.string(),
  /** The protocol version that it speaks with this caller. */
  protocol: z.int(),
  pid: z.int(),
  uptime_ms: z.int(),
  active_jobs: z.int(),
  draining: z.boolean(),
  /** Its workspace is being prepared: no job is taken yet. Absent in protocol 1. */
  preparing: z.boolean().optional(),
});
export type WrapperHealth = z.infer<typeof wrapperHealth>;

export const wrapperJobStates = ["running", "succeeded", "failed", "timed_out", "cancelled", "interrupted"] as const;

export const wrapperJob = z.object({
  id: z.string(),
  state: z.enum(wrapperJobStates),
  /** null while it runs, and when a signal ended it. */
  exit_code: z.int().nullable(),
  /** "SIGKILL" and the like; null when it exited by itself. */
  signal: z.string().nullable(),
  /** Ages, not instants: the sandbox's clock is not ours. ms since it started / ended (null while it runs). */
  started_ago_ms: z.int().nonnegative(),
  ended_ago_ms: z.int().nonnegative().nullable(),
  /** All bytes it wrote (stdout and stderr as they came); the kept part is shorter when `output_truncated`. */
  output_bytes: z.int().nonnegative(),
  output_truncated: z.boolean(),
  /** The bytes in the middle that were dropped; null: none. Absent from wrappers that keep only the beginning. */
  output_gap: outputGap.nullable().optional(),
  /** Why it could not be started; null: it was, or is about to be. A code of a newer wrapper reads as `cannot_start`. */
  failure: jobFailure
    .extend({ code: z.enum(jobFailureCodes).catch("cannot_start") })
    .nullable()
    .optional(),
  /** What it left when it exited by itself; null: nothing. */
  left_running: leftRunning.nullable().optional(),
});
export type WrapperJob = z.infer<typeof wrapperJob>;

/**
 * `GET /jobs/{id}?tail_bytes=N&wait_ms=M`: with the last N bytes, base64, and the offset of the first of them. With `wait_ms` the
 * answer comes when the job has ended, or after that time; then without a tail while it runs. A wrapper that does not know
 * `wait_ms` answers at once.
 */
export const wrapperJobDetail = wrapperJob.extend({ tail_base64: z.string(), tail_offset: z.int().nonnegative() });
export type WrapperJobDetail = z.infer<typeof wrapperJobDetail>;

export const renewalRequest = z.strictObject({
  /** Counts this lease's renewals; one that is not above the last accepted is refused as stale. */
  sequence: z.int().positive(),
  /** The controller's clock when it sent, epoch ms. Read only through `acceptRenewal` (lease-clock.ts). */
  sent_at: z.int(),
  ttl_ms: z.int().positive(),
});
export type RenewalRequest = z.infer<typeof renewalRequest>;

export const renewalReply = z.object({
  protocol: z.int(),
  instance_id: z.string(),
  generation: z.int(),
  version: z.string(),
  /** How long the wrapper will live without another renewal. */
  expires_in_ms: z.int(),
  active_jobs: z.int(),
  /** ms since the last activity of a job (start, output, stdin, end) or of traffic; 0 while a job or a process runs. */
  idle_ms: z.int().nonnegative(),
  disk: z.object({ total_bytes: z.int(), free_bytes: z.int() }).nullable(),
  /** Every job this wrapper knows. */
  jobs: z.array(wrapperJob),
  /** Sentences about what its jobs are kept from that it could not prove when it started. Absent: it did not try. */
  jobs_unproven: z
    .array(z.string().transform((text) => text.slice(0, 300)))
    .transform((all) => all.slice(0, 16))
    .optional(),
});
export type RenewalReply = z.infer<typeof renewalReply>;

/** `POST /jobs`: idempotent by id. The same id with another body is 409 `job_mismatch`. */
export const wrapperJobOrder = z.strictObject({
  id: z.string(),
  /** Exactly one: a shell command line, or an argument vector. */
  command: z.string().optional(),
  argv: z.array(z.string()).min(1).optional(),
  /** Relative to the workspace. */
  cwd: z.string().optional(),
  env: z.record(z.string(), z.string()).optional(),
  stdin: z.string().optional(),
  /** When false the job's stdin is closed after `stdin`; when true it stays open for `POST /jobs/{id}/stdin`. */
  stdin_open: z.boolean().optional(),
  /** What it leaves running when it exits by itself goes on until the instance ends. Absent rather than false: an older wrapper refuses it. */
  keep: z.literal(true).optional(),
  /** In a terminal of 80 by 24. Absent rather than false, as `keep`. */
  tty: z.literal(true).optional(),
  timeout_ms: z.int().positive(),
});
export type WrapperJobOrder = z.infer<typeof wrapperJobOrder>;

export const wrapperErrorCodes = [
  "unauthorized", // 401
  "wrong_generation", // 409
  "stale_renewal", // 409
  "not_renewed", // 409: nothing is done before the first accepted renewal
  "draining", // 409
  "preparing", // 409: no job before the workspace is prepared
  "job_mismatch", // 409
  "job_ended", // 409: stdin for a job that has ended
  "not_found", // 404
  "too_many_jobs", // 429
  "stdin_full", // 429: the job does not read; nothing of this body was taken
  "invalid", // 422
  "internal", // 500
] as const;
export const wrapperError = z.object({ code: z.enum(wrapperErrorCodes), message: z.string() });
export type WrapperError = z.infer<typeof wrapperError>;

/** What a controller shows to a wrapper. */
export function controllerToken(secret: string): Promise<string> {
  return hmacHex(secret, "mooring-controller");
}

/** What a wrapper shows to a controller, for the nonce of that very request. */
export function wrapperProof(secret: string, nonce: string): Promise<string> {
  return hmacHex(secret, `mooring-wrapper\n${nonce}`);
}
