/**
 * One job: a process that runs a program (job-program.ts) in the world's time. It knows nothing of leases; its instance
 * starts it, ends it and is told when it is gone.
 */
import type { LeftRunning } from "../../src/protocol/job-failure.ts";
import type { WrapperJob, WrapperJobOrder } from "../../src/protocol/sandbox/wrapper.ts";
import type { EventQueue } from "./event-queue.ts";
import type { Process } from "./journal.ts";
import { JobOutput } from "./job-output.ts";
import { parseJobProgram, type JobProgram, type Step } from "./job-program.ts";
import type { Behaviour, Birth, ProcessTable } from "./process-table.ts";
import type { Files, Repositories } from "./snapshot-shelf.ts";

/** Why a job was ended from outside, as the state it gets. */
export type EndedAs = "timed_out" | "cancelled" | "interrupted";

export interface JobDependencies {
  readonly queue: EventQueue;
  readonly processes: ProcessTable;
  readonly birth: Birth;
  readonly env: Readonly<Record<string, string>>;
  /** Shared with every job of the sandbox. */
  readonly files: Files;
  /** What can be cloned: files by address and ref (`""`: the one that is checked out by default). */
  readonly repositories: Repositories;
  readonly keepBytes: number;
  readonly graceMs: number;
  /** Whether somebody is there to reap what the job leaves behind. */
  readonly supervised: () => boolean;
  readonly onEnded: () => void;
}

const encoder = new TextEncoder();
/** As the real wrapper's. */
const maxUnreadStdinBytes = 1_024 * 1_024;

export class MemoryJob implements Behaviour {
  readonly id: string;
  /** Two orders of one id are the same job only when these are equal. */
  readonly fingerprint: string;
  readonly output: JobOutput;
  readonly process: Process;
  readonly #world: JobDependencies;
  readonly #program: JobProgram;
  readonly #env: Readonly<Record<string, string>>;
  readonly #startedAt: number;
  #next = 0;
  #stepsRun = 0;
  #lastActivityAt: number;
  #endedAt: number | null = null;
  #exitCode: number | null = null;
  #signal: string | null = null;
  #endedAs: EndedAs | null = null;
  #ignoresTerm = false;
  #sleeping = false;
  #missedWhileFrozen: (() => void)[] = [];
  #stdinOpen: boolean;
  #stdin: Uint8Array[] = [];
  #children: Process[] = [];
  #left: LeftRunning | null = null;
  readonly #keep: boolean;
  /** What it kept is stopped for a save. */
  #held = false;

  constructor(order: WrapperJobOrder, world: JobDependencies) {
    this.id = order.id;
    this.fingerprint = jobFingerprint(order);
    this.output = new JobOutput(world.keepBytes);
    this.#world = world;
    this.#program = parseJobProgram(order);
    this.#env = { ...world.env, ...order.env };
    this.#startedAt = world.queue.time;
    this.#lastActivityAt = world.queue.time;
    this.#stdinOpen = order.stdin_open ?? false;
    this.#keep = order.keep === true;
    if (order.stdin !== undefined) this.#stdin.push(encoder.encode(order.stdin));
    this.process = world.processes.spawn(world.birth, this);
    world.queue.schedule(order.timeout_ms, () => this.end("timed_out"));
    this.#run();
  }

  get ended(): boolean {
    return this.#endedAt !== null;
  }

  get lastActivityAt(): number {
    return this.#lastActivityAt;
  }

  get stepsRun(): number {
    return this.#stepsRun;
  }

  view(): WrapperJob {
    const now = this.#world.queue.time;
    return {
      id: this.id,
      state: this.#endedAt === null ? "running" : (this.#endedAs ?? (this.#exitCode === 0 ? "succeeded" : "failed")),
      exit_code: this.#exitCode,
      signal: this.#signal,
      started_ago_ms: now - this.#startedAt,
      ended_ago_ms: this.#endedAt === null ? null : now - this.#endedAt,
      output_bytes: this.output.written,
      output_truncated: this.output.gap !== null,
      output_gap: this.output.gap,
      failure: null,
      left_running: this.#left,
    };
  }

  /** TERM, the grace, KILL. The first reason given is the one it keeps. */
  end(as: EndedAs | null): void {
    if (this.ended) return;
    this.#endedAs ??= as;
    this.#world.processes.signal(this.process, "SIGTERM", null);
    if (this.ended) return;
    this.#world.queue.schedule(this.#world.graceMs, () => this.kill());
  }

  kill(): void {
    this.#world.processes.signal(this.process, "SIGKILL", null);
    this.reapChildren();
  }

