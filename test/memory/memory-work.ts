/** The work of one instance in the memory world: its jobs, and the steps that prepare its workspace. */
import { preparesSince } from "../../src/domain/state/wrapper-protocol.ts";
import type { BootstrapOrder } from "../../src/protocol/sandbox/workspace.ts";
import type { WrapperJobOrder } from "../../src/protocol/sandbox/wrapper.ts";
import type { LaunchOrder } from "../../src/sandbox/agent-sandbox.ts";
import { bootstrapFingerprint, MemoryBootstrap } from "./memory-bootstrap.ts";
import type { InstanceDependencies } from "./memory-instance.ts";
import { jobFingerprint, MemoryJob } from "./memory-job.ts";
import type { Birth } from "./process-table.ts";
import { answered, refused, type WrapperAnswer } from "./wrapper-answer.ts";

export interface Workplace {
  readonly order: LaunchOrder;
  readonly world: InstanceDependencies;
  readonly birth: Birth;
  /** Somebody of the instance can still see to its processes. */
  readonly supervised: () => boolean;
  /** The instance serves no more. */
  readonly isOver: () => boolean;
  /** One of its processes has ended. */
  readonly onEnded: () => void;
}

export class MemoryWork {
  readonly #place: Workplace;
  readonly #startedAt: number;
  #trafficAt = 0;
  readonly #jobs = new Map<string, MemoryJob>();
  #bootstrap: MemoryBootstrap | null = null;
  /** No new job is admitted. */
  draining = false;

  constructor(place: Workplace) {
    this.#place = place;
    this.#startedAt = place.world.queue.time;
  }

  get jobs(): readonly MemoryJob[] {
    return Array.from(this.#jobs.values());
  }

  get preparing(): boolean {
    return this.#bootstrap !== null && !this.#bootstrap.done;
  }

  get activeJobs(): number {
    return this.jobs.filter((job) => !job.ended).length;
  }

  /** Jobs and steps that have not ended. */
  get active(): readonly MemoryJob[] {
    return this.#every().filter((job) => !job.ended);
  }

  get idleMs(): number {
    if (this.active.length > 0) return 0;
    const began = Math.max(this.#startedAt, this.#trafficAt);
    const last = this.jobs.reduce((latest, job) => Math.max(latest, job.lastActivityAt), began);
    return this.#place.world.queue.time - last;
  }

  noteActivity(): void {
    this.#trafficAt = this.#place.world.queue.time;
  }

  /** `accepted` is called when the job is a new one. */
  startJob(order: WrapperJobOrder, accepted: () => void): WrapperAnswer<MemoryJob> {
    const known = this.#jobs.get(order.id);
    if (known !== undefined) {
      const same = known.fingerprint === jobFingerprint(order);
      return same ? answered(known) : refused("job_mismatch", `job ${order.id} has another body`);
    }
    if (this.preparing) return refused("preparing", "no job is taken before the workspace is prepared");
    if (this.draining) return refused("draining", "no new job is admitted");
    if (this.activeJobs >= this.#place.world.maxJobs) return refused("too_many_jobs", "too many jobs run");
    const job = this.#start(order, () => this.#place.onEnded());
    this.#jobs.set(order.id, job);
    accepted();
    return answered(job);
  }

  prepare(order: BootstrapOrder): WrapperAnswer<MemoryBootstrap> {
    const { world, order: launch, isOver, onEnded } = this.#place;
    if (world.protocol < preparesSince) return refused("not_found", "no such route");
    if (this.#bootstrap !== null) {
      const same = this.#bootstrap.fingerprint === bootstrapFingerprint(order);
      return same ? answered(this.#bootstrap) : refused("job_mismatch", "another workspace was ordered before");
    }
    this.#bootstrap = new MemoryBootstrap(order, {
      env: launch.env,
      start: (step, ended) =>
        this.#start(step, () => {
          ended();
          onEnded();
        }),
      changed: () => world.changed(),
      isOver,
    });
    return answered(this.#bootstrap);
  }

  job(id: string): WrapperAnswer<MemoryJob> {
    const job = this.#jobs.get(id);
    return job === undefined ? refused("not_found", `no job ${id}`) : answered(job);
  }

  /** TERM, the grace, KILL, to all of it. */
  end(): void {
    for (const job of this.active) job.end(null);
  }

  /** As the real one: what ended jobs kept running changes no file while it is saved. */
  holdKept(held: boolean): void {
    for (const job of this.#every()) job.holdKept(held);
  }

  /** Everything that runs for jobs, ended or not. */
  holdAll(held: boolean): void {
    for (const job of this.#every()) job.holdAll(held);
  }

  thaw(): void {
    for (const job of this.#every()) job.thaw();
  }

  reapChildren(): void {
    for (const job of this.#every()) job.reapChildren();
  }

  #every(): readonly MemoryJob[] {
    return [...this.jobs, ...(this.#bootstrap?.jobs ?? [])];
  }

  #start(order: WrapperJobOrder, onEnded: () => void): MemoryJob {
    const { order: launch, world, birth, supervised } = this.#place;
    const { queue, processes, keepOutputBytes, files, repositories } = world;
    return new MemoryJob(order, {
      queue,
      processes,
      birth,
      env: launch.env,
      files,
      repositories,
      keepBytes: keepOutputBytes,
      graceMs: launch.jobGraceMs,
      supervised,
      onEnded,
    });
  }
}
