/**
 * What becomes of a session's jobs in its wrapper: learned from renewals, asked for by those who wait, or brought about by ending
 * them. Each end is stored once, with the activity that it leaves.
 */
import type { Generation, JobId } from "../../domain/state/ids.ts";
import type { LeaseIdentity } from "../../domain/state/lease.ts";
import type { WrapperClient } from "../../sandbox/agent-sandbox.ts";
import type { WrapperJob, WrapperJobDetail } from "../../protocol/sandbox/wrapper.ts";
import { bounded, timedOut } from "../../calls/bounded-call.ts";
import { type JobStore, tailBytes } from "./job-store.ts";
import { isSettled, type JobResult } from "./job-row.ts";
import { resultOf, resultWithoutRun } from "./job-wire.ts";
import type { SessionPorts } from "../ports.ts";
import type { SessionState } from "../session-state.ts";
import { watchedWrapper } from "./watched-wrapper.ts";

/** An older wrapper answers at once although the job runs, and a lost one does not answer: either is asked again after this. */
const askAgainMs = 250;

export class JobResults {
  readonly #ports: SessionPorts;
  readonly #state: SessionState;
  readonly #jobs: JobStore;
  readonly #endingNow = new Set<JobId>();
  /** Jobs whose send is under way: the wrapper may not know them yet. */
  readonly sending = new Set<JobId>();
  /** Jobs that ended, by their wrapper's report, but whose output could not be read yet. */
  readonly #outputMissing = new Set<JobId>();
  /** How many requests wait for the end of each job. While there are any, one question to its wrapper is under way. */
  readonly #awaited = new Map<JobId, number>();
  readonly #asking = new Set<JobId>();

  constructor(ports: SessionPorts, state: SessionState, jobs: JobStore) {
    this.#ports = ports;
    this.#state = state;
    this.#jobs = jobs;
  }

  /** Another session begins in this object. */
  reset(): void {
    this.#outputMissing.clear();
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

  /** Stores what a renewal reported about jobs. All at once, in one bound: slow details must not delay the next renewal. */
  async learnAll(lease: LeaseIdentity, reports: readonly WrapperJob[]): Promise<void> {
    await Promise.all(reports.map((report) => this.learn(lease, report)));
  }

  /** `begins`: it has just been handed over, so that it runs is activity. */
  async learn(lease: LeaseIdentity, report: WrapperJob, begins = false): Promise<void> {
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
        this.#state.dispatch({ type: "activityNoted", activeJobs: this.active() }, "client", (activity) => {
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
    this.storeEnd(id, result, result.endedAt ?? 0);
    this.#outputMissing.delete(id);
  }

  /**
   * Stores the end together with the activity it leaves, in the job's row. `at`: when the job ended, by the sandbox: the idle clock
   * counts from there, however late the report is. Also wakes the requests that wait for the job.
   */
  storeEnd(id: JobId, result: JobResult, at: number): void {
    this.#state.dispatch({ type: "activityNoted", activeJobs: this.active(id), at }, "sandbox", (activity) => {
      this.#jobs.settle(id, result, activity);
      return true;
    });
  }

  /** Ends a job of which nothing ran, or nothing is known. */
  settleAs(id: JobId, state: "cancelled" | "interrupted"): void {
    this.#jobs.settle(id, resultWithoutRun(state, this.#ports.clock.now(), null), null);
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
              if (answer.failure.code === "not_found" && !this.sending.has(id)) {
                this.settleAs(id, as);
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

  /** Its end is being brought about right now. */
  isEnding(id: JobId): boolean {
    return this.#endingNow.has(id);
  }

  handedTo(lease: LeaseIdentity): readonly JobId[] {
    return this.#jobs
      .open()
      .filter((job) => job.state !== "queued" && job.generation === lease.generation)
      .map((job) => job.id);
  }

  /** How many are in the sandbox, or on their way. `but`: does not count any more. */
  active(but: JobId | null = null): number {
    return this.#jobs.open().filter((job) => job.state !== "queued" && job.id !== but).length;
  }
}