  /** All of the bytes are taken, or none. */
  writeStdin(bytes: Uint8Array, end: boolean): "taken" | "job_ended" | "stdin_full" {
    if (this.ended || !this.#stdinOpen) return "job_ended";
    const unread = this.#stdin.reduce((sum, each) => sum + each.length, 0);
    if (bytes.length > 0 && unread + bytes.length > maxUnreadStdinBytes) return "stdin_full";
    this.#stdin.push(bytes);
    if (end) this.#stdinOpen = false;
    this.#touch();
    this.#run();
    return "taken";
  }

  holdKept(held: boolean): void {
    if (!this.ended || this.#left?.kept !== true) return;
    this.#held = held;
    for (const child of this.#children) this.#world.processes.setFrozen(child, held);
  }

  /** While a snapshot is taken: all of it, running or kept. */
  holdAll(held: boolean): void {
    for (const one of [this.process, ...this.#children]) {
      const isHeldAnyway = this.#held && one !== this.process;
      if (!isHeldAnyway) this.#world.processes.setFrozen(one, held);
    }
    if (!held) this.thaw();
  }

  thaw(): void {
    // Whoever froze the sandbox did not stop these.
    if (this.#held) this.holdKept(true);
    const missed = this.#missedWhileFrozen;
    this.#missedWhileFrozen = [];
    for (const happen of missed) happen();
  }

  terminate(process: Process): void {
    if (process.frozen) this.#missedWhileFrozen.push(() => this.terminate(this.process));
    else if (process.pid === this.process.pid && !this.#ignoresTerm) {
      this.#signal ??= "SIGTERM";
      this.#world.processes.end(this.process);
    }
  }

  died(process: Process): void {
    if (process.pid !== this.process.pid || this.ended) return;
    this.#endedAt = this.#world.queue.time;
    this.#touch();
    if (this.#exitCode === null) this.#signal ??= "SIGKILL";
    const left = this.#children.filter((child) => this.#world.processes.isAlive(child)).length;
    const kept = this.#keep && this.#endedAs === null;
    if (left > 0 && this.#endedAs === null) this.#left = { count: left, names: ["fork"], kept };
    if (this.#world.supervised() && !kept) this.reapChildren();
    this.#world.onEnded();
  }

  reapChildren(): void {
    for (const child of this.#children) this.#world.processes.signal(child, "SIGKILL", null);
  }

  #touch(): void {
    this.#lastActivityAt = this.#world.queue.time;
  }

  #run(): void {
    while (!this.ended && !this.#sleeping) {
      if (this.process.frozen) {
        this.#missedWhileFrozen.push(() => this.#run());
        return;
      }
      const step = this.#program[this.#next];
      if (step === undefined) return this.#exit(0);
      if (!this.#perform(step)) return;
      this.#next += 1;
      this.#stepsRun += 1;
    }
  }

  /** False: it waits, and will be run again. */
  #perform(step: Step): boolean {
    switch (step.type) {
      case "write":
        this.#write(encoder.encode(step.text));
        return true;
      case "printVariable":
        this.#write(encoder.encode(`${this.#env[step.name] ?? ""}\n`));
        return true;
      case "spew":
        this.output.appendZeros(step.bytes);
        this.#touch();
        return true;
      case "sleep":
        this.#next += 1;
        this.#stepsRun += 1;
        this.#sleeping = true;
        this.#world.queue.schedule(step.ms, () => {
          this.#sleeping = false;
          this.#run();
        });
        return false;
      case "exit":
        this.#exit(step.code);
        return true;
      case "copyStdin":
        for (const bytes of this.#stdin.splice(0)) this.#write(bytes);
        return !this.#stdinOpen;
      case "writeFile":
        this.#world.files.set(step.name, step.text);
        this.#touch();
        return true;
      case "printFile": {
        const text = this.#world.files.get(step.name);
        this.#write(encoder.encode(text ?? `${step.name}: not found\n`));
        if (text === undefined) this.#exit(1);
        return true;
      }
      case "ignoreTerm":
        this.#ignoresTerm = true;
        return true;
      case "fork":
        this.#children.push(this.#world.processes.spawn(this.#world.birth, { terminate: () => {}, died: () => {} }));
        return true;
      case "clone": {
        const refs = this.#world.repositories.get(step.url);
        const files = refs?.get(step.ref);
        for (const [name, text] of files ?? []) this.#world.files.set(name, text);
        if (files !== undefined) return true;
        const why = refs === undefined ? "unable to access the repository" : `Remote branch ${step.ref} not found`;
        this.#write(encoder.encode(`fatal: ${why}\n`));
        this.#exit(128);
        return true;
      }
      case "crash":
        this.#signal ??= "SIGSEGV";
        this.#world.processes.end(this.process);
        return true;
    }
  }

  #write(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.output.append(bytes);
    this.#touch();
  }

  #exit(code: number): void {
    this.#exitCode = code;
    this.#world.processes.end(this.process);
  }
}

export function jobFingerprint(order: WrapperJobOrder): string {
  const { id, command, argv, cwd, env, stdin, stdin_open, keep, tty, timeout_ms } = order;
  return JSON.stringify([id, command, argv, cwd, env, stdin, stdin_open, keep, tty, timeout_ms]);
}
