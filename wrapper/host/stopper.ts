/**
 * Ends every process of an instance, and of nothing else.
 *
 * TERM goes to the guardian and the wrapper together: both know how to end jobs within the job grace, and the
 * guardian must not read the wrapper's end as a loss. Jobs get TERM from here only when neither is left to send it.
 * After the grace KILL goes to the guardian first, then the wrapper, then the jobs, again until two looks find
 * nothing: what forks while it is being killed is found by the next look. A stopped (SIGSTOP) process ignores TERM and
 * dies of KILL. Before each signal pid, start time and marks are checked again (PHY-18, LEA-9).
 */
import { setTimeout as pause } from "node:timers/promises";
import type { Aim, Found, Residue } from "./residue.ts";

export interface StopOutcome {
  readonly ended: readonly number[];
  readonly remaining: readonly Found[];
}

const pollMs = 25;
/** KILL takes milliseconds; only a process in uninterruptible sleep takes longer, and that is reported as remaining. */
const killWaitMs = 3_000;
const killOrder: readonly Found["kind"][] = ["guardian", "wrapper", "legacy", "job"];

export class Stopper {
  readonly #residue: Residue;

  constructor(residue: Residue) {
    this.#residue = residue;
  }

  async stop(aim: Aim, graceMs: number): Promise<StopOutcome> {
    const signalled = new Set<number>();
    let found = await this.#residue.of(aim);
    if (found.length > 0 && graceMs > 0) {
      this.#terminate(found, signalled);
      found = await this.#waitForNone(aim, graceMs, (left) => {
        const led = left.some((one) => one.kind === "guardian" || one.kind === "wrapper");
        // Their keepers died first: the grace is theirs still, so they are asked once.
        if (!led)
          this.#terminate(
            left.filter((one) => !signalled.has(one.pid)),
            signalled,
          );
      });
    }
    if (found.length > 0) {
      found = await this.#waitForNone(aim, killWaitMs, (left) => this.#kill(left, signalled));
    }
    const remaining = new Set(found.map((one) => one.pid));
    return { ended: [...signalled].filter((pid) => !remaining.has(pid)), remaining: found };
  }

  #terminate(found: readonly Found[], signalled: Set<number>): void {
    const keepers = found.filter((one) => one.kind !== "job");
    for (const one of keepers.length > 0 ? keepers : found) {
      if (this.#residue.signal(one, "SIGTERM")) signalled.add(one.pid);
    }
  }

  #kill(found: readonly Found[], signalled: Set<number>): void {
    for (const one of found.toSorted((a, b) => killOrder.indexOf(a.kind) - killOrder.indexOf(b.kind))) {
      if (this.#residue.signal(one, "SIGKILL")) signalled.add(one.pid);
    }
  }

  async #waitForNone(aim: Aim, ms: number, each: (left: readonly Found[]) => void): Promise<readonly Found[]> {
    const until = performance.now() + ms;
    for (;;) {
      const found = await this.#residue.of(aim);
      if (found.length === 0) return found;
      each(found);
      if (performance.now() >= until) return found;
      await pause(Math.min(pollMs, Math.max(1, until - performance.now())));
    }
  }
}
