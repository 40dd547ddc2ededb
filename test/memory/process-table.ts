/**
 * Every process of the world, alive or lately dead. Owns pids (which are used again, as a kernel does) and is the only
 * place where a signal meets a process: a signal names pid *and* start time, so that a recycled pid is never hit.
 */
import type { SandboxId, SessionId } from "../../src/domain/state/ids.ts";
import type { EventQueue } from "./event-queue.ts";
import type { Journal, Process, ProcessIdentity, Signal, StopAim } from "./journal.ts";

type Mutable = { -readonly [Key in keyof Process]: Process[Key] };
export type Birth = Omit<Process, "pid" | "startTime" | "bornAt" | "diedAt" | "frozen" | "thawedAt">;

/** What a process does when it gets SIGTERM; SIGKILL is never asked. `died` is called once, whatever ended it. */
export interface Behaviour {
  terminate(process: Process): void;
  died(process: Process): void;
}

interface Entry {
  readonly process: Mutable;
  readonly behaviour: Behaviour;
}

/** How long the dead are remembered: a process list that is late shows them. */
const memoryOfTheDeadMs = 10 * 60_000;

export class ProcessTable {
  readonly #queue: EventQueue;
  readonly #journal: Journal;
  readonly #pidSpace: number;
  readonly #alive = new Map<number, Entry>();
  #dead: Mutable[] = [];
  #lastPid = 1;
  #starts = 0;

  constructor(queue: EventQueue, journal: Journal, pidSpace: number) {
    this.#queue = queue;
    this.#journal = journal;
    this.#pidSpace = pidSpace;
  }

  spawn(birth: Birth, behaviour: Behaviour): Process {
    this.#starts += 1;
    const process: Mutable = {
      ...birth,
      pid: this.#freePid(),
      startTime: this.#starts,
      bornAt: this.#queue.time,
      diedAt: null,
      frozen: false,
      thawedAt: null,
    };
    this.#alive.set(process.pid, { process, behaviour });
    return process;
  }

  isAlive(identity: ProcessIdentity): boolean {
    return this.#find(identity) !== null;
  }

  /** Whether a process of that identity was there to take it. A frozen one takes SIGTERM only when it thaws. */
  signal(identity: ProcessIdentity, signal: Signal, aim: StopAim | null): boolean {
    const entry = this.#find(identity);
    if (entry === null) return false;
    this.#journal.add({ type: "signalled", at: this.#queue.time, signal, process: { ...entry.process }, aim });
    if (signal === "SIGTERM") entry.behaviour.terminate(entry.process);
    else this.end(identity);
    return true;
  }

  /** It exits, or is killed. */
  end(identity: ProcessIdentity): void {
    const entry = this.#find(identity);
    if (entry === null) return;
    this.#bury(entry.process);
    entry.behaviour.died(entry.process);
  }

  /** Power off: all of these are gone at once, and none of them learns of another's end. */
  vanish(which: (process: Process) => boolean): void {
    const gone = Array.from(this.#alive.values()).filter((entry) => which(entry.process));
    for (const { process } of gone) this.#bury(process);
    for (const { process, behaviour } of gone) behaviour.died(process);
  }

  setFrozen(identity: ProcessIdentity, frozen: boolean): void {
    const entry = this.#find(identity);
    if (entry === null) return;
    if (entry.process.frozen && !frozen) entry.process.thawedAt = this.#queue.time;
    entry.process.frozen = frozen;
  }

  alive(): readonly Process[] {
    return Array.from(this.#alive.values(), (entry) => entry.process);
  }

  everythingIn(sandboxId: SandboxId): readonly Process[] {
    return this.alive().filter((process) => process.sandboxId === sandboxId);
  }

  /** Of that session in that sandbox, a legacy wrapper whose sandbox nobody recorded included. Ids match exactly. */
  inSandbox(sandboxId: SandboxId, sessionId: SessionId): readonly Process[] {
    return this.alive().filter((process) => belongs(process, sandboxId, sessionId));
  }

  /** The same question, answered as a list taken at the earlier instant `at` would have been. */
  inSandboxAt(sandboxId: SandboxId, sessionId: SessionId, at: number): readonly Process[] {
    return [...this.#dead, ...this.alive()].filter(
      (process) =>
        belongs(process, sandboxId, sessionId) &&
        process.bornAt <= at &&
        (process.diedAt === null || process.diedAt > at),
    );
  }

  #find(identity: ProcessIdentity): Entry | null {
    const entry = this.#alive.get(identity.pid);
    return entry?.process.startTime === identity.startTime ? entry : null;
  }

  #bury(process: Mutable): void {
    this.#alive.delete(process.pid);
    process.diedAt = this.#queue.time;
    this.#dead.push(process);
    this.#forget();
  }

  #freePid(): number {
    if (this.#alive.size >= this.#pidSpace - 1) throw new Error("the world has no free pid");
    do this.#lastPid = this.#lastPid >= this.#pidSpace ? 2 : this.#lastPid + 1;
    while (this.#alive.has(this.#lastPid));
    return this.#lastPid;
  }

  #forget(): void {
    const oldest = this.#dead[0];
    if (oldest?.diedAt == null || oldest.diedAt > this.#queue.time - 2 * memoryOfTheDeadMs) return;
    this.#dead = this.#dead.filter((process) => (process.diedAt ?? 0) > this.#queue.time - memoryOfTheDeadMs);
  }
}

function belongs(process: Process, sandboxId: SandboxId, sessionId: SessionId): boolean {
  return process.sessionId === sessionId && (process.sandboxId === null || process.sandboxId === sandboxId);
}
