/**
 * A session's jobs on their way to its wrapper and back. A job is handed over at most once in effect: the wrapper knows it
 * by id, so an answer that was lost is asked for again (LEA-14), and a job accepted by a sandbox that is gone is `lost`,
 * never run again unasked (FEN-6).
 */
import type { JobId } from "../domain/ids.ts";
import type { Held, LeaseIdentity } from "../domain/lease.ts";
import type { WrapperClient } from "../sandbox/agent-sandbox.ts";
import type { WrapperJob, WrapperJobDetail, WrapperJobOrder } from "../protocol/wrapper.ts";
import { bounded, timedOut } from "./bounded.ts";
import { isSettled, tailBytes, type Job, type JobStore, type OpenJob } from "./job-store.ts";
import { orderOf, refused, resultOf } from "./job-wire.ts";
import type { SessionPorts } from "./ports.ts";
import type { JobSecrets, SessionSecrets } from "./secrets.ts";
import type { SessionState } from "./session-state.ts";

export class JobRunner {
  readonly #ports: SessionPorts;
  readonly #state: SessionState;
  readonly #jobs: JobStore;
  readonly #secrets: SessionSecrets;
  /** Not before this instant again, after a delivery that did not get through. */
  #retryAt = 0;
  readonly #endingNow = new Set<JobId>();
  /** A hand-over is under way: what the wrapper says it does not know may arrive yet. */
  readonly #sending = new Set<JobId>();
  /** Ended, as their wrapper said, but their output could not be read yet. */
  readonly #untold = new Set<JobId>();
  /** Their secrets could not be opened: they wait for another life of this object, which may have the key. */
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
    this.#untold.clear();
    this.#sealed.clear();
  }

  wrapperOf(lease: LeaseIdentity): WrapperClient | null {
    const provider = this.#ports.providers.get(lease.provider);
    const session = this.#state.session;
    if (provider === null || session === null) return null;
    const { generation, sandboxId, container, instanceId, host, secret } = lease;
    const instance = { sessionId: session.id, sandboxId, generation, instanceId, host, secret };
    return provider.wrapper(container === undefined ? instance : { ...instance, container });
  }

  /** The lease that takes jobs now. */
  admitting(): Held | null {
    const lease = this.#state.session?.newest;
    return lease?.phase === "held" && lease.gate.type === "open" && this.#state.mode.type === "readable" ? lease : null;
  }

  /** Something could be handed over, or ended, now. */
  due(now: number): boolean {
    if (this.admitting() === null || this.#resting(now)) return false;
    return this.#deliverable() !== null || this.#unended().length > 0 || this.#queueIsBlocked();
  }

  /** When to look again by ourselves; null: a change will say so. */
  wakeAt(now: number): number | null {
    if (this.admitting() === null) return null;
    const waiting = this.#jobs
      .open()
      .some((job) => (job.state !== "running" && !this.#sealed.has(job.id)) || this.#mustEnd(job));
    return waiting ? Math.max(this.#retryAt, now + this.#ports.policy.queuePollMs) : null;
  }

  /** A rest that is longer than any we take was begun before the clock went back. */
  #resting(now: number): boolean {
    return now < this.#retryAt && this.#retryAt <= now + this.#ports.policy.queuePollMs;
  }

  #mustEnd(job: OpenJob): boolean {
    return job.ending !== null && job.state !== "queued" && !this.#endingNow.has(job.id);
  }

  /** Asked to end, and not known to have ended: after a crash between the intent and the signal, or a lost reply. */
  #unended(): readonly OpenJob[] {
    return this.#jobs.open().filter((job) => this.#mustEnd(job));
  }

  /** An unconfirmed one first (unless it is to end anyway); then the oldest queued, while there is a free place. */
  #deliverable(): OpenJob | null {
    const open = this.#jobs.open().filter((job) => !this.#sealed.has(job.id));
    const unconfirmed = open.find((job) => job.state === "sent" && job.ending === null && !this.#sending.has(job.id));
    if (unconfirmed !== undefined) return unconfirmed;
    return this.#active() >= this.#ports.policy.maxActiveJobs
      ? null
      : (open.find((job) => job.state === "queued") ?? null);
  }

  /** Jobs wait for a place: whether one has become free only the wrapper knows. */
  #queueIsBlocked(): boolean {
    return (
      this.#active() >= this.#ports.policy.maxActiveJobs && this.#jobs.open().some((job) => job.state === "queued")
    );
  }

  /** Hands over what can be handed over. One call at a time: the engine's lane sees to that. */
  async deliver(): Promise<void> {
    await this.#endUnended();
    if (this.#queueIsBlocked()) await this.#lookForPlaces();
    for (;;) {
      const { clock, policy } = this.#ports;
      const open = this.#deliverable();
      const job = open === null ? null : this.#jobs.get(open.id);
      if (job === null || this.admitting() === null) break;
      const secrets = await this.#open(job);
      if (secrets === null) continue;
      // Opening them took its time: the job may have been called off, its lease may be over (FEN-2).
      const lease = this.admitting();
      const still = this.#deliverable();
      if (lease === null || still?.id !== job.id || still.state !== job.state) continue;
      const first = job.state === "queued";
      // Durable first: were it forgotten that it was sent, it could be sent to a successor as well.
      if (first) this.#state.alongside(() => this.#jobs.hand(job.id, lease.generation));
      if (!(await this.#send(lease, orderOf(job, secrets), first))) {
        this.#retryAt = clock.now() + policy.queuePollMs;
        return;
      }
    }
    // Whatever is due still is looked at again in a while, not at once: it was not to be had now.
    this.#jobs.forget();
    const now = this.#ports.clock.now();
    if (this.due(now)) this.#retryAt = now + this.#ports.policy.queuePollMs;
  }

  /** null: it cannot be handed over as it was asked for. It keeps its place and what it was given, and the view says why it waits. */
  async #open(job: Job): Promise<JobSecrets | null> {
    const session = this.#state.session;
    if (job.secrets === null || session === null) return {};
    const secrets = await this.#secrets.job(session.id, job);
    if (secrets.ok) return secrets.value;
    this.#ports.logger.error("the secrets of a job cannot be read", { job: job.id, why: secrets.why });
    this.#sealed.add(job.id);
    this.#state.touched();
    return null;
  }

  /** It waits because its env or stdin cannot be opened. */
  isSealed(id: JobId): boolean {
    return this.#sealed.has(id);
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

  /** false: not now. `first`: it was never sent before. */
  async #send(lease: Held, order: WrapperJobOrder, first: boolean): Promise<boolean> {
    const wrapper = this.wrapperOf(lease);
    if (wrapper === null) return false;
    const { clock, policy } = this.#ports;
    const id = order.id as JobId;
    this.#sending.add(id);
    const call = bounded(clock, policy.observeMs, (bound) => wrapper.startJob(order, bound));
    const answer = await call.finally(() => this.#sending.delete(id));
    // The lease may have ended meanwhile: its jobs were settled then, and settling again changes nothing (FEN-2).
    if (answer === timedOut) return false;
    if (answer.ok) {
      await this.#learn(lease, answer.value);
      // It runs: that is what the idle clock counts, not our own tries to hand it over.
      this.#state.dispatch({ type: "activityNoted", activeJobs: this.#active() }, "client");
      return true;
    }
    const { code, effect } = answer.failure;
    if (code === "invalid" || code === "unsupported") {
      this.#jobs.settle(id, refused(clock.now()));
      this.#state.dispatch({ type: "activityNoted", activeJobs: this.#active() }, "sandbox");
      return true;
    }
    if (effect === "none") {
      // That nothing came of a repeat says nothing of the first: taken back, it could run again on a successor (FEN-6).
      if (first) this.#takeBack(id);
      // It may still be draining for a save that was called off; saying so again costs nothing.
      // Only while jobs are wanted: a drain that began meanwhile must stand (DEL-12).
      if (this.admitting()?.generation === lease.generation) {
        await bounded(clock, policy.observeMs, (bound) => wrapper.admit(bound));
      }
    }
    return false;
  }

  /** Back into the queue, unless it was cancelled meanwhile: then that is its end. */
  #takeBack(id: JobId): void {
    const ending = this.#jobs.get(id)?.ending ?? null;
    if (ending === null) this.#jobs.takeBack(id);
    else this.#settleAs(id, ending);
    this.#state.touched();
  }

  /** An end without anything to show for it. */
  #settleAs(id: JobId, state: "cancelled" | "interrupted"): void {
    this.#jobs.settle(id, { ...refused(this.#ports.clock.now()), state });
  }

  /** What a renewal said about jobs. All at once, in one bound: slow details must not hold up the next renewal. */
  async learnAll(lease: LeaseIdentity, reports: readonly WrapperJob[]): Promise<void> {
    await Promise.all(reports.map((report) => this.#learn(lease, report)));
  }

  async #learn(lease: LeaseIdentity, report: WrapperJob): Promise<void> {
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
      this.#jobs.setRunning(id, startedAt);
      this.#state.touched();
      return;
    }
    const detail = await this.#detail(lease, id);
    if (detail === null && !this.#untold.has(id)) {
      // Its last output is worth another try at the next report; its end is not worth losing for it.
      this.#untold.add(id);
      return;
    }
    this.#untold.delete(id);
    this.#settle(lease, detail ?? { ...report, tail_base64: "", tail_offset: 0 });
  }

  async #endStray(lease: LeaseIdentity, id: JobId, as: "cancelled" | "interrupted"): Promise<void> {
    const wrapper = this.wrapperOf(lease);
    const { clock, policy } = this.#ports;
    if (wrapper !== null)
      await bounded(clock, policy.jobGraceMs + policy.observeMs, (bound) => wrapper.endJob(id, as, bound));
  }

  async #detail(lease: LeaseIdentity, id: JobId): Promise<WrapperJobDetail | null> {
    const wrapper = this.wrapperOf(lease);
    if (wrapper === null) return null;
    const { clock, policy } = this.#ports;
    const answer = await bounded(clock, policy.observeMs, (bound) => wrapper.job(id, tailBytes, bound));
    return answer !== timedOut && answer.ok ? answer.value : null;
  }

  #settle(lease: LeaseIdentity, detail: WrapperJobDetail): void {
    const id = detail.id as JobId;
    const job = this.#jobs.get(id);
    if (job === null || isSettled(job) || job.generation !== lease.generation || detail.state === "running") return;
    this.#jobs.settle(id, resultOf(detail, this.#ports.clock.now()));
    // Also wakes whoever waits for it.
    this.#state.dispatch({ type: "activityNoted", activeJobs: this.#active() }, "sandbox");
    this.#state.touched();
  }

  /** Asks the wrapper how one job stands, and keeps what it learns. */
  async refresh(id: JobId): Promise<void> {
    const job = this.#jobs.get(id);
    const lease = this.#state.session?.newest;
    if (job === null || isSettled(job) || job.state === "queued") return;
    if (lease?.phase !== "held" || lease.generation !== job.generation) return;
    const detail = await this.#detail(lease, id);
    if (detail === null) return;
    if (detail.state === "running") this.#jobs.setRunning(id, this.#ports.clock.now() - detail.started_ago_ms);
    else this.#settle(lease, detail);
  }

  /**
   * Ends what runs and keeps its results: before a stop (bounded by what the stop attempt can spare), and for an interrupt or a
   * cancel. Best effort: what does not answer is settled when its lease closes.
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
              // Never arrived there: nothing to end. One whose hand-over is still under way is asked for again.
              if (answer.failure.code === "not_found" && !this.#sending.has(id)) {
                this.#settleAs(id, as);
                this.#state.touched();
              }
              return;
            }
            const detail = await wrapper.job(id, tailBytes, bound);
            this.#settle(lease, detail.ok ? detail.value : { ...answer.value, tail_base64: "", tail_offset: 0 });
          }),
        ),
      );
    } catch (error) {
      // An end that could not be written down is learned again; the intent to end them stays.
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

  #active(): number {
    return this.#jobs.open().filter((job) => job.state !== "queued").length;
  }
}
