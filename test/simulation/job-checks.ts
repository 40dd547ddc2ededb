/** Jobs as they are stored: what has ended stays as it ended, and a job belongs to one generation for ever. */
import type { JobState } from "../../src/protocol/jobs.ts";
import type { SimStorage } from "./sim-storage.ts";

export interface JobSeen {
  readonly state: JobState;
  readonly generation: number | null;
  readonly exitCode: number | null;
}
export type JobsSeen = ReadonlyMap<string, JobSeen>;

const unsettled: ReadonlySet<JobState> = new Set(["queued", "sent", "running"]);

export function readJobs(storage: SimStorage): JobsSeen {
  const rows = storage.run("SELECT id, state, generation, exit_code FROM job");
  return new Map(
    rows.map((row) => [
      String(row["id"]),
      {
        state: row["state"] as JobState,
        generation: row["generation"] as number | null,
        exitCode: row["exit_code"] as number | null,
      },
    ]),
  );
}

export function jobViolations(before: JobsSeen, after: JobsSeen): readonly string[] {
  const found: string[] = [];
  for (const [id, { state, generation, exitCode }] of after) {
    const old = before.get(id);
    if (old === undefined) continue;
    if (!unsettled.has(old.state) && (state !== old.state || exitCode !== old.exitCode)) {
      found.push(`FEN-6: job ${id} had ended as ${old.state} and is now ${state}`);
    }
    if (old.state === "running" && state === "queued") found.push(`FEN-6: the running job ${id} was queued again`);
    if (old.generation !== null && generation !== null && generation !== old.generation) {
      found.push(`FEN-6: job ${id} went from generation ${old.generation} to ${generation}`);
    }
  }
  return found;
}
