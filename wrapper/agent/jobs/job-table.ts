/**
 * All jobs of an instance: admission, idempotency by id, bounds. A job id runs once in an instance's life, also when
 * the job itself has been forgotten.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { WrapperBoot, WrapperError, WrapperJobOrder } from "../../../src/protocol/sandbox/wrapper.ts";
import type { Log } from "../bounded-log.ts";
import { digestOf } from "./digest.ts";
import type { Fence } from "../fence.ts";
import type { TellGuardian } from "../guardian/guardian-link.ts";
import { jobDirectory, makeWorkspaceAgain } from "./job-directory.ts";
import { jobEnvironment } from "./job-environment.ts";
import { Job } from "./job.ts";
import type { JobPlan, JobVerdict } from "./job-plan.ts";
import { jobMarker } from "../../proc/marked-environment.ts";
import { markers } from "../../../src/protocol/sandbox/markers.ts";
import type { OutputStore } from "./output-store.ts";
import { sharedLook } from "../../proc/shared-look.ts";
import { inScript } from "../script-terminal.ts";
import type { SteadyClock } from "../steady-clock.ts";

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
  readonly outputs: OutputStore;
  /** In front of every command line (job-proof.ts); null: nothing. */
  readonly apart: readonly string[] | null;
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
  /** Every job that was made and not forgotten, in the order in which they were made. */
  readonly #jobs = new Map<string, Job>();
  /** The digest of the order of every admitted id, also of jobs that were forgotten. */
  readonly #digests = new Map<string, string>();
  readonly #starting = new Map<string, Promise<StartAnswer>>();
  readonly #directory: string;
  readonly #look = sharedLook();
  #count = 0;
  #lastActiveAt: number;
  #killAt = Number.POSITIVE_INFINITY;
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
    if (order.keep === true && this.#keeping() >= maxRunning)
      return refused("too_many_jobs", `At most ${maxRunning} ended jobs keep processes.`);
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
    this.#killAt = killAt;
    for (const job of this.#jobs.values()) if (job.running) job.end("interrupted", killAt);
  }

  async allEnded(): Promise<void> {
    await Promise.allSettled([...this.#starting.values()]);
    await Promise.all(this.all().map((job) => job.ended));
    const keeping = this.all().filter((job) => job.keepsProcesses);
    await Promise.all(keeping.map((job) => job.endKept(this.#killAt)));
  }

  /** What ended jobs kept running is stopped while files are saved around it, and goes on when the sandbox does. */
  async holdKept(held: boolean): Promise<void> {
    await Promise.all(this.all().flatMap((job) => (job.keepsProcesses ? [job.holdKept(held)] : [])));
  }

  /** Every process of every job is stopped where it is, or goes on. false: some may not. */
  async hold(held: boolean): Promise<boolean> {
    const holding = this.all().filter((job) => job.running || job.keepsProcesses);
    const done = await Promise.all(holding.map((job) => job.holdKept(held)));
    return done.every(Boolean);
  }

  #keeping(): number {
    return this.all().filter((job) => job.keepsProcesses).length;
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
    const { boot, clock, fence, tell, log, outputs } = this.#dependencies;
    this.#count += 1;
    const stem = join(this.#directory, String(this.#count));
    const output = await outputs.create(`${stem}.spool`);
    const job = new Job(order.id, digest, planOf(order, this.#dependencies), output, stem, {
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
      // A job may have removed it; what comes next, a save or another job, finds an empty one.
      cleared: () => makeWorkspaceAgain(boot).catch(() => {}),
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
      if (job.running || job.keepsProcesses) continue;
      this.#jobs.delete(id);
      job.output.remove();
    }
  }
}

function refused(code: WrapperError["code"], message: string): StartAnswer {
  return { type: "refused", refusal: { code, message } };
}

/** As most terminals begin. */
const jobTerminal = { cols: 80, rows: 24 };

function planOf(order: WrapperJobOrder, { boot, apart }: Pick<JobTableDependencies, "boot" | "apart">): JobPlan {
  const program = order.argv ?? ["sh", "-c", order.command ?? ""];
  const argv = order.tty === true ? inScript(program, jobTerminal) : program;
  const environment = jobEnvironment(boot, {
    // `script` starts the shell that is named here.
    ...(order.tty === true ? { TERM: "xterm-256color", SHELL: "/bin/sh" } : {}),
    ...order.env,
    [jobMarker]: order.id,
  });
  return {
    file: argv[0] ?? "",
    args: argv.slice(1),
    directory: () => jobDirectory(boot, order.cwd),
    environment,
    user: boot.job_user ?? null,
    ...(apart === null ? {} : { apart }),
    entries: [`${markers.instance}=${boot.instance_id}`, `${jobMarker}=${order.id}`],
    stdin:
      order.stdin_open === true
        ? { type: "open", text: order.stdin ?? "" }
        : order.stdin
          ? { type: "text", text: order.stdin }
          : { type: "none" },
    keep: order.keep === true,
    timeoutMs: order.timeout_ms,
  };
}
