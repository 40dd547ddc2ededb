/**
 * What clients and operators ask of one session: `SessionApi` over the engine's parts. Every answer is made from the state
 * after the write; a write that failed is said to have failed (I9).
 */
import type { SessionEvent } from "../domain/events.ts";
import type { JobId, SessionId } from "../domain/ids.ts";
import type { Outcome } from "../domain/outcome.ts";
import { nextDeadline } from "../domain/reconcile.ts";
import { isOpen } from "../domain/lease.ts";
import type { Session } from "../domain/session.ts";
import { statusOf } from "../domain/status.ts";
import type { EventView } from "../protocol/events.ts";
import type { CreateJob, JobView } from "../protocol/jobs.ts";
import type { Problem, Reply } from "../protocol/problem.ts";
import type { CreateSession, SessionView, TeardownView } from "../protocol/sessions.ts";
import { admit, checkSeconds } from "./admission.ts";
import { bounded, timedOut } from "./bounded.ts";
import { SessionEngine } from "./engine.ts";
import { isSettled, jobStore, jobsKept, type JobStore } from "./job-store.ts";
import { JobRunner } from "./jobs.ts";
import { OutputReader, type Output } from "./output.ts";
import type { SessionPorts } from "./ports.ts";
import {
  endedForData,
  jobNotFound,
  jobsRefused,
  newerRecord,
  notFound,
  notRunning,
  problemOf,
  storageFailed,
  unreadableRecord,
} from "./refusals.ts";
import { Reporter, adapterMissing } from "./reporter.ts";
import type { Caller, CreateOutcome, SessionApi, Tagged } from "./session-api.ts";
import { SessionState } from "./session-state.ts";
import { StepRunner, quotaWords, type QuotaRefusal } from "./steps.ts";
import { sessionStore, type Actor, type SessionStore } from "./store.ts";
import { jobView, sessionTeardown, sessionView } from "./view.ts";

/** While a client waits for a job, the wrapper is asked this often; a wait costs nothing when nobody waits. */
const jobPollMs = 250;

export class SessionCommands implements SessionApi {
  readonly #ports: SessionPorts;
  readonly #store: SessionStore;
  readonly #state: SessionState;
  readonly #jobs: JobStore;
  readonly #runner: JobRunner;
  readonly #steps: StepRunner;
  readonly #reporter: Reporter;
  readonly #output: OutputReader;
  readonly engine: SessionEngine;
  #creating = false;

