/**
 * One job: its processes, its output, its end.
 *
 * The job is what its leader is: when the leader exits, whatever it left behind (`nohup … &`, setsid, double forks) is
 * ended too, and only then has the job ended. So nothing of a finished job survives, and its record says what was
 * ended. With `keep` what the leader left goes on until the instance ends; what it writes from then on is dropped.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync } from "node:fs";
import type { Socket } from "node:net";
import { namesTold, type JobFailure, type LeftRunning } from "../../../src/protocol/job-failure.ts";
import type { WrapperJob } from "../../../src/protocol/sandbox/wrapper.ts";
import { endClaimed, holdClaimed, membersNow } from "../../proc/claimed-processes.ts";
import type { Claim } from "../../proc/membership.ts";
import type { JobPlan, JobDependencies, JobVerdict } from "./job-plan.ts";
import { JobOutput, outputDrainMs } from "./job-output.ts";
import { openJobStdio } from "./job-stdio.ts";
import type { OutputSpool } from "./output-spool.ts";
import { identityOfChild, type ProcessIdentity, type ProcessRow } from "../../proc/process-table.ts";
import { startOf } from "./job-start.ts";
import { startFailure } from "./start-failure.ts";

interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
}

export type StdinAnswer = "taken" | "full" | "not_open" | "ended";

/** What a job may leave unread before more is refused. */
const maxUnreadStdinBytes = 1_024 * 1_024;
export class Job {
  readonly id: string;
  /** Of the order it was made from. */
  readonly digest: string;
  readonly output: OutputSpool;
  /** Resolves when the leader was spawned, or never will be. */
  readonly started: Promise<void>;
  /** Resolves when nothing of it is left. */
  readonly ended: Promise<void>;
  readonly #surroundings: JobDependencies;
  readonly #startedAt: number;
  #endedAt: number | null = null;
  #verdict: JobVerdict | null = null;
  #exit: Exit | null = null;
  #failure: JobFailure | null = null;
  #left: LeftRunning | null = null;
  #leader: ProcessIdentity | null = null;
  #stdin: Socket | null = null;
  #killAt = Number.POSITIVE_INFINITY;
  #endingProcesses: Promise<readonly ProcessRow[]> | null = null;
  #exited: Promise<Exit> = Promise.resolve({ code: null, signal: null });
  readonly #plan: JobPlan;
  readonly #pipe: JobOutput;

