/** Jobs of one session: run, look, end, feed, and read their output. */
import { nextCalls, say } from "../domain/next-calls.ts";
import type { JobId } from "../domain/ids.ts";
import type { Session } from "../domain/session.ts";
import { statusOf } from "../domain/status.ts";
import type { CreateJob, JobView } from "../protocol/jobs.ts";
import type { Problem, Reply } from "../protocol/problem.ts";
import type { SessionAccess } from "./access.ts";
import { bounded, timedOut } from "./bounded.ts";
import { isSettled, type Job, jobsKept } from "./job-store.ts";
import type { JobRunner } from "./jobs.ts";
import { OutputReader, type Output } from "./output.ts";
import {
  endedForData,
  jobNotFound,
  jobsRefused,
  noKeyForSecrets,
  refuse,
  secretsUnreadable,
  storageFailed,
} from "./refusals.ts";
import type { SessionSecrets } from "./secrets.ts";
import type { Caller } from "./session-api.ts";
import { jobView } from "./view.ts";

/** While a client waits for a job, the wrapper is asked this often; a wait costs nothing when nobody waits. */
const jobPollMs = 250;

/** Input for a job that has not begun waits this long for it: a sandbox that is resumed takes some seconds to be there. */
const stdinWaitMs = 30_000;

export class JobCommands {
  readonly #at: SessionAccess;
  readonly #runner: JobRunner;
  readonly #output: OutputReader;
  readonly #secrets: SessionSecrets;

  constructor(at: SessionAccess, runner: JobRunner, secrets: SessionSecrets) {
    this.#at = at;
    this.#runner = runner;
    this.#secrets = secrets;
    this.#output = new OutputReader(at, runner);
  }

