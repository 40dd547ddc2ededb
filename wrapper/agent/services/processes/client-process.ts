/** One process that a client started: its descriptors, its output, its end. */
import { setTimeout as pause } from "node:timers/promises";
import type { ProcessExit, ProcessView } from "../../../../src/protocol/resources/sandbox/processes.ts";
import { endClaimed } from "../../../proc/claimed-processes.ts";
import type { Claim } from "../../../proc/membership.ts";
import { identityOf, identityOfChild, type ProcessIdentity } from "../../../proc/process-table.ts";
import { sharedLook } from "../../../proc/shared-look.ts";
import { steadyClock } from "../../steady-clock.ts";
import { ServiceFailure } from "../service-failure.ts";
import { OutputRing, ringLimits } from "./output-ring.ts";
import type { PipeShelf } from "./pipe-shelf.ts";
import { type ProcessPlan, type Running, startProgram } from "./start-program.ts";
import type { Exit, TerminalSize } from "./terminal.ts";

const neverOpened = "The process was started without a standard input. Start it with `stdin: true` to write to it.";

/** Output written before the exit is still in the pipe: reading stops when nothing has come for this long. */
const quietMs = 30;
/** A process that the program left behind may write for ever, so reading ends after this long at the latest. */
const drainMs = 1_000;
const keptOfEndedBytes = 256 * 1_024;
/** A terminal that nobody looks at and that says nothing is no work. */
const forgottenMs = 300_000;
const clock = steadyClock();

export class ClientProcess {
  /** null: it was a terminal's program, and ended before anybody could look. */
  readonly leader: ProcessIdentity | null;
  readonly ended: Promise<void>;
  readonly output: OutputRing;
  readonly #plan: ProcessPlan;
  readonly #running: Running;
  readonly #startedAt = new Date();
  #endedAt: Date | null = null;
  #exit: Exit | null = null;
  #timedOut = false;
  #size: TerminalSize | null;
  #stdinEnded = false;
  #lastSeenAt = clock.now();
  #ending: Promise<void> | null = null;

  static async start(plan: ProcessPlan, shelf: PipeShelf | null): Promise<ClientProcess> {
    const { running, listen } = await startProgram(plan, shelf);
    return new ClientProcess(plan, running, listen);
  }