  constructor(ports: SessionPorts) {
    this.#ports = ports;
    this.#store = sessionStore(ports.sql);
    this.#jobs = jobStore(ports.sql);
    this.#state = new SessionState(ports, this.#store, this.#jobs);
    this.#runner = new JobRunner(ports, this.#state, this.#jobs);
    this.#steps = new StepRunner(ports, this.#state, this.#runner, () => this.#store.env());
    this.#reporter = new Reporter(ports, this.#state, this.#store);
    this.engine = new SessionEngine(ports, this.#state, this.#steps, this.#runner, this.#reporter);
    this.#output = new OutputReader(ports, this.#state, this.#jobs, this.#runner, (until, ms) => this.#wait(until, ms));
  }

  /** The present state, for the simulation's invariants and the object's tests. */
  get state(): SessionState {
    return this.#state;
  }

  // --- the session ---------------------------------------------------------------------------------------------------

  async create(
    id: SessionId,
    caller: Caller,
    body: CreateSession,
    requestHash: string | null,
    waitMs: number,
  ): Promise<Reply<CreateOutcome>> {
    if (this.#creating) {
      return refuse({
        code: "idempotency_in_flight",
        detail: "A create with this Idempotency-Key is being worked on. Repeat it in a moment.",
      });
    }
    if (this.#state.mode.type !== "absent") return this.#replay(caller, requestHash, waitMs);
    const { clock, policy, providers, defaultProvider } = this.#ports;
    const provider = providers.get(defaultProvider);
    if (provider === null)
      return refuse({
        code: "unavailable",
        detail: `No adapter for the configured provider ${defaultProvider} is wired.`,
      });
    const admitted = admit(id, caller.tenant, body, {
      now: clock.now(),
      policy,
      provider: defaultProvider,
      capabilities: provider.capabilities,
    });
    if ("code" in admitted) return refuse(admitted);

    this.#creating = true;
    this.#reporter.held = true;
    let refusal: QuotaRefusal | null = null;
    this.#steps.onQuotaRefused = (asked) => {
      if (!this.#creating) return false;
      refusal = asked;
      this.#state.touched();
      return true;
    };
    try {
      this.#state.create(admitted, requestHash, body.env ?? {});
      // The answer about quota belongs to this request: a 429 must not leave a session behind.
      await this.#wait(() => refusal !== null || !this.#firstOpening(), policy.observeMs + 1_000);
      if (refusal !== null) {
        await this.engine.forget();
        const { limit, used } = refusal as QuotaRefusal;
        return refuse({
          code: "quota_exhausted",
          detail: `Maximum sandbox limit reached. ${quotaWords({ limit, used })} Delete a session, then try again.`,
          limit,
          used,
        });
      }
    } catch (error) {
      this.#ports.logger.error("create failed", { session: id, error: String(error) });
      return refuse(storageFailed);
    } finally {
      this.#creating = false;
      this.#reporter.held = false;
      this.#steps.onQuotaRefused = () => false;
      this.engine.pump();
    }
    await this.#wait(() => this.#statusIsNot("provisioning"), waitMs);
    return this.#answer((session) => ({ ...this.#tagged(session), replayed: false }));
  }

  /** Quota was not answered yet. */
  #firstOpening(): boolean {
    const session = this.#state.session;
    return (
      session?.desired.type === "running" &&
      session.newest === null &&
      session.desired.provision !== null &&
      session.desired.provision.failures === 0
    );
  }

  async #replay(caller: Caller, requestHash: string | null, waitMs: number): Promise<Reply<CreateOutcome>> {
    const found = this.#find(caller);
    if (!found.ok) return found;
    if (requestHash === null || this.#store.requestHash() !== requestHash) {
      return refuse({
        code: "idempotency_mismatch",
        detail:
          "This Idempotency-Key was used for a session with another body. Repeat the same body, or use a new key.",
      });
    }
    await this.#wait(() => this.#statusIsNot("provisioning"), waitMs);
    return this.#answer((session) => ({ ...this.#tagged(session), replayed: true }));
  }

