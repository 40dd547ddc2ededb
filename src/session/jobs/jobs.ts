/**
 * Delivers a session's jobs to its wrapper and stores their results. A job runs at most once: the wrapper knows jobs by id, so
 * a send whose answer was lost is repeated safely, and a job that a lost sandbox had accepted becomes `lost`. It never runs
 * again without a request.
 */
import { stillAhead } from "../../domain/rules/instants.ts";
import type { Generation, JobId } from "../../domain/state/ids.ts";
import type { Held, LeaseIdentity } from "../../domain/state/lease.ts";
import type { WrapperClient } from "../../sandbox/agent-sandbox.ts";
import type { WrapperJob, WrapperJobDetail, WrapperJobOrder } from "../../protocol/sandbox/wrapper.ts";
import { bounded, timedOut } from "../../calls/bounded-call.ts";
import { isSettled, tailBytes, type Job, type JobResult, type JobStore, type OpenJob } from "./job-store.ts";
import { orderOf, resultOf, resultWithoutRun } from "./job-wire.ts";
import type { SessionPorts } from "../ports.ts";
import type { JobSecrets, SessionSecrets } from "../records/secrets.ts";
import type { SessionState } from "../session-state.ts";
import { watchedWrapper } from "./watched-wrapper.ts";

/** An older wrapper answers at once although the job runs, and a lost one does not answer: either is asked again after this. */
const askAgainMs = 250;

/** Refusals that a second send would meet again. */
const refusesForGood: ReadonlySet<string> = new Set(["invalid", "unsupported"]);

export type HeldBackBy =
  | { readonly type: "turn" }
  /** Its env or stdin cannot be decrypted. */
  | { readonly type: "sealed" }
  | { readonly type: "not_taken"; readonly words: string };

export class JobRunner {
  readonly #ports: SessionPorts;
  readonly #state: SessionState;
  readonly #jobs: JobStore;
  readonly #secrets: SessionSecrets;
  /** After a delivery that failed: no further one before this instant. */
  #retryAt = 0;
  readonly #endingNow = new Set<JobId>();
  /** Jobs whose send is under way: the wrapper may not know them yet. */
  readonly #sending = new Set<JobId>();
  /** Jobs that were added as handed over and have not been sent yet, in this incarnation. After another one they may have been. */
  readonly #unsent = new Set<JobId>();
  #delivering = false;
  /** Jobs that ended, by their wrapper's report, but whose output could not be read yet. */
  readonly #outputMissing = new Set<JobId>();
  /** How many requests wait for the end of each job. While there are any, one question to its wrapper is under way. */
  readonly #awaited = new Map<JobId, number>();
  readonly #asking = new Set<JobId>();
  /** Why the wrapper did not take a job, until it takes one. */
  #notTaken: { readonly id: JobId; readonly words: string } | null = null;
  /** Jobs whose secrets could not be decrypted: they wait for the next incarnation, which may have the key. */
  readonly #sealed = new Set<JobId>();

  constructor(ports: SessionPorts, state: SessionState, jobs: JobStore, secrets: SessionSecrets) {
    this.#ports = ports;
    this.#state = state;
    this.#jobs = jobs;
    this.#secrets = secrets;
  }

  /** Another session begins in this object. */
  reset(): void {
    this.#retryAt = 0;
    this.#notTaken = null;
    this.#outputMissing.clear();
    this.#sealed.clear();
    this.#unsent.clear();
  }

  wrapperOf(lease: LeaseIdentity): WrapperClient | null {
    const provider = this.#ports.providers.get(lease.provider);
    const session = this.#state.session;
    if (provider === null || session === null) return null;
    const { generation, sandboxId, container, instanceId, host, secret } = lease;
    const instance = { sessionId: session.id, sandboxId, generation, instanceId, host, secret };
    const wrapper = provider.wrapper(container === undefined ? instance : { ...instance, container });
    return watchedWrapper(wrapper, () => this.#wrapperFailed(generation));
  }

  #wrapperFailed(generation: Generation): void {
    try {
      this.#state.dispatch({ type: "wrapperFailed", generation }, "alarm");
    } catch (error) {
      // The next renewal notices.
      this.#ports.logger.error("could not bring a renewal forward", { error: String(error) });
    }
  }

