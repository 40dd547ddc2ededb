/** Jobs of one session: run, look, end, feed, and read their output. */
import { nextCalls, say } from "../../../domain/state/next-calls.ts";
import type { JobId } from "../../../domain/state/ids.ts";
import type { ProviderFailure } from "../../../domain/state/failure.ts";
import type { Session } from "../../../domain/state/session.ts";
import { statusOf } from "../../../domain/rules/status.ts";
import { canonicalJson } from "../../../protocol/canonical-json.ts";
import type { CreateJob, JobListItem, JobView } from "../../../protocol/resources/session/jobs.ts";
import type { Problem, Reply } from "../../../protocol/problem.ts";
import type { CommandContext } from "../command-context.ts";
import { bounded, timedOut } from "../../../calls/bounded-call.ts";
import { jobsKept } from "../../jobs/job-store.ts";
import { isSettled, type Job } from "../../jobs/job-row.ts";
import { resultWithoutRun } from "../../jobs/job-wire.ts";
import type { JobDelivery } from "../../jobs/job-delivery.ts";
import type { JobResults } from "../../jobs/job-results.ts";
import { OutputReader, type Output } from "./output.ts";
import { endedForData, jobsRefused, noKeyForSecrets, refuse, secretsUnreadable, storageFailed } from "../refusals.ts";
import type { SessionSecrets } from "../../records/secrets.ts";
import type { Caller } from "../../session-api.ts";
import { beginUse } from "../using.ts";
import { jobView } from "../view.ts";
import { jobNotFound } from "../../../protocol/not-found.ts";

/** Input for a job that has not begun waits this long for it: a sandbox that is resumed takes some seconds to be there. */
const stdinWaitMs = 30_000;

export class JobCommands {
  readonly #context: CommandContext;
  readonly #delivery: JobDelivery;
  readonly #results: JobResults;
  readonly #output: OutputReader;
  readonly #secrets: SessionSecrets;

  constructor(context: CommandContext, delivery: JobDelivery, results: JobResults, secrets: SessionSecrets) {
    this.#context = context;
    this.#delivery = delivery;
    this.#results = results;
    this.#secrets = secrets;
    this.#output = new OutputReader(context, results);
  }

