/**
 * Jobs as they are stored: what has ended stays as it ended, a job belongs to one generation for ever, none outlives the lease
 * that it was handed to, and one that waits is armed for.
 */
import { openLeaseOf, type SeenSession, type Timers } from "./model.ts";
import { wakeMs } from "./deadlines.ts";
import type { Rows } from "./stored.ts";

interface JobSeen {
  readonly state: string;
  readonly generation: number | null;
  readonly exitCode: number | null;
  readonly ending: string | null;
  /** It carries an env or a stdin that has to be opened first. */
  readonly sealed: boolean;
}
type JobsSeen = ReadonlyMap<string, JobSeen>;

const nothing: readonly string[] = [];
const none: JobsSeen = new Map();

function isOpen({ state }: JobSeen): boolean {
  return state === "queued" || state === "sent" || state === "running";
}

export class JobWatch {
  readonly #rows: Rows;
  readonly #timers: Timers;
  readonly #restMs: number | null;
  #seenWrites = -1;
  #jobs: JobsSeen = none;
  #made = false;

  /** `restMs`: what cannot be written down rests so long before it is tried again; null: everything can be written. */
  constructor(rows: Rows, timers: Timers, restMs: number | null) {
    this.#rows = rows;
    this.#timers = timers;
    this.#restMs = restMs;
  }

  /** To be called after each step in which anything was written. `alarmAt` as it is armed now. */
  check(session: SeenSession | null, alarmAt: number | null, now: number): readonly string[] {
    if (!this.#hasTable()) return nothing;
    const found: string[] = [];
    const writes = this.#rows.writesTo("job");
    if (writes !== this.#seenWrites) {
      this.#seenWrites = writes;
      const before = this.#jobs;
      this.#jobs = this.#read();
      found.push(...changeFaults(before, this.#jobs));
    }
    if (session === null) return found;
    for (const [id, job] of this.#jobs) if (isOpen(job)) found.push(...standingFaults(id, job, session));
    const within = this.#waitsFor(session);
    if (within !== null && (alarmAt === null || alarmAt > now + within))
      found.push(`I5: a job waits to be handed over or ended, and the alarm is armed for ${alarmAt ?? "never"}`);
    return found;
  }

  /** A storage that fails may leave the tables half made: then there is no job yet. */
  #hasTable(): boolean {
    if (!this.#rows.hasTables) return false;
    this.#made ||= this.#rows.run("SELECT 1 FROM pragma_table_info('job') WHERE name = 'secrets'").length > 0;
    return this.#made;
  }

  forget(): void {
    this.#made = false;
    this.#jobs = none;
    this.#seenWrites = -1;
  }

  /** How soon the alarm has to look after a job that is to be handed over or to be ended; null: none is. */
  #waitsFor({ newest, desired }: SeenSession): number | null {
    if (desired.type !== "running" || newest?.phase !== "held" || newest.gate.type !== "open") return null;
    let within: number | null = null;
    for (const job of this.#jobs.values()) {
      // One whose secrets cannot be opened waits for another life of its object, which may have the key.
      if (job.state === "sent" && !job.sealed) return this.#restMs ?? wakeMs + this.#timers.queuePollMs;
      // Whoever asked for its end has just sent it; should that have died on its way, the next renewal brings it up.
      if (job.state === "running" && job.ending !== null)
        within = Math.max(this.#restMs ?? 0, wakeMs + this.#timers.renewMs);
    }
    return within;
  }

  #read(): JobsSeen {
    const rows = this.#rows.run(
      "SELECT id, state, generation, exit_code, ending, secrets IS NOT NULL AS sealed FROM job",
    );
    return new Map(
      rows.map((row) => [
        String(row["id"]),
        {
          state: String(row["state"]),
          generation: row["generation"] as number | null,
          exitCode: row["exit_code"] as number | null,
          ending: row["ending"] as string | null,
          sealed: row["sealed"] === 1,
        },
      ]),
    );
  }
}

function standingFaults(id: string, { state, generation }: JobSeen, session: SeenSession): readonly string[] {
  if (state === "queued")
    return session.desired.type === "terminated" ? [`FEN-2: job ${id} waits in a session that has ended`] : nothing;
  const lease = generation === null ? null : openLeaseOf(session, generation);
  return lease === null ? [`FEN-6: job ${id} is ${state} in generation ${generation}, which has no lease`] : nothing;
}

function changeFaults(before: JobsSeen, after: JobsSeen): readonly string[] {
  const found: string[] = [];
  for (const [id, { state, generation, exitCode }] of after) {
    const old = before.get(id);
    if (old === undefined) continue;
    if (!isOpen(old) && (state !== old.state || exitCode !== old.exitCode))
      found.push(`FEN-6: job ${id} had ended as ${old.state} and is now ${state}`);
    if (old.state === "running" && state === "queued") found.push(`FEN-6: the running job ${id} was queued again`);
    if (old.generation !== null && generation !== null && generation !== old.generation)
      found.push(`FEN-6: job ${id} went from generation ${old.generation} to ${generation}`);
  }
  return found;
}