  async createJob(caller: Caller, body: CreateJob): Promise<Reply<{ job: JobView; replayed: boolean }>> {
    const asked = this.#at.find(caller);
    if (!asked.ok) return asked;
    const { clock, ids, policy } = this.#at.ports;
    const id = (body.id ?? ids.id()) as JobId;
    const sealed = await this.#secrets.sealJob(asked.value.id, id, body);
    if (!sealed.ok) return refuse(noKeyForSecrets);
    const known = this.#at.jobs.get(id);
    if (known !== null) return this.#replay(caller, known, body);
    // Read again: the session may have moved while the secrets were sealed. From here to the write nothing is awaited.
    const found = this.#at.find(caller);
    if (!found.ok) return found;
    const refused = this.#refusedNow(found.value);
    if (refused !== null) return refuse(refused);
    const timeoutMs = body.timeout_seconds === undefined ? policy.defaultJobTimeoutMs : body.timeout_seconds * 1_000;
    let added: "added" | "full" = "added";
    const noted = this.#at.dispatch({ type: "activityNoted", activeJobs: null }, "client", () => {
      added = this.#at.jobs.add({ id, ...sealed.value, createdAt: clock.now(), timeoutMs });
    });
    if (!noted.ok) return noted;
    if ((added as "added" | "full") === "full") {
      return refuse({
        code: "too_many_jobs",
        detail: `The session has ${jobsKept} jobs that have not ended. Wait for some (${say(nextCalls.jobs)}), or cancel them (${say(nextCalls.cancelJob)}).`,
      });
    }
    const job = this.#at.jobs.get(id);
    return job === null
      ? refuse(storageFailed)
      : { ok: true, value: { job: this.#view(this.#at.now(found.value), job), replayed: false } };
  }

  async #replay(caller: Caller, known: Job, body: CreateJob): Promise<Reply<{ job: JobView; replayed: boolean }>> {
    const asked = this.#at.find(caller);
    if (!asked.ok) return asked;
    const secrets = await this.#secrets.job(asked.value.id, known);
    if (!secrets.ok) return refuse(secretsUnreadable);
    if (canonical({ ...known.body, ...secrets.value }) !== canonical(body)) {
      return refuse({
        code: "idempotency_mismatch",
        detail: "A job with this id and another body exists. Repeat the same body, or use a new id.",
      });
    }
    const job = this.#at.jobs.get(known.id) ?? known;
    return { ok: true, value: { job: this.#view(this.#at.now(asked.value), job), replayed: true } };
  }

  #view(session: Session, job: Job): JobView {
    return jobView(session, job, this.#runner.isSealed(job.id));
  }

  /** A paused session that resumes by itself takes the job and queues it. However many come at once, it resumes once (CLK-15). */
  #refusedNow(session: Session): Problem | null {
    const { desired, profile, limits } = session;
    const paused = desired.type === "suspended" && desired.cause === "pause";
    if (!paused || !profile.autoResume) return jobsRefused(session);
    const asked = this.#at.dispatch({ type: "resumeRequested", timeoutMs: limits.timeoutMs }, "client");
    return asked.ok ? null : asked.problem;
  }

  async jobs(caller: Caller, after: string | null, limit: number): Promise<Reply<readonly JobView[]>> {
    const found = this.#at.find(caller);
    if (!found.ok) return found;
    const views = this.#at.jobs.list(after as JobId | null, limit).map((job) => this.#view(found.value, job));
    return { ok: true, value: views };
  }

  async job(caller: Caller, id: string, waitMs: number): Promise<Reply<JobView>> {
    const found = this.#at.find(caller);
    if (!found.ok) return found;
    const jobId = id as JobId;
    if (this.#at.jobs.get(jobId) === null) return refuse(jobNotFound);
    await this.#runner.refresh(jobId);
    const { clock } = this.#at.ports;
    const until = clock.now() + waitMs;
    const open = () => {
      const job = this.#at.jobs.get(jobId);
      return job !== null && !isSettled(job) && clock.now() < until;
    };
    while (open()) {
      await this.#at.wait(() => !open(), Math.min(jobPollMs, until - clock.now()));
      if (open()) await this.#runner.refresh(jobId);
    }
    const job = this.#at.jobs.get(jobId);
    return job === null ? refuse(jobNotFound) : { ok: true, value: this.#view(this.#at.now(found.value), job) };
  }

  async cancelJob(caller: Caller, id: string): Promise<Reply<JobView>> {
    const found = this.#at.find(caller);
    if (!found.ok) return found;
    const jobId = id as JobId;
    const job = this.#at.jobs.get(jobId);
    if (job === null) return refuse(jobNotFound);
    if (!isSettled(job)) {
      const stored = job.state === "queued" ? this.#settleUnsent(jobId) : await this.#end([jobId], "cancelled");
      if (!stored) return refuse(storageFailed);
    }
    const now = this.#at.jobs.get(jobId) ?? job;
    return { ok: true, value: this.#view(this.#at.now(found.value), now) };
  }

  async interrupt(caller: Caller): Promise<Reply<{ interrupted: readonly string[]; queued: readonly string[] }>> {
    const found = this.#at.find(caller);
    if (!found.ok) return found;
    const problem = endedForData(found.value);
    if (problem !== null) return refuse(problem);
    const interrupted = this.#at.jobs.open().flatMap((job) => (job.state === "queued" ? [] : [job.id]));
    const queued = this.#at.jobs.open().flatMap((job) => (job.state === "queued" ? [job.id] : []));
    if (interrupted.length > 0 && !(await this.#end(interrupted, "interrupted"))) return refuse(storageFailed);
    return { ok: true, value: { interrupted, queued } };
  }

  /** false: the intent could not be stored, so nobody was signalled. */
  async #end(ids: readonly JobId[], as: "cancelled" | "interrupted"): Promise<boolean> {
    const lease = this.#at.state.session?.newest ?? null;
    const { policy } = this.#at.ports;
    // Stored before the first signal: a crash in between ends them all the same (FEN-4).
    if (!this.#stored("ending", () => this.#at.jobs.markEnding(ids, as))) return false;
    if (lease?.phase === "held") await this.#runner.end(lease, ids, as, policy.jobGraceMs + policy.observeMs);
    return true;
  }

  #settleUnsent(id: JobId): boolean {
    const endedAt = this.#at.ports.clock.now();
    const unsent = { startedAt: null, exitCode: null, signal: null, outputBytes: 0, outputTruncated: false } as const;
    const result = { ...unsent, state: "cancelled", endedAt, tail: new Uint8Array(), tailFrom: 0 } as const;
    if (!this.#stored("cancelled", () => this.#at.jobs.settle(id, result))) return false;
    this.#at.state.touched();
    return true;
  }

  #stored(what: string, write: () => void): boolean {
    try {
      write();
      return true;
    } catch (error) {
      this.#at.ports.logger.error("job not stored", { what, error: String(error) });
      return false;
    }
  }

  async writeStdin(caller: Caller, id: string, bytes: Uint8Array, end: boolean): Promise<Reply<null>> {
    const found = this.#at.find(caller);
    if (!found.ok) return found;
    const problem = endedForData(found.value);
    if (problem !== null) return refuse(problem);
    const jobId = id as JobId;
    const known = this.#at.jobs.get(jobId);
    if (known === null) return refuse(jobNotFound);
    // Nothing could ever read it: not worth a sandbox.
    if (isSettled(known)) return refuse(endedJob);
    const unwelcome = this.#feeds(found.value, known) ? null : this.#refusedNow(found.value);
    if (unwelcome !== null) return refuse(unwelcome);
    await this.#at.wait(() => !this.#begins(jobId), stdinWaitMs);
    // Read again: the wait may have seen a resume, a loss or an end (FEN-2).
    const job = this.#at.jobs.get(jobId);
    const session = this.#at.state.session;
    if (job === null || session === null) return refuse(jobNotFound);
    if (isSettled(job)) return refuse(endedJob);
    const lease = session.newest;
    if (lease?.phase !== "held" || job.generation !== lease.generation)
      return refuse(jobsRefused(session) ?? notBegun(session));
    const wrapper = this.#runner.wrapperOf(lease);
    const { clock, policy } = this.#at.ports;
    const answer =
      wrapper === null
        ? timedOut
        : await bounded(clock, policy.observeMs, (bound) => wrapper.writeStdin(job.id, bytes, end, bound));
    if (answer === timedOut) return refuse(unreachable);
    if (answer.ok) {
      const noted = this.#at.dispatch({ type: "activityNoted", activeJobs: null }, "client");
      return noted.ok ? { ok: true, value: null } : noted;
    }
    if (answer.failure.code === "not_found" || answer.failure.code === "invalid") {
      return refuse(endedJob);
    }
    return refuse(unreachable);
  }

  /**
   * Its sandbox is there to be fed. A pause that still waits for its jobs is no reason to withhold what one waits for;
   * but on a session that resumes by itself using it is a wish to go on, which calls the pause off.
   */
  #feeds(session: Session, job: Job): boolean {
    const { newest, desired, profile } = session;
    if (newest?.phase !== "held" || job.generation !== newest.generation) return false;
    return desired.type === "running" || !profile.autoResume;
  }

  /** It has not begun, and its session is on its way to begin it. */
  #begins(id: JobId): boolean {
    const job = this.#at.jobs.get(id);
    const session = this.#at.state.session;
    if (job === null || session === null || (job.state !== "queued" && job.state !== "sent")) return false;
    const { desired } = session;
    return desired.type === "running" || (desired.type === "suspended" && desired.resumeQueued);
  }

  async jobOutput(caller: Caller, id: string, offset: number): Promise<Reply<Output>> {
    const found = this.#at.find(caller);
    return found.ok ? this.#output.open(id as JobId, offset) : found;
  }
}

const endedJob: Problem = {
  code: "job_ended",
  detail: `The job takes no more input: it has ended, or its stdin is closed. ${say(nextCalls.readJob)} tells which.`,
};

function notBegun(session: Session): Problem {
  return {
    code: "session_not_running",
    detail: `The job has not begun, so it took no input; the session is ${statusOf(session)}. Send it again when ${say(nextCalls.readJob)} says \`running\`.`,
  };
}

const unreachable: Problem = {
  code: "sandbox_unreachable",
  detail: `The sandbox did not answer in time. Whether it took the input is not known; read the job's output to see: ${say(nextCalls.jobOutput)}.`,
};

/** The same body in any key order is the same job, whatever it is called. */
function canonical(body: CreateJob): string {
  return JSON.stringify(sorted({ ...body, id: undefined }));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, each]) => [key, sorted(each)]),
  );
}
