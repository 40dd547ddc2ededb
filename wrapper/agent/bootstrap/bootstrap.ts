/**
 * Prepares the workspace of an instance, once: the steps of one order, one after the other, each a process group with a
 * time limit of its own that leaves nothing behind. It owns the progress and answers how far it is.
 *
 * It runs only while the instance may act, and its processes end with the instance like any job. Its answers hold no
 * value of the environment it was given: the whole output stays in the state directory.
 */
import { statfs } from "node:fs/promises";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { longestOf, redacted, secretsIn } from "../../../src/protocol/sandbox/redaction.ts";
import {
  lastOutput,
  type BootstrapOrder,
  type BootstrapReply,
  type BootstrapStep,
} from "../../../src/protocol/sandbox/workspace.ts";
import type { WrapperBoot, WrapperJob } from "../../../src/protocol/sandbox/wrapper.ts";
import type { Log } from "../bounded-log.ts";
import { plannedSteps, type PlannedStep } from "./bootstrap-steps.ts";
import { digestOf } from "../jobs/digest.ts";
import type { Fence } from "../fence.ts";
import type { TellGuardian } from "../guardian/guardian-link.ts";
import { jobEnvironment } from "../jobs/job-environment.ts";
import { Job } from "../jobs/job.ts";
import type { JobDependencies } from "../jobs/job-plan.ts";
import { markers } from "../../../src/protocol/sandbox/markers.ts";
import { jobMarker } from "../../proc/marked-environment.ts";
import type { OutputSpool } from "../jobs/output-spool.ts";
import type { OutputStore } from "../jobs/output-store.ts";
import { jobDirectory, makeWorkspaceAgain } from "../jobs/job-directory.ts";
import { sharedLook } from "../../proc/shared-look.ts";
import type { SteadyClock } from "../steady-clock.ts";
import { errnoOf } from "../../proc/errno.ts";

export interface BootstrapDependencies {
  readonly boot: WrapperBoot;
  readonly clock: SteadyClock;
  readonly fence: Fence;
  readonly tell: TellGuardian;
  readonly log: Log;
  readonly outputs: OutputStore;
  /** In front of every command line (jobs/job-proof.ts); null: nothing. */
  readonly apart: readonly string[] | null;
}

/** Shown of a step. Twice that is read, so that masking still leaves as much. */
const shownBytes = 8_192;
/** A file system with less than this has no room for anything. */
const fullBelowBytes = 1_024 * 1_024;
interface Begun {
  readonly name: string;
  readonly startedAt: number;
  /** null: it could not even be begun (no room for its output, say). */
  readonly job: Job | null;
  end: StepEnd | null;
}

interface StepEnd {
  readonly at: number;
  readonly state: "succeeded" | "failed" | "timed_out";
  readonly exitCode: number | null;
  readonly diskFull: boolean;
  readonly lastOutput: string;
}

export class Bootstrap {
  readonly #dependencies: BootstrapDependencies;
  readonly #look = sharedLook();
  readonly #begun: Begun[] = [];
  readonly #waiting = new Set<() => void>();
  #digest: string | null = null;
  #secrets: readonly string[] = [];
  #version = 1;
  #planned = 0;
  #stopped: number | null = null;
  #running: Promise<void> | null = null;

  constructor(dependencies: BootstrapDependencies) {
    this.#dependencies = dependencies;
  }