  /** The lease that takes jobs now. */
  admitting(): Held | null {
    const lease = this.#state.session?.newest;
    return lease?.phase === "held" && lease.gate.type === "open" && this.#state.mode.type === "readable" ? lease : null;
  }

  /** A job can be sent, or must be ended, now. */
  due(now: number): boolean {
    if (this.admitting() === null || this.#coolingDown(now)) return false;
    return this.#deliverable() !== null || this.#unended().length > 0 || this.#queueIsBlocked();
  }

  /** When to look again; null: the next change brings the work. */
  wakeAt(now: number): number | null {
    if (this.admitting() === null) return null;
    const waiting = this.#jobs
      .open()
      .some((job) => (job.state !== "running" && !this.#sealed.has(job.id)) || this.#mustEnd(job));
    return waiting ? now + this.#ports.policy.queuePollMs : null;
  }

  #coolingDown(now: number): boolean {
    return stillAhead(this.#retryAt, now, this.#ports.policy.queuePollMs);
  }

  #mustEnd(job: OpenJob): boolean {
    return job.ending !== null && job.state !== "queued" && !this.#endingNow.has(job.id);
  }

  /** Jobs with a stored intent to end and no known end: after a crash before the signal, or a lost reply. */
  #unended(): readonly OpenJob[] {
    return this.#jobs.open().filter((job) => this.#mustEnd(job));
  }

  /** A job whose send was not confirmed comes first (unless it is to end anyway), then the oldest queued one, while fewer than the limit run. */
  #deliverable(): OpenJob | null {
    const open = this.#jobs.open().filter((job) => !this.#sealed.has(job.id));
    const unconfirmed = open.find((job) => job.state === "sent" && job.ending === null && !this.#sending.has(job.id));
    if (unconfirmed !== undefined) return unconfirmed;
    return this.#active() >= this.#ports.policy.maxActiveJobs
      ? null
      : (open.find((job) => job.state === "queued") ?? null);
  }

  /** Jobs wait because the limit is reached. Only the wrapper knows whether one has ended. */
  #queueIsBlocked(): boolean {
    return (
      this.#active() >= this.#ports.policy.maxActiveJobs && this.#jobs.open().some((job) => job.state === "queued")
    );
  }

