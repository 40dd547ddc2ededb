/**
 * Delivers a session's jobs to its wrapper. A job runs at most once: the wrapper knows jobs by id, so a send whose answer was lost is
 * repeated safely, and a job that a lost sandbox had accepted becomes `lost`. It never runs again without a request.
 */
import { stillAhead } from "../../domain/rules/instants.ts";
import type { Generation, JobId } from "../../domain/state/ids.ts";
import type { Held } from "../../domain/state/lease.ts";
import type { WrapperJobOrder } from "../../protocol/sandbox/wrapper.ts";
import { bounded, timedOut } from "../../calls/bounded-call.ts";
import type { JobResults } from "./job-results.ts";
import type { JobStore } from "./job-store.ts";
import type { Job, OpenJob } from "./job-row.ts";
import { orderOf, resultWithoutRun } from "./job-wire.ts";
import type { SessionPorts } from "../ports.ts";
import type { JobSecrets, SessionSecrets } from "../records/secrets.ts";
import type { SessionState } from "../session-state.ts";

/** Refusals that a second send would meet again. */
const refusesForGood: ReadonlySet<string> = new Set(["invalid", "unsupported"]);

export type HeldBackBy =
  | { readonly type: "turn" }
  /** Its env or stdin cannot be decrypted. */
  | { readonly type: "sealed" }
  | { readonly type: "not_taken"; readonly words: string };

export class JobDelivery {
  readonly #ports: SessionPorts;
  readonly #state: SessionState;
  readonly #jobs: JobStore;
  readonly #secrets: SessionSecrets;
  readonly #results: JobResults;
  /** After a delivery that failed: no further one before this instant. */
  #retryAt = 0;
  /** Jobs that were added as handed over and have not been sent yet, in this incarnation. After another one they may have been. */
  readonly #unsent = new Set<JobId>();
  #delivering = false;
  /** Why the wrapper did not take a job, until it takes one. */
  #notTaken: { readonly id: JobId; readonly words: string } | null = null;
  /** Jobs whose secrets could not be decrypted: they wait for the next incarnation, which may have the key. */
  readonly #sealed = new Set<JobId>();

  constructor(ports: SessionPorts, state: SessionState, jobs: JobStore, secrets: SessionSecrets, results: JobResults) {
    this.#ports = ports;
    this.#state = state;
    this.#jobs = jobs;
    this.#secrets = secrets;
    this.#results = results;
  }

  /** Another session begins in this object. */
  reset(): void {
    this.#retryAt = 0;
    this.#notTaken = null;
    this.#sealed.clear();
    this.#unsent.clear();
    this.#results.reset();
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
    return job.ending !== null && job.state !== "queued" && !this.#results.isEnding(job.id);
  }

  /** Jobs with a stored intent to end and no known end: after a crash before the signal, or a lost reply. */
  #unended(): readonly OpenJob[] {
    return this.#jobs.open().filter((job) => this.#mustEnd(job));
  }

  /** A job whose send was not confirmed comes first (unless it is to end anyway), then the oldest queued one, while fewer than the limit run. */
  #deliverable(): OpenJob | null {
    const open = this.#jobs.open().filter((job) => !this.#sealed.has(job.id));
    const unconfirmed = open.find(
      (job) => job.state === "sent" && job.ending === null && !this.#results.sending.has(job.id),
    );
    if (unconfirmed !== undefined) return unconfirmed;
    return this.#results.active() >= this.#ports.policy.maxActiveJobs
      ? null
      : (open.find((job) => job.state === "queued") ?? null);
  }

  /** Jobs wait because the limit is reached. Only the wrapper knows whether one has ended. */
  #queueIsBlocked(): boolean {
    return (
      this.#results.active() >= this.#ports.policy.maxActiveJobs &&
      this.#jobs.open().some((job) => job.state === "queued")
    );
  }

  /**
   * The generation to which a newly added job is handed at once, so that storing the job is its hand-over too. null: other jobs
   * come first, or nothing takes jobs now. The caller that adds the job calls `added`.
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

  async #endUnended(): Promise<void> {
    const lease = this.admitting();
    const { policy } = this.#ports;
    if (lease === null) return;
    for (const as of ["cancelled", "interrupted"] as const) {
      const ids = this.#unended().flatMap((job) => (job.ending === as ? [job.id] : []));
      if (ids.length > 0) await this.#results.end(lease, ids, as, policy.jobGraceMs + policy.observeMs);
    }
  }

  async #lookForPlaces(): Promise<void> {
    const running = this.#jobs.open().filter((job) => job.state === "running");
    await Promise.all(running.map((job) => this.#results.refresh(job.id)));
  }

  /** false: try again later. `first`: the job was never sent before. */
  async #send(lease: Held, order: WrapperJobOrder, first: boolean): Promise<boolean> {
    const wrapper = this.#results.wrapperOf(lease);
    if (wrapper === null) return false;
    const { clock, policy } = this.#ports;
    const id = order.id as JobId;
    this.#results.sending.add(id);
    const call = bounded(clock, policy.observeMs, (bound) => wrapper.startJob(order, bound));
    const answer = await call.finally(() => this.#results.sending.delete(id));
    // The lease may have ended meanwhile. Its jobs were settled then, and settling them again changes nothing.
    if (answer === timedOut) return false;
    if (answer.ok) {
      this.#notTaken = null;
      // The idle clock counts running jobs, not tries to send one. The end of a job is noted by its own event.
      await this.#results.learn(lease, answer.value, true);
      return true;
    }
    const { code, effect, message } = answer.failure;
    if (refusesForGood.has(code)) {
      // It never ran, and the request itself was counted as activity already.
      this.#results.storeEnd(
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
      if (ending !== null) return this.#results.settleAs(id, ending);
      this.#jobs.takeBack(id);
      // The end of the session emptied a queue in which this one was not.
      if (this.#state.session?.desired.type === "terminated") this.#jobs.dropQueue(this.#ports.clock.now());
    });
  }

  /** The job can never be sent, and must not hold up the jobs behind it. */
  #settleUnreadable(id: JobId): void {
    this.#results.storeEnd(
      id,
      resultWithoutRun("failed", this.#ports.clock.now(), {
        code: "refused",
        message: "Its record cannot be read, so it was never handed over.",
      }),
      0,
    );
  }
}
