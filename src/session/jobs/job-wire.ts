/** Translates a job between its stored form and the protocol of the wrapper. Pure. */
import type { JobFailure } from "../../protocol/job-failure.ts";
import type { WrapperJobDetail, WrapperJobOrder } from "../../protocol/sandbox/wrapper.ts";
import type { Job, JobResult } from "./job-row.ts";
import type { JobSecrets } from "../records/secrets.ts";
import { fromBase64 } from "../../protocol/bytes.ts";

export function orderOf(job: Job, { env, stdin }: JobSecrets): WrapperJobOrder {
  const { command, argv, cwd, stdin_open, keep, tty } = job.body;
  return {
    id: job.id,
    ...(command === undefined ? {} : { command }),
    ...(argv === undefined ? {} : { argv }),
    ...(cwd === undefined ? {} : { cwd }),
    ...(env === undefined ? {} : { env }),
    ...(stdin === undefined ? {} : { stdin }),
    ...(stdin_open === undefined ? {} : { stdin_open }),
    ...(keep === true ? { keep } : {}),
    ...(tty === true ? { tty } : {}),
    timeout_ms: job.timeoutMs,
  };
}

export function resultOf(detail: WrapperJobDetail, now: number): JobResult {
  return {
    state: detail.state,
    startedAt: now - detail.started_ago_ms,
    endedAt: now - (detail.ended_ago_ms ?? 0),
    exitCode: detail.exit_code,
    signal: detail.signal,
    outputBytes: detail.output_bytes,
    outputTruncated: detail.output_truncated,
    outputGap: detail.output_gap ?? null,
    failure: detail.failure ?? null,
    leftRunning: detail.left_running ?? null,
    tail: fromBase64(detail.tail_base64),
    tailFrom: detail.tail_offset,
  };
}

/** The result of a job that never ran. */
export function resultWithoutRun(
  state: "failed" | "cancelled" | "interrupted",
  now: number,
  failure: JobFailure | null,
): JobResult {
  return {
    state,
    startedAt: null,
    endedAt: now,
    exitCode: null,
    signal: null,
    outputBytes: 0,
    outputTruncated: false,
    outputGap: null,
    failure,
    leftRunning: null,
    tail: new Uint8Array(),
    tailFrom: 0,
  };
}