  async get(caller: Caller): Promise<Reply<Tagged<SessionView>>> {
    const found = this.#find(caller);
    return found.ok ? { ok: true, value: this.#tagged(found.value) } : found;
  }

  async delete(
    caller: Caller,
    reason: "requested" | "operator",
  ): Promise<Reply<{ session: SessionView; done: boolean }>> {
    const { mode } = this.#state;
    // An admin ends any tenant's session and does not know whose it is.
    const asking = reason === "operator" ? { ...caller, tenant: this.#owner() ?? caller.tenant } : caller;
    if (mode.type === "newer" || mode.type === "unreadable") {
      if (mode.plain.tenant !== asking.tenant) return refuse(notFound);
      try {
        this.#state.requestDelete();
      } catch {
        return refuse(storageFailed);
      }
      return refuse(mode.type === "newer" ? newerRecord : unreadableRecord);
    }
    const found = this.#find(asking);
    if (!found.ok) return found;
    const asked = this.#dispatch(
      { type: "terminateRequested", reason, failure: null },
      reason === "operator" ? "operator" : "client",
    );
    if (!asked.ok) return asked;
    // A session with nothing to tear down is done in this very write.
    return this.#answer((session) => ({ session: this.#view(session), done: isDone(session) }));
  }

  async timeout(caller: Caller, kind: "timeout" | "refresh", seconds: number): Promise<Reply<Tagged<SessionView>>> {
    const found = this.#find(caller);
    if (!found.ok) return found;
    const field = kind === "timeout" ? "timeout_seconds" : "duration_seconds";
    const problem = checkSeconds(field, seconds, this.#ports.policy.maxTimeoutMs);
    if (problem !== null) return refuse(problem);
    const asked = this.#dispatch({ type: "timeoutSet", kind, durationMs: seconds * 1_000 }, "client");
    return asked.ok ? this.#answer((session) => this.#tagged(session)) : asked;
  }

  async keepalive(caller: Caller): Promise<Reply<Tagged<SessionView>>> {
    const found = this.#find(caller);
    if (!found.ok) return found;
    const problem =
      endedForData(found.value) ?? (found.value.desired.type === "running" ? null : notRunning(found.value));
    if (problem !== null) return refuse(problem);
    const asked = this.#dispatch({ type: "activityNoted", activeJobs: null }, "client");
    return asked.ok ? this.#answer((session) => this.#tagged(session)) : asked;
  }

  async teardown(caller: Caller): Promise<Reply<TeardownView | null>> {
    const found = this.#find(caller);
    return found.ok ? { ok: true, value: sessionTeardown(found.value, this.#pastReceipts(found.value)) } : found;
  }

  async events(caller: Caller, after: number, limit: number, waitMs: number): Promise<Reply<readonly EventView[]>> {
    const found = this.#find(caller);
    if (!found.ok) return found;
    if (waitMs > 0) {
      await this.#wait(() => this.#state.session === null || this.#store.events(after, 1).length > 0, waitMs);
      if (this.#state.session === null) return refuse(notFound);
    }
    return { ok: true, value: this.#store.events(after, limit) };
  }

  async poke(actor: "maintenance" | "operator"): Promise<{ known: boolean; nextDeadline: number | null }> {
    if (this.#state.mode.type === "absent") return { known: false, nextDeadline: null };
    this.engine.tick(actor);
    this.#state.rearm();
    const session = this.#state.session;
    return { known: true, nextDeadline: session === null ? null : nextDeadline(session, this.#ports.policy) };
  }

  // --- jobs ------------------------------------------------------------------------------------------------------------

  async createJob(caller: Caller, body: CreateJob): Promise<Reply<{ job: JobView; replayed: boolean }>> {
    const found = this.#find(caller);
    if (!found.ok) return found;
    const { clock, ids, policy } = this.#ports;
    const bodyHash = JSON.stringify(sorted({ ...body, id: undefined }));
    const id = (body.id ?? ids.id()) as JobId;
    const known = this.#jobs.get(id);
    if (known !== null) {
      if (known.bodyHash !== bodyHash) {
        return refuse({
          code: "idempotency_mismatch",
          detail: "A job with this id and another body exists. Repeat the same body, or use a new id.",
        });
      }
      return { ok: true, value: { job: jobView(found.value, known), replayed: true } };
    }
    const refused = jobsRefused(found.value);
    if (refused !== null) return refuse(refused);
    const timeoutMs = body.timeout_seconds === undefined ? policy.defaultJobTimeoutMs : body.timeout_seconds * 1_000;
    try {
      if (this.#jobs.add({ id, body, bodyHash, createdAt: clock.now(), timeoutMs }) === "full") {
        return refuse({
          code: "too_many_jobs",
          detail: `The session has ${jobsKept} jobs that have not ended. Wait for some, or cancel them.`,
        });
      }
    } catch (error) {
      this.#ports.logger.error("job not stored", { error: String(error) });
      return refuse(storageFailed);
    }
    const noted = this.#dispatch({ type: "activityNoted", activeJobs: null }, "client");
    if (!noted.ok) return noted;
    const job = this.#jobs.get(id);
    return job === null
      ? refuse(storageFailed)
      : { ok: true, value: { job: jobView(this.#now(found.value), job), replayed: false } };
  }

  async jobs(caller: Caller, after: string | null, limit: number): Promise<Reply<readonly JobView[]>> {
    const found = this.#find(caller);
    if (!found.ok) return found;
    const views = this.#jobs.list(after as JobId | null, limit).map((job) => jobView(found.value, job));
    return { ok: true, value: views };
  }

  async job(caller: Caller, id: string, waitMs: number): Promise<Reply<JobView>> {
    const found = this.#find(caller);
    if (!found.ok) return found;
    const jobId = id as JobId;
    if (this.#jobs.get(jobId) === null) return refuse(jobNotFound);
    await this.#runner.refresh(jobId);
    const { clock } = this.#ports;
    const until = clock.now() + waitMs;
    const open = () => {
      const job = this.#jobs.get(jobId);
      return job !== null && !isSettled(job) && clock.now() < until;
    };
    while (open()) {
      await this.#wait(() => !open(), Math.min(jobPollMs, until - clock.now()));
      if (open()) await this.#runner.refresh(jobId);
    }
    const job = this.#jobs.get(jobId);
    return job === null ? refuse(jobNotFound) : { ok: true, value: jobView(this.#now(found.value), job) };
  }

  async cancelJob(caller: Caller, id: string): Promise<Reply<JobView>> {
    const found = this.#find(caller);
    if (!found.ok) return found;
    const jobId = id as JobId;
    const job = this.#jobs.get(jobId);
    if (job === null) return refuse(jobNotFound);
    if (!isSettled(job)) {
      if (job.state === "queued") this.#settleUnsent(jobId, "cancelled");
      else await this.#end([jobId], "cancelled");
    }
    const now = this.#jobs.get(jobId) ?? job;
    return { ok: true, value: jobView(this.#now(found.value), now) };
  }

  async interrupt(caller: Caller): Promise<Reply<{ interrupted: readonly string[]; queued: readonly string[] }>> {
    const found = this.#find(caller);
    if (!found.ok) return found;
    const problem = endedForData(found.value);
    if (problem !== null) return refuse(problem);
    const interrupted = this.#jobs.inState("sent", "running").map((job) => job.id);
    const queued = this.#jobs.inState("queued").map((job) => job.id);
    if (interrupted.length > 0) await this.#end(interrupted, "interrupted");
    return { ok: true, value: { interrupted, queued } };
  }

  async #end(ids: readonly JobId[], as: "cancelled" | "interrupted"): Promise<void> {
    const lease = this.#state.session?.newest ?? null;
    const { policy } = this.#ports;
    // Stored before the first signal: a crash in between ends them all the same (FEN-4).
    this.#jobs.markEnding(ids, as);
    if (lease?.phase === "held") await this.#runner.end(lease, ids, as, policy.jobGraceMs + policy.observeMs);
  }

  #settleUnsent(id: JobId, state: "cancelled"): void {
    const endedAt = this.#ports.clock.now();
    this.#jobs.settle(id, {
      state,
      startedAt: null,
      endedAt,
      exitCode: null,
      signal: null,
      outputBytes: 0,
      outputTruncated: false,
      tail: new Uint8Array(),
    });
    this.#state.touched();
  }

  async writeStdin(caller: Caller, id: string, bytes: Uint8Array, end: boolean): Promise<Reply<null>> {
    const found = this.#find(caller);
    if (!found.ok) return found;
    const problem = endedForData(found.value);
    if (problem !== null) return refuse(problem);
    const job = this.#jobs.get(id as JobId);
    if (job === null) return refuse(jobNotFound);
    if (isSettled(job)) return refuse({ code: "job_ended", detail: "The job has ended: it reads no more input." });
    const lease = found.value.newest;
    if (lease?.phase !== "held" || job.generation !== lease.generation) return refuse(notRunning(found.value));
    const wrapper = this.#runner.wrapperOf(lease);
    const { clock, policy } = this.#ports;
    const answer =
      wrapper === null
        ? timedOut
        : await bounded(clock, policy.observeMs, (bound) => wrapper.writeStdin(job.id, bytes, end, bound));
    if (answer === timedOut) return refuse(unreachable);
    if (answer.ok) {
      const noted = this.#dispatch({ type: "activityNoted", activeJobs: null }, "client");
      return noted.ok ? { ok: true, value: null } : noted;
    }
    if (answer.failure.code === "not_found" || answer.failure.code === "invalid") {
      return refuse({
        code: "job_ended",
        detail: "The job takes no more input: it has ended, or its stdin is closed.",
      });
    }
    return refuse(unreachable);
  }

  async jobOutput(caller: Caller, id: string, offset: number): Promise<Reply<Output>> {
    const found = this.#find(caller);
    return found.ok ? this.#output.open(id as JobId, offset) : found;
  }

  // --- shared ------------------------------------------------------------------------------------------------------------

  /** null: there is no session. */
  #owner(): Caller["tenant"] | null {
    const { mode, session } = this.#state;
    return mode.type === "newer" || mode.type === "unreadable" ? mode.plain.tenant : (session?.tenant ?? null);
  }

  #find(caller: Caller): Reply<Session> {
    const { mode, session } = this.#state;
    if (mode.type === "newer" || mode.type === "unreadable") {
      if (mode.plain.tenant !== caller.tenant) return refuse(notFound);
      return refuse(mode.type === "newer" ? newerRecord : unreadableRecord);
    }
    // Another tenant's session does not exist, as far as anyone can tell (API-3).
    return session === null || session.tenant !== caller.tenant ? refuse(notFound) : { ok: true, value: session };
  }

  #dispatch(event: SessionEvent, actor: Actor): Reply<Outcome> {
    try {
      const outcome = this.#state.dispatch(event, actor);
      return outcome.type === "rejected" ? refuse(problemOf(outcome.rejection)) : { ok: true, value: outcome };
    } catch (error) {
      this.#ports.logger.error("a change was not stored", {
        event: event.type,
        error: error instanceof Error ? error.message : String(error),
      });
      return refuse(storageFailed);
    }
  }

  #answer<T>(make: (session: Session) => T): Reply<T> {
    const session = this.#state.session;
    return session === null ? refuse(notFound) : { ok: true, value: make(session) };
  }

  #now(before: Session): Session {
    return this.#state.session ?? before;
  }

  #tagged(session: Session): Tagged<SessionView> {
    return { etag: String(this.#state.version), body: this.#view(session) };
  }

  #view(session: Session): SessionView {
    const { clock, policy, providers } = this.#ports;
    return sessionView(session, {
      now: clock.now(),
      policy,
      adapterMissing: adapterMissing(session, providers),
      receipts: this.#pastReceipts(session),
    });
  }

  #pastReceipts(session: Session) {
    return session.newest === null || session.newest.phase === "launching" || session.newest.phase === "held"
      ? this.#store.receipts()
      : [];
  }

  #statusIsNot(status: ReturnType<typeof statusOf>): boolean {
    const session = this.#state.session;
    return session === null || statusOf(session) !== status;
  }

  /** Resolves when `until` holds after some change, or after `ms`. */
  async #wait(until: () => boolean, ms: number): Promise<void> {
    if (until() || ms <= 0) return;
    const done = new AbortController();
    const unsubscribe = this.#state.onChange(() => {
      if (until()) done.abort();
    });
    try {
      await this.#ports.clock.sleep(ms, done.signal);
    } finally {
      unsubscribe();
    }
  }
}

const unreachable: Problem = {
  code: "sandbox_unreachable",
  detail: "The sandbox did not answer in time. Whether it took the input is not known; read the job's output to see.",
};

function refuse(problem: Problem): { readonly ok: false; readonly problem: Problem } {
  return { ok: false, problem };
}

function isDone(session: Session): boolean {
  return session.desired.type === "terminated" && session.desired.endedAt !== null && !isOpen(session.newest);
}

/** The same body in any key order is the same job. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, each]) => [key, sorted(each)]),
  );
}