  constructor(
    id: string,
    digest: string,
    plan: JobPlan,
    output: OutputSpool,
    stem: string,
    surroundings: JobDependencies,
  ) {
    this.id = id;
    this.digest = digest;
    this.output = output;
    this.#plan = plan;
    this.#pipe = new JobOutput(output, () => surroundings.active());
    this.#surroundings = surroundings;
    this.#startedAt = surroundings.clock.now();
    const launched = this.#launch(stem);
    this.started = launched.then(() => {});
    this.ended = launched.then((running) => this.#finish(running));
  }

  get running(): boolean {
    return this.#endedAt === null;
  }

  view(): WrapperJob {
    const now = this.#surroundings.clock.now();
    const ago = (at: number): number => Math.max(0, Math.round(now - at));
    return {
      id: this.id,
      state: this.#endedAt === null ? "running" : (this.#verdict ?? (this.#exit?.code === 0 ? "succeeded" : "failed")),
      exit_code: this.#endedAt === null ? null : (this.#exit?.code ?? null),
      signal: this.#endedAt === null ? null : (this.#exit?.signal ?? null),
      started_ago_ms: ago(this.#startedAt),
      ended_ago_ms: this.#endedAt === null ? null : ago(this.#endedAt),
      output_bytes: this.output.totalBytes,
      output_truncated: this.output.gap !== null,
      output_gap: this.output.gap,
      failure: this.#failure,
      left_running: this.#left,
    };
  }

  /** It has ended, and processes that it left go on. */
  get keepsProcesses(): boolean {
    return !this.running && this.#left?.kept === true;
  }

  /** TERM now, KILL at `killAt` (steady clock). Called again, the earlier KILL counts. A leader that has exited keeps its own verdict. */
  end(verdict: JobVerdict, killAt: number): void {
    if (this.#exit === null) this.#verdict ??= verdict;
    this.#killAt = Math.min(this.#killAt, killAt);
    void this.#endProcesses();
  }

  /** Ends what it kept, as `end` does; resolves when nothing of it is left. */
  async endKept(killAt: number): Promise<void> {
    this.#killAt = killAt;
    // What is held does not hear SIGTERM.
    await this.holdKept(false);
    await this.#endProcesses();
  }

  /** Stops what it kept where it is, so that it changes no file; false: lets it go on. Answers whether all of it does. */
  async holdKept(held: boolean): Promise<boolean> {
    const claimed = { look: this.#surroundings.look, claim: () => this.#claim() };
    return holdClaimed(claimed, held ? "SIGSTOP" : "SIGCONT");
  }

  /** Takes all of `bytes` or none. */
  write(bytes: Buffer, end: boolean): StdinAnswer {
    if (this.#exit !== null || !this.running) return "ended";
    const stdin = this.#stdin;
    if (stdin === null || stdin.writableEnded || stdin.destroyed) return "not_open";
    if (stdin.writableLength + bytes.length > maxUnreadStdinBytes && bytes.length > 0) return "full";
    this.#surroundings.active();
    if (bytes.length > 0) stdin.write(bytes);
    if (end) stdin.end();
    return "taken";
  }

  async #launch(stem: string): Promise<{ child: ChildProcess; output: Socket } | null> {
    const plan = this.#plan;
    const directory = await plan.directory();
    if (!directory.ok) {
      await this.#fail(directory.failure, null);
      return null;
    }
    const stdio = await openJobStdio(stem, plan.stdin, plan.user).catch((error: unknown) =>
      this.#cannotStart(error, directory.path),
    );
    if (stdio === null) return null;
    try {
      if (this.#verdict !== null || !this.#surroundings.mayAct()) {
        this.#verdict ??= "interrupted";
        stdio.output.destroy();
        stdio.stdin?.destroy();
        return null;
      }
      const { file, args, as } = startOf(plan, directory.path);
      const child = spawn(file, args, {
        cwd: directory.path,
        env: plan.environment,
        // Its own session and group: a signal reaches all of it, and none of ours reach it.
        detached: true,
        // Node drops every supplementary group with them.
        ...as,
        stdio: [stdio.childStdin, stdio.childOutput, stdio.childOutput],
      });
      // Read before the loop turns: until then a child that exited at once is an unreaped zombie, and its pid its own.
      if (child.pid !== undefined) {
        this.#leader = identityOfChild(child.pid);
        this.#surroundings.leaderStarted(this.#leader);
      }
      this.#stdin = stdio.stdin;
      this.#stdin?.on("error", () => {});
      if (plan.stdin.type === "open" && plan.stdin.text !== "") this.#stdin?.write(plan.stdin.text);
      // Now: without a pid the error comes with the next turn of the loop.
      this.#exited = this.#exitOf(child, directory.path);
      return { child, output: stdio.output };
    } catch (error) {
      stdio.output.destroy();
      stdio.stdin?.destroy();
      return await this.#cannotStart(error, directory.path);
    } finally {
      closeSync(stdio.childStdin);
      closeSync(stdio.childOutput);
    }
  }

  async #finish(running: { child: ChildProcess; output: Socket } | null): Promise<void> {
    if (running !== null) {
      const { output } = running;
      this.#surroundings.active();
      const drained = this.#pipe.read(output);
      const timeout = setTimeout(() => {
        this.end("timed_out", this.#surroundings.clock.now() + this.#surroundings.jobGraceMs);
      }, this.#plan.timeoutMs);
      this.#exit = await this.#exited;
      clearTimeout(timeout);
      const kept = await this.#keepOrEnd();
      this.#stdin?.destroy();
      if (kept) await this.#pipe.quiet();
      else {
        const cut = setTimeout(() => output.destroy(), outputDrainMs);
        await drained;
        clearTimeout(cut);
      }
      // The guardian goes on to know the group of what was kept.
      if (this.#leader !== null && !kept) this.#surroundings.leaderEnded(this.#leader);
    }
    await this.#pipe.close();
    await this.#surroundings.cleared();
    this.#endedAt = this.#surroundings.clock.now();
    this.#surroundings.active();
  }

  /** true: what the leader left goes on. Else nothing of the job is left. */
  async #keepOrEnd(): Promise<boolean> {
    const byItself = this.#endingProcesses === null;
    if (byItself && this.#plan.keep) {
      const left = await membersNow({ look: this.#surroundings.look, claim: () => this.#claim() });
      // Unknown is not none.
      if (left === null || left.length > 0) this.#left = leftRunning(left ?? [], true);
      // An end that was asked for meanwhile counts.
      if (this.#left !== null && this.#endingProcesses === null) return true;
    }
    // An end that is under way continues with its own grace; leftovers get theirs.
    this.#killAt = Math.min(this.#killAt, this.#surroundings.clock.now() + this.#surroundings.jobGraceMs);
    await this.#endingProcesses;
    const ended = await this.#endProcesses();
    this.#left = byItself && ended.length > 0 ? leftRunning(ended, false) : null;
    return false;
  }

  #exitOf(child: ChildProcess, directory: string): Promise<Exit> {
    return new Promise((resolve) => {
      child.once("exit", (code, signal) => resolve({ code, signal }));
      child.once("error", (error: NodeJS.ErrnoException) => {
        if (child.pid === undefined) void this.#sayWhy(error, directory).then(resolve);
      });
    });
  }

  #endProcesses(): Promise<readonly ProcessRow[]> {
    if (this.#endingProcesses !== null && this.#exit === null) return this.#endingProcesses;
    this.#endingProcesses = endClaimed({
      clock: this.#surroundings.clock,
      look: this.#surroundings.look,
      claim: () => this.#claim(),
      killAt: () => this.#killAt,
    });
    return this.#endingProcesses;
  }

  #claim(): Claim {
    const { entries } = this.#plan;
    const leaders = this.#leader === null ? [] : [this.#leader];
    // The other jobs run as the same user. Whatever carries this job's mark has it from its leader.
    return { entries, leaders, except: [process.pid, process.ppid], user: null, since: this.#leader?.startTime ?? 0 };
  }

  async #cannotStart(error: unknown, directory: string): Promise<null> {
    this.#exit = await this.#sayWhy(error, directory);
    return null;
  }

  /** As a shell does it: 127 not found, 126 not runnable. */
  async #sayWhy(error: unknown, directory: string): Promise<Exit> {
    const failure = startFailure(error, { ...this.#plan, directory });
    return this.#fail(failure, failure.code === "command_not_found" ? 127 : 126);
  }

  /** The reason is in the record and, as of any other command, in the output. */
  async #fail(failure: JobFailure, exitCode: number | null): Promise<Exit> {
    this.#failure = failure;
    await this.output.append(Buffer.from(`mooring: ${failure.message}\n`));
    return { code: exitCode, signal: null };
  }
}

function leftRunning(found: readonly ProcessRow[], kept: boolean): LeftRunning {
  const names = [...new Set(found.map(({ name }) => name))].slice(0, namesTold);
  return { count: Math.max(1, found.length), names, kept };
}
