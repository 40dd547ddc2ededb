/**
 * All jobs of an instance: admission, idempotency by id, bounds. A job id runs once in an instance's life, also when
 * the job itself has been forgotten (FEN-7).
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { WrapperBoot, WrapperError, WrapperJobOrder } from "../../src/protocol/wrapper.ts";
import type { Log } from "./bounded-log.ts";
import { digestOf } from "./digest.ts";
import type { Fence } from "./fence.ts";
import type { TellGuardian } from "./guardian-link.ts";
import { jobDirectory } from "./job-directory.ts";
import { jobEnvironment } from "./job-environment.ts";
import { Job, type JobPlan, type JobVerdict } from "./job.ts";
import { jobMarker } from "./marked-environment.ts";
import { markers } from "../../src/protocol/markers.ts";
import { OutputSpool } from "./output-spool.ts";
import { sharedLook } from "./shared-look.ts";
import type { SteadyClock } from "./steady-clock.ts";

/** Far above what a session admits; it bounds descriptors and processes when something goes wrong. */
const maxRunning = 64;
/** What a session keeps, too. */
const maxRemembered = 1_000;
/** Ids of forgotten jobs, some 100 bytes each. */
const maxIds = 20_000;

export interface JobTableDependencies {
  readonly boot: WrapperBoot;
  readonly clock: SteadyClock;
  readonly fence: Fence;
  readonly tell: TellGuardian;
  readonly log: Log;
}

export interface JobRefusal {
  readonly code: WrapperError["code"];
  readonly message: string;
}
export type StartAnswer =
  | { readonly type: "job"; readonly job: Job; readonly isNew: boolean }
  | { readonly type: "refused"; readonly refusal: JobRefusal };

export class JobTable {
  readonly #dependencies: JobTableDependencies;
  /** In the order of their start. */
  readonly #jobs = new Map<string, Job>();
  /** Every id ever admitted, with the digest of its order; `starting` until its job is in `#jobs`. */
  readonly #digests = new Map<string, string>();
  readonly #starting = new Map<string, Promise<StartAnswer>>();
  readonly #directory: string;
  readonly #look = sharedLook();
  #count = 0;
  #lastActiveAt: number;
  draining = false;

  constructor(dependencies: JobTableDependencies) {
    this.#dependencies = dependencies;
    this.#lastActiveAt = dependencies.clock.now();
    this.#directory = join(dependencies.boot.state_dir, "jobs");
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
  }

  get running(): number {
    let running = 0;
    for (const job of this.#jobs.values()) if (job.running) running += 1;
    // A job that is being started is in both from the moment it was made: counted once.
    for (const id of this.#starting.keys()) if (!this.#jobs.has(id)) running += 1;
    return running;
  }

  get idleMs(): number {
    return this.running > 0 ? 0 : Math.max(0, Math.round(this.#dependencies.clock.now() - this.#lastActiveAt));
  }

  all(): readonly Job[] {
    return [...this.#jobs.values()];
  }

  get(id: string): Job | null {
    return this.#jobs.get(id) ?? null;
  }

  /** Idempotent by id, also while the first start of that id is still under way. */
  async start(order: WrapperJobOrder): Promise<StartAnswer> {
    const digest = digestOf(order);
    const known = this.#digests.get(order.id);
    if (known !== undefined) return this.#again(order.id, known === digest);
    if (this.draining) return refused("draining", "No new job is admitted.");
    if (this.running >= maxRunning) return refused("too_many_jobs", `At most ${maxRunning} jobs run at once.`);
    if (this.#digests.size >= maxIds)
      return refused("too_many_jobs", `An instance runs at most ${maxIds} jobs in its life.`);
    // Taken before the first await, so that a second order of that id finds it.
    this.#digests.set(order.id, digest);
    const starting = this.#create(order, digest)
      .catch((error: unknown) => {
        // No job was made: the id is free again.
        this.#digests.delete(order.id);
        throw error;
      })
      .finally(() => this.#starting.delete(order.id));
    this.#starting.set(order.id, starting);
    return starting;
  }

  async end(job: Job, verdict: JobVerdict): Promise<void> {
    job.end(verdict, this.#dependencies.clock.now() + this.#dependencies.boot.job_grace_ms);
    await job.ended;
  }

  endAll(killAt: number): void {
    this.draining = true;
    for (const job of this.#jobs.values()) if (job.running) job.end("interrupted", killAt);
  }

  async allEnded(): Promise<void> {
    await Promise.allSettled([...this.#starting.values()]);
    await Promise.all(this.all().map((job) => job.ended));
  }

  async #again(id: string, isSame: boolean): Promise<StartAnswer> {
    if (!isSame) return refused("job_mismatch", "This job id was used with another body.");
    const starting = this.#starting.get(id);
    if (starting !== undefined) {
      const answer = await starting;
      return answer.type === "job" ? { ...answer, isNew: false } : answer;
    }
    const job = this.#jobs.get(id);
    return job === undefined
      ? refused("job_ended", "This job has ended and was forgotten.")
      : { type: "job", job, isNew: false };
  }

  async #create(order: WrapperJobOrder, digest: string): Promise<StartAnswer> {
    const { boot, clock, fence, tell, log } = this.#dependencies;
    const directory = await jobDirectory(boot.workspace_dir, order.cwd);
    if (!directory.ok) {
      // Nothing ran: a corrected order may use the id.
      this.#digests.delete(order.id);
      return refused("invalid", directory.why);
    }
    this.#count += 1;
    const stem = join(this.#directory, String(this.#count));
    const output = await OutputSpool.create(`${stem}.spool`, boot.max_output_bytes);
    const job = new Job(order.id, digest, planOf(order, boot, directory.path), output, stem, {
      clock,
      look: this.#look,
      jobGraceMs: boot.job_grace_ms,
      // A stop that began while files were opened: this job was not among those it ended.
      mayAct: () => fence.mayAct(),
      active: () => {
        this.#lastActiveAt = clock.now();
      },
      leaderStarted: (leader) => tell({ type: "jobStarted", leader }),
      leaderEnded: (leader) => tell({ type: "jobEnded", leader }),
    });
    this.#jobs.set(order.id, job);
    void job.ended.then(() => log("job ended", { job: job.id, state: job.view().state, bytes: output.totalBytes }));
    this.#forgetOldest();
    await job.started;
    log("job started", { job: job.id });
    return { type: "job", job, isNew: true };
  }

  #forgetOldest(): void {
    for (const [id, job] of this.#jobs) {
      if (this.#jobs.size <= maxRemembered) return;
      if (job.running) continue;
      this.#jobs.delete(id);
      job.output.remove();
    }
  }
}

function refused(code: WrapperError["code"], message: string): StartAnswer {
  return { type: "refused", refusal: { code, message } };
}

function planOf(order: WrapperJobOrder, boot: WrapperBoot, directory: string): JobPlan {
  const argv = order.argv ?? ["sh", "-c", order.command ?? ""];
  const environment = jobEnvironment(boot, { ...order.env, [jobMarker]: order.id });
  return {
    file: argv[0] ?? "",
    args: argv.slice(1),
    directory,
    environment,
    user: boot.job_user ?? null,
    entries: [`${markers.instance}=${boot.instance_id}`, `${jobMarker}=${order.id}`],
    stdin:
      order.stdin_open === true
        ? { type: "open", text: order.stdin ?? "" }
        : order.stdin
          ? { type: "text", text: order.stdin }
          : { type: "none" },
    timeoutMs: order.timeout_ms,
  };
}