  private constructor(plan: ProcessPlan, running: Running, listen: (ring: OutputRing) => void) {
    this.#plan = plan;
    this.#running = running;
    this.#size = plan.order.terminal ?? null;
    // The terminal's own process may reap its program at any time.
    this.leader = running.terminal === null ? identityOfChild(running.pid) : identityOf(running.pid);
    this.output = new OutputRing(
      ringLimits,
      (stop) => running.pause(stop),
      () => (this.#lastSeenAt = clock.now()),
    );
    listen(this.output);
    this.ended = this.#follow();
  }

  get pid(): number {
    return this.#running.pid;
  }

  get running(): boolean {
    return this.#endedAt === null;
  }

  get isTerminal(): boolean {
    return this.#running.terminal !== null;
  }

  /** Holds the idle clock of the session. */
  get isWork(): boolean {
    if (!this.running) return false;
    if (!this.isTerminal || this.output.readers > 0) return true;
    return clock.now() - this.#lastSeenAt < forgottenMs;
  }

  /** Epoch ms; null while it runs. */
  get endedAt(): number | null {
    return this.#endedAt?.getTime() ?? null;
  }

  exit(): ProcessExit {
    return { exit_code: this.#exit?.code ?? null, signal: this.#exit?.signal ?? null, timed_out: this.#timedOut };
  }

  view(): ProcessView {
    const { argv, cwd, user, order } = this.#plan;
    return {
      pid: this.pid,
      argv: [...argv],
      cwd,
      env: order.env ?? {},
      user,
      tag: order.tag ?? null,
      terminal: this.#size,
      state: this.running ? "running" : "ended",
      stdin_open: this.running && (this.isTerminal || (this.#running.stdin !== null && !this.#stdinEnded)),
      output_bytes: this.output.totalBytes,
      ...(this.running ? { exit_code: null, signal: null, timed_out: false } : this.exit()),
      started_at: this.#startedAt.toISOString(),
      ended_at: this.#endedAt?.toISOString() ?? null,
    };
  }

  /** Resolves when the process, or its terminal, has taken it: a process that does not read makes its writer wait. */
  async write(bytes: Buffer): Promise<void> {
    this.#lastSeenAt = clock.now();
    const { terminal, stdin } = this.#running;
    if (this.#exit !== null) throw new ServiceFailure("process_ended", "The process has ended.");
    if (terminal !== null) return terminal.write(bytes);
    if (stdin === null || this.#stdinEnded || stdin.destroyed)
      throw new ServiceFailure(
        "stdin_closed",
        stdin === null ? neverOpened : "Its standard input was closed, so the process takes nothing more.",
      );
    await new Promise<void>((resolve, reject) => {
      const over = (): void => reject(new ServiceFailure("process_ended", "The process closed its standard input."));
      stdin.once("close", over);
      stdin.write(bytes, (error) => {
        stdin.off("close", over);
        if (error === null || error === undefined) resolve();
        else over();
      });
    });
  }

  closeStdin(): void {
    if (this.isTerminal)
      throw new ServiceFailure("invalid", "A terminal has no end of input. Send Ctrl-D (\\u0004) instead.");
    if (this.#stdinEnded) return;
    if (this.#running.stdin === null) throw new ServiceFailure("stdin_closed", neverOpened);
    this.#stdinEnded = true;
    this.#running.stdin.end();
  }

  signal(name: NodeJS.Signals, group: boolean): void {
    // Until its exit is known its number is its own.
    if (this.#exit !== null || !this.running) throw new ServiceFailure("process_ended", "The process has ended.");
    try {
      process.kill(group ? -this.pid : this.pid, name);
    } catch {
      throw new ServiceFailure("process_ended", "The process has ended.");
    }
    // Its children may hold its output open: a kill ends the reading too.
    if (name === "SIGKILL") void this.#running.exited.then(() => this.#running.closeOutput());
  }

  resize(size: TerminalSize): void {
    const { terminal } = this.#running;
    if (terminal === null)
      throw new ServiceFailure("no_terminal", "The process was started without a terminal, so it has no size.");
    if (!this.running) throw new ServiceFailure("process_ended", "The process has ended.");
    this.#size = size;
    terminal.resize(size);
  }

  /** With everything that it started: TERM now, KILL after `graceMs`. */
  async end(graceMs: number): Promise<void> {
    this.#ending ??= this.#endAll(clock.now() + graceMs);
    await this.#ending;
    await this.ended;
  }

  async #endAll(killAt: number): Promise<void> {
    const claim = (): Claim => ({
      entries: [this.#plan.entry],
      leaders: this.leader === null ? [] : [this.leader],
      except: [process.pid, process.ppid],
      user: null,
    });
    await endClaimed({ clock, look: sharedLook(), claim, killAt: () => killAt });
  }

  async #follow(): Promise<void> {
    const { timeout_seconds: seconds } = this.#plan.order;
    const timer =
      seconds === undefined
        ? undefined
        : setTimeout(
            () => {
              this.#timedOut = true;
              void this.end(0);
            },
            Math.min(seconds * 1_000, 2 ** 31 - 1),
          );
    this.#exit = await this.#running.exited;
    this.#running.stdin?.destroy();
    if (this.#plan.order.end_with === "output") await this.#running.drained;
    else await this.#quiet();
    clearTimeout(timer);
    this.#running.closeOutput();
    this.output.close();
    this.#endedAt = new Date();
    this.output.keepOnly(keptOfEndedBytes);
  }

  /** Until all that it wrote was read: at the end of its output, or when nothing came for a while. */
  async #quiet(): Promise<void> {
    const over = { drained: false };
    const drained = this.#running.drained.then(() => {
      over.drained = true;
    });
    const until = clock.now() + drainMs;
    let seen = -1;
    while (!over.drained) {
      // A reader that is slow makes the pipe wait: that is not silence.
      const isSilent = this.output.totalBytes === seen && !this.output.paused;
      if (isSilent || (clock.now() > until && !this.output.paused)) return;
      seen = this.output.totalBytes;
      await Promise.race([drained, pause(quietMs)]);
    }
  }
}
