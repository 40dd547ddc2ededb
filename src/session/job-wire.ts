/** A job as its wrapper is told of it, and what comes back as it is kept. Pure. */
import type { WrapperJobDetail, WrapperJobOrder } from "../protocol/wrapper.ts";
import type { Job, JobResult } from "./job-store.ts";
import type { JobSecrets } from "./secrets.ts";

export function orderOf(job: Job, { env, stdin }: JobSecrets): WrapperJobOrder {
  const { command, argv, cwd, stdin_open } = job.body;
  return {
    id: job.id,
    ...(command === undefined ? {} : { command }),
    ...(argv === undefined ? {} : { argv }),
    ...(cwd === undefined ? {} : { cwd }),
    ...(env === undefined ? {} : { env }),
    ...(stdin === undefined ? {} : { stdin }),
    ...(stdin_open === undefined ? {} : { stdin_open }),
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
    tail: Uint8Array.from(atob(detail.tail_base64), (char) => char.charCodeAt(0)),
    tailFrom: detail.tail_offset,
  };
}

/** The wrapper would not take it at all (a working directory outside the workspace, say). */
export function refused(now: number): JobResult {
  return {
    state: "failed",
    startedAt: null,
    endedAt: now,
    exitCode: null,
    signal: null,
    outputBytes: 0,
    outputTruncated: false,
    tail: new Uint8Array(),
    tailFrom: 0,
  };
}
