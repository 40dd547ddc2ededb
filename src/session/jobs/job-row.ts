/** A job as it is stored, and how its row is read. */
import type { Generation, JobId } from "../../domain/state/ids.ts";
import type { JobFailure, LeftRunning, OutputGap } from "../../protocol/job-failure.ts";
import type { CreateJob, JobState } from "../../protocol/resources/session/jobs.ts";
import type { SqlRow, SqlValue } from "../../storage/sql.ts";
import { parseJson } from "../records/row-codec.ts";

export interface Job {
  readonly id: JobId;
  readonly position: number;
  readonly state: JobState;
  readonly body: JobBody;
  /** Its env and stdin, sealed (secrets.ts); null: it has neither. */
  readonly secrets: string | null;
  readonly createdAt: number;
  readonly timeoutMs: number;
  /** The generation it was handed to; null while queued. */
  readonly generation: Generation | null;
  readonly startedAt: number | null;
  readonly endedAt: number | null;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly outputBytes: number;
  readonly outputTruncated: boolean;
  /** What of its output was dropped; null: nothing, or not known. */
  readonly outputGap: OutputGap | null;
  /** Why it could not be started. */
  readonly failure: JobFailure | null;
  /** What it left when it exited by itself. */
  readonly leftRunning: LeftRunning | null;
  /** How it was asked to end; null: it was not. */
  readonly ending: "cancelled" | "interrupted" | null;
  /** The last 64 kB; null until it has ended, and when it was lost with its sandbox. */
  readonly tail: Uint8Array | null;
  /** The offset of its first byte in the whole output. */
  readonly tailFrom: number;
}

/** The part of the request that may be read again: everything but the secrets. */
export type JobBody = Omit<CreateJob, "env" | "stdin">;

export type OpenJob = Pick<Job, "id" | "generation" | "ending"> & { readonly state: "queued" | "sent" | "running" };

export type JobResult = Pick<
  Job,
  | "state"
  | "startedAt"
  | "endedAt"
  | "exitCode"
  | "signal"
  | "outputBytes"
  | "outputTruncated"
  | "outputGap"
  | "failure"
  | "leftRunning"
  | "tail"
  | "tailFrom"
>;

const unsettled: ReadonlySet<JobState> = new Set(["queued", "sent", "running"]);
export function isSettled(job: Pick<Job, "state">): boolean {
  return !unsettled.has(job.state);
}

/** An unreadable row must not hide the others: it gets an empty body, has no command, and is never sent. */
function bodyOf(stored: unknown): JobBody {
  const body = parseJson(stored);
  return typeof body === "object" && body !== null ? body : {};
}

export function generationOf(row: SqlRow): Generation | null {
  return row["generation"] === null ? null : (Number(row["generation"]) as Generation);
}

export function json(value: object | null): string | null {
  return value === null ? null : JSON.stringify(value);
}

/** Written by `json`. */
function parsed<T>(value: SqlValue | undefined): T | null {
  return typeof value === "string" ? (parseJson(value) as T | null) : null;
}

export function decode(row: SqlRow): Job {
  const number = (column: string): number | null => (row[column] === null ? null : Number(row[column]));
  return {
    id: row["id"] as JobId,
    position: Number(row["position"]),
    state: row["state"] as JobState,
    body: bodyOf(row["body"]),
    secrets: row["secrets"] === null ? null : String(row["secrets"]),
    createdAt: Number(row["created_at"]),
    timeoutMs: Number(row["timeout_ms"]),
    generation: generationOf(row),
    startedAt: number("started_at"),
    endedAt: number("ended_at"),
    exitCode: number("exit_code"),
    signal: row["signal"] === null ? null : String(row["signal"]),
    outputBytes: Number(row["output_bytes"]),
    outputTruncated: row["output_truncated"] === 1,
    outputGap: parsed<OutputGap>(row["output_gap"]),
    failure: parsed<JobFailure>(row["failure"]),
    leftRunning: parsed<LeftRunning>(row["left_running"]),
    ending: row["ending"] as Job["ending"],
    tail: row["tail"] instanceof Uint8Array ? row["tail"] : null,
    tailFrom: Number(row["tail_from"]),
  };
}