  /**
   * The generation that a job which is added now is handed over to at once, so that its one write is its hand-over too; null: others
   * come first, or nothing takes jobs now. Whoever adds it calls `added`.
   */
  handsOverTo(): Generation | null {
    const lease = this.admitting();
    if (lease === null || this.#delivering || this.#coolingDown(this.#ports.clock.now())) return null;
    const open = this.#jobs.open();
    const isFree = open.length < this.#ports.policy.maxActiveJobs && open.every(({ state }) => state === "running");
    return isFree ? lease.generation : null;
  }

  /** It was stored as handed over, and is sent by the delivery that its write brings about. */
  added(id: JobId): void {
    this.#unsent.add(id);
  }

  /** Sends every job that can be sent, one call at a time. The engine's lane keeps two deliveries apart. */
  async deliver(): Promise<void> {
    this.#delivering = true;
    try {
      await this.#deliverAll();
      // Nothing took it in the end: it waits for its turn like any other.
      for (const id of this.#unsent) this.#takeBack(id);
    } finally {
      this.#delivering = false;
      this.#unsent.clear();
    }
  }

  async #deliverAll(): Promise<void> {
    await this.#endUnended();
    if (this.#queueIsBlocked()) await this.#lookForPlaces();
    for (;;) {
      const { clock, policy } = this.#ports;
      const open = this.#deliverable();
      const job = open === null ? null : this.#jobs.get(open.id);
      if (job === null || this.admitting() === null) break;
      if (job.body.command === undefined && job.body.argv === undefined) {
        this.#ports.logger.error("the record of a job cannot be read", { job: job.id });
        this.#settleUnreadable(job.id);
        continue;
      }
      const secrets = await this.#open(job);
      if (secrets === null) continue;
      // Decrypting took time: the job may have been cancelled, or its lease may be over.
      const lease = this.admitting();
      const still = this.#deliverable();
      if (lease === null || still?.id !== job.id || still.state !== job.state) continue;
      const queued = job.state === "queued";
      const first = this.#unsent.delete(job.id) || queued;
      // Store the send first: otherwise the job could also be sent to a successor.
      if (queued) this.#state.writeWithAlarm(() => this.#jobs.hand(job.id, lease.generation));
      if (!(await this.#send(lease, orderOf(job, secrets), first))) {
        this.#retryAt = clock.now() + policy.queuePollMs;
        return;
      }
    }
    // Work that is still due could not be done now: look again later, not at once.
    this.#jobs.forget();
    const now = this.#ports.clock.now();
    if (this.due(now)) this.#retryAt = now + this.#ports.policy.queuePollMs;
  }

  /** null: its secrets cannot be decrypted. The job stays in the queue, and its view says why it waits. */
  async #open(job: Job): Promise<JobSecrets | null> {
    const session = this.#state.session;
    if (job.secrets === null || session === null) return {};
    const secrets = await this.#secrets.job(session.id, job);
    if (secrets.ok) return secrets.value;
    this.#ports.logger.error("the secrets of a job cannot be read", { job: job.id, why: secrets.why });
    this.#sealed.add(job.id);
    this.#state.rearmAndNotify();
    return null;
  }

  /** Why the job was not sent yet, beyond what the status of its session says. */
  heldBackBy(id: JobId): HeldBackBy {
    if (this.#sealed.has(id)) return { type: "sealed" };
    return this.#notTaken?.id === id ? { type: "not_taken", words: this.#notTaken.words } : { type: "turn" };
  }

  /** Learns the end of the job as soon as it comes, until the returned function is called. Many waiting requests share one question. */
  awaitEnd(id: JobId): () => void {
    this.#awaited.set(id, (this.#awaited.get(id) ?? 0) + 1);
    if (!this.#asking.has(id)) void this.#askUntilEnd(id);
    return () => {
      const left = (this.#awaited.get(id) ?? 1) - 1;
      if (left > 0) this.#awaited.set(id, left);
      else this.#awaited.delete(id);
    };
  }

  async #askUntilEnd(id: JobId): Promise<void> {
    const { clock, policy, logger } = this.#ports;
    this.#asking.add(id);
    try {
      for (;;) {
        const job = this.#jobs.get(id);
        if (job === null || isSettled(job) || !this.#awaited.has(id)) return;
        const began = clock.now();
        // The wrapper waits for half of the bound; its answer needs some of the rest.
        await this.refresh(id, Math.floor(policy.observeMs / 2));
        if (clock.now() - began < askAgainMs) await clock.sleep(askAgainMs);
      }
    } catch (error) {
      logger.error("could not wait for a job", { job: id, error: String(error) });
    } finally {
      this.#asking.delete(id);
    }
  }

  async #endUnended(): Promise<void> {
    const lease = this.admitting();
    const { policy } = this.#ports;
    if (lease === null) return;
    for (const as of ["cancelled", "interrupted"] as const) {
      const ids = this.#unended().flatMap((job) => (job.ending === as ? [job.id] : []));
      if (ids.length > 0) await this.end(lease, ids, as, policy.jobGraceMs + policy.observeMs);
    }
  }

  async #lookForPlaces(): Promise<void> {
    const running = this.#jobs.open().filter((job) => job.state === "running");
    await Promise.all(running.map((job) => this.refresh(job.id)));
  }

  /** false: try again later. `first`: the job was never sent before. */
  async #send(lease: Held, order: WrapperJobOrder, first: boolean): Promise<boolean> {
    const wrapper = this.wrapperOf(lease);
    if (wrapper === null) return false;
    const { clock, policy } = this.#ports;
    const id = order.id as JobId;
    this.#sending.add(id);
    const call = bounded(clock, policy.observeMs, (bound) => wrapper.startJob(order, bound));
    const answer = await call.finally(() => this.#sending.delete(id));
    // The lease may have ended meanwhile. Its jobs were settled then, and settling them again changes nothing.
    if (answer === timedOut) return false;
    if (answer.ok) {
      this.#notTaken = null;
      // The idle clock counts that the job runs, not the tries to send it. One that has ended notes its end.
      await this.#learn(lease, answer.value, true);
      return true;
    }
    const { code, effect, message } = answer.failure;
    if (refusesForGood.has(code)) {
      // It never ran, and the request itself was counted as activity already.
      this.#storeEnd(
        id,
        resultWithoutRun("failed", clock.now(), { code: "refused", message: `The sandbox refused it: ${message}` }),
        0,
      );
      return true;
    }
    this.#notTaken = { id, words: message };
    if (effect === "none") {
      // A failed resend does not mean that the first send failed. Requeuing the job could run it twice.
      if (first) this.#takeBack(id);
      // The wrapper may still be draining for a save that was called off. Repeating the admit costs nothing.
      // Only while the gate is open: a drain that began meanwhile must stand.
      if (this.admitting()?.generation === lease.generation) {
        await bounded(clock, policy.observeMs, (bound) => wrapper.admit(bound));
      }
    }
    return false;
  }

  /** Puts the job back into the queue. A job that was cancelled meanwhile ends instead, and so does one whose session has ended. */
  #takeBack(id: JobId): void {
    this.#state.writeWithAlarm(() => {
      const ending = this.#jobs.get(id)?.ending ?? null;
      if (ending !== null) return this.#settleAs(id, ending);
      this.#jobs.takeBack(id);
      // The end of the session emptied a queue in which this one was not.
      if (this.#state.session?.desired.type === "terminated") this.#jobs.dropQueue(this.#ports.clock.now());
    });
  }

