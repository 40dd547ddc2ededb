/**
 * One job: its processes, its output, its end.
 *
 * The job is what its leader is: when the leader exits, whatever it left behind (`nohup … &`, setsid, double forks) is
 * ended too, and only then has the job ended. So nothing of a finished job survives (PHY-6), and a service that should
 * live on must be the foreground of a job of its own.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync } from "node:fs";
import type { Socket } from "node:net";
import type { WrapperJob } from "../../src/protocol/wrapper.ts";
import { endProcesses } from "./end-processes.ts";
import { openJobStdio, type JobStdin } from "./job-stdio.ts";
import type { RunAs } from "./job-user.ts";
import type { OutputSpool } from "./output-spool.ts";
import { identityOfChild, type ProcessIdentity } from "./process-table.ts";
import type { TakeLook } from "./shared-look.ts";
import type { SteadyClock } from "./steady-clock.ts";

/** A verdict from outside the job; the first one counts. */
export type JobVerdict = "timed_out" | "cancelled" | "interrupted";

export interface JobPlan {
  readonly file: string;
  readonly args: readonly string[];
  readonly directory: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Environment entries that mark this job's processes and no others. */
  readonly entries: readonly string[];
  readonly stdin: JobStdin;
  readonly timeoutMs: number;
  /** null: as we do. */
  readonly user: RunAs | null;
}

export interface JobSurroundings {
  readonly clock: SteadyClock;
  readonly look: TakeLook;
  readonly jobGraceMs: number;
  /** Asked right before the spawn: the right to act may have gone while files were opened. */
  readonly mayAct: () => boolean;
  /** Something happened: a start, output, stdin, an end. */
  readonly active: () => void;
  readonly leaderStarted: (leader: ProcessIdentity) => void;
  readonly leaderEnded: (leader: ProcessIdentity) => void;
}

interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
}

export type StdinAnswer = "taken" | "full" | "not_open" | "ended";

/** What a job may leave unread before more is refused. */
const maxUnreadStdinBytes = 1_024 * 1_024;
/** After the last process is gone nobody of ours can write; one that escaped may hold the pipe open for ever. */
const outputDrainMs = 1_000;

export class Job {
  readonly id: string;
  /** Of the order it was made from. */
  readonly digest: string;
  readonly output: OutputSpool;
  /** Resolves when the leader was spawned, or never will be. */
  readonly started: Promise<void>;
  /** Resolves when nothing of it is left. */
  readonly ended: Promise<void>;
  readonly #surroundings: JobSurroundings;
  readonly #startedAt: number;
  #endedAt: number | null = null;
  #verdict: JobVerdict | null = null;
  #exit: Exit | null = null;
  #leader: ProcessIdentity | null = null;
  #stdin: Socket | null = null;
  #killAt = Number.POSITIVE_INFINITY;
  #endingProcesses: Promise<unknown> | null = null;
  readonly #plan: JobPlan;

  constructor(
    id: string,
    digest: string,
    plan: JobPlan,
    output: OutputSpool,
    stem: string,
    surroundings: JobSurroundings,
  ) {
    this.id = id;
    this.digest = digest;
    this.output = output;
    this.#plan = plan;
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
      output_truncated: this.output.truncated,
    };
  }

  /** TERM now, KILL at `killAt` (steady clock). Called again, the earlier KILL counts. A leader that has exited keeps its own verdict. */
  end(verdict: JobVerdict, killAt: number): void {
    if (this.#exit === null) this.#verdict ??= verdict;
    this.#killAt = Math.min(this.#killAt, killAt);
    void this.#endProcesses();
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
    const stdio = await openJobStdio(stem, plan.stdin, plan.user).catch((error: unknown) => this.#cannotStart(error));
    if (stdio === null) return null;
    try {
      if (this.#verdict !== null || !this.#surroundings.mayAct()) {
        this.#verdict ??= "interrupted";
        stdio.output.destroy();
        stdio.stdin?.destroy();
        return null;
      }
      const child = spawn(plan.file, plan.args, {
        cwd: plan.directory,
        env: plan.environment,
        // Its own session and group: a signal reaches all of it, and none of ours reach it.
        detached: true,
        // Node drops every supplementary group with them.
        ...(plan.user === null ? {} : { uid: plan.user.uid, gid: plan.user.gid }),
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
      return { child, output: stdio.output };
    } catch (error) {
      stdio.output.destroy();
      stdio.stdin?.destroy();
      return await this.#cannotStart(error);
    } finally {
      closeSync(stdio.childStdin);
      closeSync(stdio.childOutput);
    }
  }

  async #finish(running: { child: ChildProcess; output: Socket } | null): Promise<void> {
    if (running !== null) {
      const { child, output } = running;
      this.#surroundings.active();
      const drained = this.#spool(output);
      const timeout = setTimeout(() => {
        this.end("timed_out", this.#surroundings.clock.now() + this.#surroundings.jobGraceMs);
      }, this.#plan.timeoutMs);
      this.#exit = await this.#exitOf(child);
      clearTimeout(timeout);
      // An end that is under way continues with its own grace; leftovers get theirs.
      this.#killAt = Math.min(this.#killAt, this.#surroundings.clock.now() + this.#surroundings.jobGraceMs);
      await this.#endingProcesses;
      await this.#endProcesses();
      this.#stdin?.destroy();
      const cut = setTimeout(() => output.destroy(), outputDrainMs);
      await drained;
      clearTimeout(cut);
    }
    if (this.#leader !== null) this.#surroundings.leaderEnded(this.#leader);
    await this.output.close();
    this.#endedAt = this.#surroundings.clock.now();
    this.#surroundings.active();
  }

  #exitOf(child: ChildProcess): Promise<Exit> {
    return new Promise((resolve) => {
      child.once("exit", (code, signal) => resolve({ code, signal }));
      child.once("error", (error: NodeJS.ErrnoException) => {
        if (child.pid === undefined) void this.#sayWhy(error).then(resolve);
      });
    });
  }

  /** The pipe waits while a chunk is being written: that is the back-pressure. */
  async #spool(output: Socket): Promise<void> {
    try {
      for await (const chunk of output as AsyncIterable<Buffer>) {
        this.#surroundings.active();
        await this.output.append(chunk);
      }
    } catch {
      // Cut: what came before is kept.
    }
  }

  #endProcesses(): Promise<unknown> {
    if (this.#endingProcesses !== null && this.#exit === null) return this.#endingProcesses;
    this.#endingProcesses = endProcesses({
      clock: this.#surroundings.clock,
      look: this.#surroundings.look,
      claim: () => ({
        entries: this.#plan.entries,
        leaders: this.#leader === null ? [] : [this.#leader],
        except: [process.pid, process.ppid],
        // The other jobs have it too.
        user: null,
      }),
      killAt: () => this.#killAt,
    });
    return this.#endingProcesses;
  }

  async #cannotStart(error: unknown): Promise<null> {
    this.#exit = await this.#sayWhy(error);
    return null;
  }

  /** As a shell does it: 127 not found, 126 not runnable, and a line in the output. */
  async #sayWhy(error: unknown): Promise<Exit> {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
    await this.output.append(Buffer.from(`mooring: cannot start: ${code}\n`));
    return { code: code === "ENOENT" ? 127 : 126, signal: null };
  }
}
