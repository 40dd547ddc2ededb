/**
 * The rows of a session's jobs. A job's order is its position; at most 1,000 are kept, ended ones go first. The first job makes the
 * table: a session without jobs does not pay for it. A job's row also holds the session's activity as the write left it, so that
 * a job that begins or ends does not write the session's row too (activity.ts).
 */
import type { Generation, JobId } from "../../domain/state/ids.ts";
import type { JobState } from "../../protocol/resources/session/jobs.ts";
import type { Sql, SqlValue } from "../../storage/sql.ts";
import { jobTable } from "../migrations/session-tables-at-once.ts";
import type { StoredActivity } from "../records/activity.ts";
import type { SealedRow } from "../records/store.ts";
import { decode, generationOf, type Job, type JobResult, json, type OpenJob } from "./job-row.ts";

export const jobsKept = 1_000;
/** What is stored of a job's output. */
export const tailBytes = 65_536;

export interface JobSummary {
  readonly count: number;
  /** The one that was created last; null: there is none. */
  readonly last: Pick<Job, "id" | "state" | "exitCode" | "signal"> | null;
}

export interface JobStore {
  get(id: JobId): Job | null;
  /** The jobs after that one, in the order of their creation; null: that job is not kept any more. */
  list(after: JobId | null, limit: number): readonly Job[] | null;
  /** The jobs that were created last, newest first. */
  newest(limit: number): readonly Job[];
  /** The jobs that have not ended, oldest first, without their bodies: the engine reads them at every turn. */
  open(): readonly OpenJob[];
  /** Counts of the jobs that were handed to this generation, of those that are still kept. */
  summary(generation: Generation): JobSummary;
  /** A transaction was rolled back, or the rows were erased: drop what is cached. */
  forget(): void;
  /** `full`: 1,000 jobs are there and none has ended. `generation`: it is handed over to that one from the start; null: it is queued. */
  add(
    job: Pick<Job, "id" | "body" | "secrets" | "createdAt" | "timeoutMs" | "generation">,
    activity: StoredActivity | null,
  ): "added" | "full";
  hand(id: JobId, generation: Generation): void;
  takeBack(id: JobId): void;
  /** Stores the intent to end these jobs, until they have ended. */
  markEnding(ids: readonly JobId[], as: "cancelled" | "interrupted"): void;
  settle(id: JobId, result: JobResult, activity: StoredActivity | null): void;
  setRunning(id: JobId, startedAt: number, activity: StoredActivity | null): void;
  /** Jobs handed to this generation that never reported an end. */
  settleHanded(generation: Generation, as: JobState, at: number): void;
  /** Jobs never handed over. */
  dropQueue(at: number): void;
  sealedRows(): readonly SealedRow[];
}