  async createJob(caller: Caller, body: CreateJob): Promise<Reply<{ job: JobView; replayed: boolean }>> {
    const asked = this.#context.find(caller);
    if (!asked.ok) return asked;
    const { clock, ids, policy } = this.#context.ports;
    const id = (body.id ?? ids.id()) as JobId;
    const sealed = await this.#secrets.sealJob(asked.value.id, id, body);
    if (!sealed.ok) return refuse(noKeyForSecrets);
    const known = this.#context.jobs.get(id);
    if (known !== null) return this.#replay(caller, known, body);
    // Read again: the session may have moved while the secrets were sealed. From here to the write nothing is awaited.
    const found = this.#context.find(caller);
    if (!found.ok) return found;
    const refused = beginUse(this.#context, found.value);
    if (refused !== null) return refuse(refused);
    const timeoutMs = body.timeout_seconds === undefined ? policy.defaultJobTimeoutMs : body.timeout_seconds * 1_000;
    // One with secrets waits until they are opened: they may not be, and then it stays queued.
    const generation = sealed.value.secrets === null ? this.#delivery.handsOverTo() : null;
    let added: "added" | "full" = "added";
    const noted = this.#context.dispatch({ type: "activityNoted", activeJobs: null }, "client", (activity) => {
      added = this.#context.jobs.add({ id, ...sealed.value, createdAt: clock.now(), timeoutMs, generation }, activity);
      if (added === "added" && generation !== null) this.#delivery.added(id);
      return added === "added";
    });
    if (!noted.ok) return noted;
    if ((added as "added" | "full") === "full") {
      return refuse({
        code: "too_many_jobs",
        detail: `The session has ${jobsKept} jobs that have not ended. Wait for some (${say(nextCalls.jobs)}), or cancel them (${say(nextCalls.cancelJob)}).`,
      });
    }
    const job = this.#context.jobs.get(id);
    return job === null
      ? refuse(storageFailed)
      : { ok: true, value: { job: this.#view(this.#context.now(found.value), job), replayed: false } };
  }

  async #replay(caller: Caller, known: Job, body: CreateJob): Promise<Reply<{ job: JobView; replayed: boolean }>> {
    const asked = this.#context.find(caller);
    if (!asked.ok) return asked;
    const secrets = await this.#secrets.job(asked.value.id, known);
    if (!secrets.ok) return refuse(secretsUnreadable);
    if (canonical({ ...known.body, ...secrets.value }) !== canonical(body)) {
      return refuse({
        code: "idempotency_mismatch",
        detail: "A job with this id and another body exists. Repeat the same body, or use a new id.",
      });
    }
    const job = this.#context.jobs.get(known.id) ?? known;
    return { ok: true, value: { job: this.#view(this.#context.now(asked.value), job), replayed: true } };
  }

  #view(session: Session, job: Job): JobView {
    return jobView(session, job, this.#delivery.heldBackBy(job.id));
  }

  async jobs(caller: Caller | null, after: string | null, limit: number): Promise<Reply<readonly JobListItem[]>> {
    const found = this.#context.findAs(caller);
    if (!found.ok) return found;
    const jobs = this.#context.jobs.list(after as JobId | null, limit);
    if (jobs === null) return refuse(cursorIsGone);
    const items = jobs.map((job): JobListItem => {
      const { output_tail: _tail, ...item } = this.#view(found.value, job);
      return item;
    });
    return { ok: true, value: items };
  }

  async job(caller: Caller | null, id: string, waitMs: number): Promise<Reply<JobView>> {
    const found = this.#context.findAs(caller);
    if (!found.ok) return found;
    const jobId = id as JobId;
    if (this.#context.jobs.get(jobId) === null) return refuse(jobNotFound);
    if (waitMs > 0) await this.#ended(jobId, waitMs);
    else await this.#results.refresh(jobId);
    const job = this.#context.jobs.get(jobId);
    return job === null ? refuse(jobNotFound) : { ok: true, value: this.#view(this.#context.now(found.value), job) };
  }

  async #ended(id: JobId, waitMs: number): Promise<void> {
    const done = this.#results.awaitEnd(id);
    const isOver = () => {
      const job = this.#context.jobs.get(id);
      return job === null || isSettled(job);
    };
    try {
      await this.#context.wait(isOver, waitMs);
    } finally {
      done();
    }
  }

  async cancelJob(caller: Caller, id: string): Promise<Reply<JobView>> {
    const found = this.#context.find(caller);
    if (!found.ok) return found;
    const jobId = id as JobId;
    const job = this.#context.jobs.get(jobId);
    if (job === null) return refuse(jobNotFound);
    if (!isSettled(job)) {
      const stored = job.state === "queued" ? this.#settleUnsent(jobId) : await this.#end([jobId], "cancelled");
      if (!stored) return refuse(storageFailed);
    }
    const now = this.#context.jobs.get(jobId) ?? job;
    return { ok: true, value: this.#view(this.#context.now(found.value), now) };
  }

  async interrupt(caller: Caller): Promise<Reply<{ interrupted: readonly string[]; queued: readonly string[] }>> {
    const found = this.#context.find(caller);
    if (!found.ok) return found;
    const problem = endedForData(found.value);
    if (problem !== null) return refuse(problem);
    const interrupted = this.#context.jobs.open().flatMap((job) => (job.state === "queued" ? [] : [job.id]));
    const queued = this.#context.jobs.open().flatMap((job) => (job.state === "queued" ? [job.id] : []));
    if (interrupted.length > 0 && !(await this.#end(interrupted, "interrupted"))) return refuse(storageFailed);
    return { ok: true, value: { interrupted, queued } };
  }

  /** false: the intent could not be stored, so nobody was signalled. */
  async #end(ids: readonly JobId[], as: "cancelled" | "interrupted"): Promise<boolean> {
    const lease = this.#context.state.session?.newest ?? null;
    const { policy } = this.#context.ports;
    // Stored before the first signal: a crash in between ends them all the same.
    if (!this.#stored("ending", () => this.#context.jobs.markEnding(ids, as))) return false;
    if (lease?.phase === "held") await this.#results.end(lease, ids, as, policy.jobGraceMs + policy.observeMs);
    return true;
  }

  #settleUnsent(id: JobId): boolean {
    const result = resultWithoutRun("cancelled", this.#context.ports.clock.now(), null);
    if (!this.#stored("cancelled", () => this.#context.jobs.settle(id, result, null))) return false;
    this.#context.state.rearmAndNotify();
    return true;
  }

  #stored(what: string, write: () => void): boolean {
    try {
      write();
      return true;
    } catch (error) {
      this.#context.ports.logger.error("job not stored", { what, error: String(error) });
      return false;
    }
  }

  async writeStdin(caller: Caller, id: string, bytes: Uint8Array, end: boolean): Promise<Reply<null>> {
    const found = this.#context.find(caller);
    if (!found.ok) return found;
    const problem = endedForData(found.value);
    if (problem !== null) return refuse(problem);
    const jobId = id as JobId;
    const known = this.#context.jobs.get(jobId);
    if (known === null) return refuse(jobNotFound);
    // Nothing could ever read it: not worth a sandbox.
    if (isSettled(known)) return refuse(endedJob);
    const unwelcome = this.#feeds(found.value, known) ? null : beginUse(this.#context, found.value);
    if (unwelcome !== null) return refuse(unwelcome);
    await this.#context.wait(() => !this.#begins(jobId), stdinWaitMs);
    // Read again: the wait may have seen a resume, a loss or an end.
    const job = this.#context.jobs.get(jobId);
    const session = this.#context.state.session;
    if (job === null || session === null) return refuse(jobNotFound);
    if (isSettled(job)) return refuse(endedJob);
    const lease = session.newest;
    if (lease?.phase !== "held" || job.generation !== lease.generation)
      return refuse(jobsRefused(session) ?? notBegun(session));
    const wrapper = this.#results.wrapperOf(lease);
    const { clock, policy } = this.#context.ports;
    const answer =
      wrapper === null
        ? timedOut
        : await bounded(clock, policy.observeMs, (bound) => wrapper.writeStdin(job.id, bytes, end, bound));
    if (answer === timedOut) return refuse(unreachable);
    if (answer.ok) {
      const noted = this.#context.dispatch({ type: "activityNoted", activeJobs: null }, "client");
      return noted.ok ? { ok: true, value: null } : noted;
    }
    return refuse(stdinRefused(answer.failure));
  }

  /**
   * It can take stdin. A pause that still waits for its jobs is no reason to withhold what one waits for;
   * but on a session that resumes by itself using it is a wish to go on, which calls the pause off.
   */
  #feeds(session: Session, job: Job): boolean {
    const { newest, desired, profile } = session;
    if (newest?.phase !== "held" || job.generation !== newest.generation) return false;
    return desired.type === "running" || !profile.autoResume;
  }

  /** It has not begun, and its session is on its way to begin it. */
  #begins(id: JobId): boolean {
    const job = this.#context.jobs.get(id);
    const session = this.#context.state.session;
    if (job === null || session === null || (job.state !== "queued" && job.state !== "sent")) return false;
    const { desired } = session;
    return desired.type === "running" || (desired.type === "suspended" && desired.resumeQueued);
  }

  async jobOutput(caller: Caller | null, id: string, offset: number): Promise<Reply<Output>> {
    const found = this.#context.findAs(caller);
    return found.ok ? this.#output.open(id as JobId, offset) : found;
  }
}

const cursorIsGone: Problem = {
  code: "validation_failed",
  detail: `The job that \`cursor\` stands for is not kept any more: of ${jobsKept} jobs the oldest that have ended go first. Begin again without a cursor.`,
  errors: [{ pointer: "/cursor", detail: "The job that it points at is gone. Begin again without a cursor." }],
};

const endedJob: Problem = {
  code: "job_ended",
  detail: `The job takes no more input: it has ended, or its stdin is closed. ${say(nextCalls.readJob)} tells which.`,
};

/** A refusal took nothing, so the input may be sent again as it is; only a silence leaves that open. */
function stdinRefused({ code, effect }: ProviderFailure): Problem {
  if (code === "not_found" || code === "invalid" || code === "job_ended") return endedJob;
  if (code === "stdin_full") return stdinFull;
  if (code === "not_ready") return notReady;
  return effect === "none" ? notReached : unreachable;
}

const stdinFull: Problem = {
  code: "stdin_full",
  detail:
    "The job has not read what it was given before. Nothing of this input was taken: send it again, in parts of at most 1 MB, when the job has read on.",
};

const notReady: Problem = {
  code: "session_not_running",
  detail:
    "The sandbox is about to end or to begin, and took nothing of this input. Read the session to see how it stands, then send the input again.",
};

const notReached: Problem = {
  code: "sandbox_unreachable",
  detail: "The sandbox could not be reached. Nothing of this input was taken: send it again.",
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
  return canonicalJson({ ...body, id: undefined });
}