  /** True from the order until its last step has ended well; until then no job is taken. A failed step never ends well. */
  get preparing(): boolean {
    if (this.#digest === null) return false;
    return !(this.#begun.length === this.#planned && this.#begun.every((step) => step.end?.state === "succeeded"));
  }

  /** A step runs, or is about to. */
  get busy(): boolean {
    return this.#running !== null;
  }

  /** false: another order was given before. */
  start(order: BootstrapOrder): boolean {
    const digest = digestOf(order);
    if (this.#digest !== null) return this.#digest === digest;
    this.#digest = digest;
    this.#secrets = secretsIn({ ...this.#dependencies.boot.env, ...order.env }, order.git?.authorization);
    const steps = plannedSteps(order);
    this.#planned = steps.length;
    this.#running = this.#run(steps, order)
      .catch((error: unknown) => {
        this.#dependencies.log("bootstrap failed", { error: String(error instanceof Error ? error.message : error) });
      })
      .finally(() => {
        this.#running = null;
        this.#changed();
      });
    return true;
  }

  /** As soon as there is more than `seen`, or after `waitMs`. */
  async progress(seen: number, waitMs: number): Promise<BootstrapReply> {
    if (this.#version <= seen && waitMs > 0) await this.#change(waitMs);
    return { version: this.#version, steps: await Promise.all(this.#begun.map((step) => this.#told(step))) };
  }

  /** TERM now, KILL at `killAt` (steady clock). No further step begins. */
  end(killAt: number): void {
    this.#stopped = killAt;
    for (const { job } of this.#begun) if (job?.running === true) job.end("interrupted", killAt);
  }

  async ended(): Promise<void> {
    await this.#running;
  }

  async #run(steps: readonly PlannedStep[], order: BootstrapOrder): Promise<void> {
    const { boot, fence, log } = this.#dependencies;
    const directory = join(boot.state_dir, "bootstrap");
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    for (const [index, step] of steps.entries()) {
      if (this.#stopped !== null || !fence.mayAct()) return;
      const begun = await this.#begin(index, step, order, join(directory, String(index + 1)));
      this.#begun.push(begun);
      log("step started", { step: step.name });
      if (this.#stopped !== null) begun.job?.end("interrupted", this.#stopped);
      this.#changed();
      await begun.job?.ended;
      begun.end ??= await this.#endOf(begun);
      this.#changed();
      log("step ended", { step: step.name, state: begun.end?.state ?? "interrupted" });
      if (begun.end?.state !== "succeeded") return;
    }
  }

  async #begin(index: number, step: PlannedStep, order: BootstrapOrder, stem: string): Promise<Begun> {
    const { clock, outputs } = this.#dependencies;
    const startedAt = clock.now();
    try {
      const output = await outputs.create(`${stem}.spool`);
      return { name: step.name, startedAt, job: this.#job(index, step, order, output, stem), end: null };
    } catch (error) {
      const end = {
        at: startedAt,
        state: "failed",
        exitCode: null,
        lastOutput: `mooring: cannot begin: ${errnoOf(error)}\n`,
      } as const;
      return { name: step.name, startedAt, job: null, end: { ...end, diskFull: await this.#isFull() } };
    }
  }

  /** null: it was ended with its instance, which says nothing about the step. */
  async #endOf({ job }: Begun): Promise<StepEnd | null> {
    const view = job?.view();
    if (view === undefined || !isVerdict(view.state)) return null;
    const { clock } = this.#dependencies;
    return {
      at: clock.now() - (view.ended_ago_ms ?? 0),
      state: view.state,
      exitCode: view.exit_code,
      diskFull: view.state !== "succeeded" && (await this.#isFull()),
      lastOutput: await this.#said(job),
    };
  }

  #job(index: number, step: PlannedStep, order: BootstrapOrder, output: OutputSpool, stem: string): Job {
    const { boot, clock, fence, tell, apart } = this.#dependencies;
    const id = `bootstrap-${index + 1}`;
    const surroundings: JobDependencies = {
      clock,
      look: this.#look,
      jobGraceMs: boot.job_grace_ms,
      mayAct: () => fence.mayAct(),
      active: () => {},
      leaderStarted: (leader) => tell({ type: "jobStarted", leader }),
      leaderEnded: (leader) => tell({ type: "jobEnded", leader }),
      cleared: () => makeWorkspaceAgain(boot).catch(() => {}),
    };
    const plan = {
      file: step.file,
      args: step.args,
      directory: () => jobDirectory(boot, undefined),
      environment: jobEnvironment(boot, { ...step.environment, [jobMarker]: id }),
      user: boot.job_user ?? null,
      ...(apart === null ? {} : { apart }),
      entries: [`${markers.instance}=${boot.instance_id}`, `${jobMarker}=${id}`],
      stdin: { type: "none" },
      keep: false,
      timeoutMs: order.step_timeout_ms,
    } as const;
    return new Job(id, "", plan, output, stem, surroundings);
  }

  async #told({ name, startedAt, job, end }: Begun): Promise<BootstrapStep> {
    const now = this.#dependencies.clock.now();
    const ago = (at: number): number => Math.max(0, Math.round(now - at));
    return {
      name,
      state: end?.state ?? "running",
      started_ago_ms: ago(startedAt),
      ended_ago_ms: end === null ? null : ago(end.at),
      exit_code: end?.exitCode ?? null,
      disk_full: end?.diskFull ?? false,
      last_output: end?.lastOutput ?? (await this.#said(job)),
    };
  }

  async #said(job: Job | null | undefined): Promise<string> {
    if (job === null || job === undefined) return "";
    const margin = longestOf(this.#secrets);
    const tail = await job.output.tail(shownBytes + 4 * margin).catch(() => ({ offset: 0, bytes: Buffer.alloc(0) }));
    const text = redacted(tail.bytes.toString("utf8"), this.#secrets);
    // A text that was cut in the middle may begin with the rest of a secret.
    return lastOutput(tail.offset > 0 ? text.slice(margin) : text);
  }

  async #isFull(): Promise<boolean> {
    const { boot } = this.#dependencies;
    return statfs(boot.workspace_dir).then(
      ({ bavail, bsize, files, ffree }) => bavail * bsize < fullBelowBytes || (files > 0 && ffree === 0),
      () => false,
    );
  }

  #change(waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, waitMs);
      this.#waiting.add(wake);
    });
  }

  #changed(): void {
    this.#version += 1;
    for (const wake of [...this.#waiting]) wake();
  }
}

function isVerdict(state: WrapperJob["state"]): state is StepEnd["state"] {
  return state === "succeeded" || state === "failed" || state === "timed_out";
}