export function jobStore(sql: Sql): JobStore {
  /** Cached until the next write: it is read far more often than it changes. */
  let open: readonly OpenJob[] | null = null;
  const write = (statement: string, ...bindings: readonly SqlValue[]): void => {
    open = null;
    sql.run(statement, ...bindings);
  };
  /** Whether the table is there, which only `add` makes; null: not looked for since. */
  let made: boolean | null = null;
  const exists = (): boolean =>
    (made ??= sql.run("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'job'").length > 0);
  const positionOf = (id: JobId): number | null => {
    const row = sql.run("SELECT position FROM job WHERE id = ?", id)[0];
    return row === undefined ? null : Number(row["position"]);
  };
  const one = (id: JobId) => sql.run("SELECT * FROM job WHERE id = ?", id)[0];
  return {
    get(id) {
      const row = exists() ? one(id) : undefined;
      return row === undefined ? null : decode(row);
    },
    list(after, limit) {
      if (!exists()) return [];
      const position = after === null ? 0 : positionOf(after);
      if (position === null) return null;
      return sql.run("SELECT * FROM job WHERE position > ? ORDER BY position LIMIT ?", position, limit).map(decode);
    },
    newest(limit) {
      if (!exists()) return [];
      return sql.run("SELECT * FROM job ORDER BY position DESC LIMIT ?", limit).map(decode);
    },
    summary(generation) {
      if (!exists()) return { count: 0, last: null };
      const counted = sql.run("SELECT count(*) AS count FROM job WHERE generation = ?", generation)[0];
      const row = sql.run("SELECT * FROM job WHERE generation = ? ORDER BY position DESC LIMIT 1", generation)[0];
      return { count: Number(counted?.["count"]), last: row === undefined ? null : decode(row) };
    },
    forget() {
      open = null;
      made = null;
    },
    open() {
      if (!exists()) return [];
      open ??= sql
        .run(
          "SELECT id, state, generation, ending FROM job WHERE state IN ('queued', 'sent', 'running') ORDER BY position",
        )
        .map((row) => ({
          id: row["id"] as JobId,
          state: row["state"] as OpenJob["state"],
          generation: generationOf(row),
          ending: row["ending"] as Job["ending"],
        }));
      return open;
    },
    add(job, activity) {
      if (!exists()) sql.run(jobTable);
      made = true;
      const count = Number(sql.run("SELECT count(*) AS count FROM job")[0]?.["count"]);
      if (count >= jobsKept) {
        const oldest = sql.run(
          "SELECT position FROM job WHERE state NOT IN ('queued', 'sent', 'running') ORDER BY position LIMIT 1",
        )[0];
        if (oldest === undefined) return "full";
        write("DELETE FROM job WHERE position = ?", oldest["position"] ?? null);
      }
      write(
        `INSERT INTO job (position, id, state, generation, created_at, timeout_ms, output_bytes, output_truncated, activity, body, secrets)
         VALUES ((SELECT coalesce(max(position), 0) + 1 FROM job), ?, ?, ?, ?, ?, 0, 0, ?, ?, ?)`,
        job.id,
        job.generation === null ? "queued" : "sent",
        job.generation,
        job.createdAt,
        job.timeoutMs,
        json(activity),
        JSON.stringify(job.body),
        job.secrets,
      );
      return "added";
    },
    hand(id, generation) {
      write("UPDATE job SET state = 'sent', generation = ? WHERE id = ? AND state = 'queued'", generation, id);
    },
    takeBack(id) {
      write("UPDATE job SET state = 'queued', generation = NULL WHERE id = ? AND state = 'sent'", id);
    },
    markEnding(ids, as) {
      for (const id of ids) {
        write("UPDATE job SET ending = coalesce(ending, ?) WHERE id = ? AND state IN ('sent', 'running')", as, id);
      }
    },
    setRunning(id, startedAt, activity) {
      write(
        "UPDATE job SET state = 'running', started_at = ?, activity = coalesce(?, activity) WHERE id = ? AND state = 'sent'",
        startedAt,
        json(activity),
        id,
      );
    },
    settle(id, result, activity) {
      write(
        `UPDATE job SET state = ?, started_at = coalesce(started_at, ?), ended_at = ?, exit_code = ?, signal = ?, output_bytes = ?,
           output_truncated = ?, output_gap = ?, failure = ?, left_running = ?, tail = ?, tail_from = ?,
           activity = coalesce(?, activity) WHERE id = ? AND state IN ('queued', 'sent', 'running')`,
        result.state,
        result.startedAt,
        result.endedAt,
        result.exitCode,
        result.signal,
        result.outputBytes,
        result.outputTruncated ? 1 : 0,
        json(result.outputGap),
        json(result.failure),
        json(result.leftRunning),
        result.tail,
        result.tailFrom,
        json(activity),
        id,
      );
    },
    settleHanded(generation, as, at) {
      if (!exists()) return;
      write(
        "UPDATE job SET state = ?, ended_at = ? WHERE generation = ? AND state IN ('sent', 'running')",
        as,
        at,
        generation,
      );
    },
    dropQueue(at) {
      if (!exists()) return;
      write("UPDATE job SET state = 'cancelled', ended_at = ? WHERE state = 'queued'", at);
    },
    sealedRows() {
      if (!exists()) return [];
      // Read one at a time: all of them together may exceed the memory of an isolate.
      return sql.run("SELECT id FROM job WHERE secrets IS NOT NULL").map(({ id = null }) => ({
        place: `job/${String(id)}`,
        read() {
          const stored = sql.run("SELECT secrets FROM job WHERE id = ?", id)[0]?.["secrets"];
          return typeof stored === "string" ? stored : null;
        },
        replace: (stored, sealed) =>
          void sql.run("UPDATE job SET secrets = ? WHERE id = ? AND secrets = ?", sealed, id, stored),
      }));
    },
  };
}