  /** The job can never be sent, and must not hold up the jobs behind it. */
  #settleUnreadable(id: JobId): void {
    this.#storeEnd(
      id,
      resultWithoutRun("failed", this.#ports.clock.now(), {
        code: "refused",
        message: "Its record cannot be read, so it was never handed over.",
      }),
      0,
    );
  }

  /** Ends a job of which nothing ran, or nothing is known. */
  #settleAs(id: JobId, state: "cancelled" | "interrupted"): void {
    this.#jobs.settle(id, resultWithoutRun(state, this.#ports.clock.now(), null), null);
  }

  /** Stores what a renewal reported about jobs. All at once, in one bound: slow details must not delay the next renewal. */
  async learnAll(lease: LeaseIdentity, reports: readonly WrapperJob[]): Promise<void> {
    await Promise.all(reports.map((report) => this.#learn(lease, report)));
  }

  /** `begins`: it has just been handed over, so that it runs is activity. */
  async #learn(lease: LeaseIdentity, report: WrapperJob, begins = false): Promise<void> {
    const id = report.id as JobId;
    const job = this.#jobs.get(id);
    if (job === null || job.generation !== lease.generation) return;
    if (isSettled(job)) {
      // Settled as ended before its hand-over arrived: it has no business to run.
      if (report.state === "running" && job.ending !== null) await this.#endStray(lease, id, job.ending);
      return;
    }
    const startedAt = this.#ports.clock.now() - report.started_ago_ms;
    if (report.state === "running") {
      if (job.state !== "sent") return;
      if (begins) {
        this.#state.dispatch({ type: "activityNoted", activeJobs: this.#active() }, "client", (activity) => {
          this.#jobs.setRunning(id, startedAt, activity);
          return true;
        });
      } else {
        this.#jobs.setRunning(id, startedAt, null);
        this.#state.rearmAndNotify();
      }
      return;
    }
    const detail = await this.#detail(lease, id);
    if (detail === null && !this.#outputMissing.has(id)) {
      // Try once more for the last output at the next report. After that, store the end without it.
      this.#outputMissing.add(id);
      return;
    }
    this.#outputMissing.delete(id);
    this.#settle(lease, detail ?? { ...report, tail_base64: "", tail_offset: 0 });
  }

  async #endStray(lease: LeaseIdentity, id: JobId, as: "cancelled" | "interrupted"): Promise<void> {
    const wrapper = this.wrapperOf(lease);
    const { clock, policy } = this.#ports;
    if (wrapper !== null)
      await bounded(clock, policy.jobGraceMs + policy.observeMs, (bound) => wrapper.endJob(id, as, bound));
  }

  /** null: not known. Answers when the job has ended, or after `waitMs`. */
  async #detail(lease: LeaseIdentity, id: JobId, waitMs = 0): Promise<WrapperJobDetail | null> {
    const wrapper = this.wrapperOf(lease);
    if (wrapper === null) return null;
    const { clock, policy } = this.#ports;
    const answer = await bounded(clock, policy.observeMs, (bound) => wrapper.job(id, tailBytes, bound, waitMs));
    return answer !== timedOut && answer.ok ? answer.value : null;
  }

  #settle(lease: LeaseIdentity, detail: WrapperJobDetail): void {
    const id = detail.id as JobId;
    const job = this.#jobs.get(id);
    if (job === null || isSettled(job) || job.generation !== lease.generation || detail.state === "running") return;
    const result = resultOf(detail, this.#ports.clock.now());
    this.#storeEnd(id, result, result.endedAt ?? 0);
    this.#outputMissing.delete(id);
  }

  /**
   * Stores the end together with the activity it leaves, in the job's row. `at`: when the job ended, by the sandbox: the idle clock
   * counts from there, however late the report is. Also wakes the requests that wait for the job.
   */
  #storeEnd(id: JobId, result: JobResult, at: number): void {
    this.#state.dispatch({ type: "activityNoted", activeJobs: this.#active(id), at }, "sandbox", (activity) => {
      this.#jobs.settle(id, result, activity);
      return true;
    });
  }

  /** Asks the wrapper about one job, which answers at its end or after `waitMs`, and stores the answer. */
  async refresh(id: JobId, waitMs = 0): Promise<void> {
    const job = this.#jobs.get(id);
    const lease = this.#state.session?.newest;
    if (job === null || isSettled(job) || job.state === "queued") return;
    if (lease?.phase !== "held" || lease.generation !== job.generation) return;
    const detail = await this.#detail(lease, id, waitMs);
    if (detail === null) return;
    if (detail.state === "running") this.#jobs.setRunning(id, this.#ports.clock.now() - detail.started_ago_ms, null);
    else this.#settle(lease, detail);
  }

  /**
   * Ends running jobs and stores their results: before a stop (within the time that the stop attempt can spare), and for an
   * interrupt or a cancel. Best effort: a job whose wrapper does not answer is settled when its lease closes.
   */
  async end(
    lease: LeaseIdentity,
    ids: readonly JobId[],
    as: "cancelled" | "interrupted",
    timeoutMs: number,
  ): Promise<void> {
    const wrapper = this.wrapperOf(lease);
    if (wrapper === null || timeoutMs <= 0) return;
    const { clock } = this.#ports;
    for (const id of ids) this.#endingNow.add(id);
    try {
      await bounded(clock, timeoutMs, (bound) =>
        Promise.all(
          ids.map(async (id) => {
            const answer = await wrapper.endJob(id, as, bound);
            if (!answer.ok) {
              // The job never arrived, so there is nothing to end. A job whose send is under way is asked about again.
              if (answer.failure.code === "not_found" && !this.#sending.has(id)) {
                this.#settleAs(id, as);
                this.#state.rearmAndNotify();
              }
              return;
            }
            const detail = await wrapper.job(id, tailBytes, bound);
            this.#settle(lease, detail.ok ? detail.value : { ...answer.value, tail_base64: "", tail_offset: 0 });
          }),
        ),
      );
    } catch (error) {
      // An end that could not be stored is learned again: the intent to end the jobs stays stored.
      this.#ports.logger.error("job not settled", { error: String(error) });
    } finally {
      for (const id of ids) this.#endingNow.delete(id);
    }
  }

  handedTo(lease: LeaseIdentity): readonly JobId[] {
    return this.#jobs
      .open()
      .filter((job) => job.state !== "queued" && job.generation === lease.generation)
      .map((job) => job.id);
  }

  /** `but`: does not count any more. */
  #active(but: JobId | null = null): number {
    return this.#jobs.open().filter((job) => job.state !== "queued" && job.id !== but).length;
  }
}
