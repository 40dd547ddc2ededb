/**
 * Ends every process of an instance, and nothing else.
 *
 * The guardian and the wrapper get SIGTERM together: both know how to end jobs within the job grace, and the guardian
 * must not take the wrapper's end for a loss. Jobs get SIGTERM from here only when neither is left to send it. After the
 * grace SIGKILL goes to the guardian, then the wrapper, then the jobs. Guardian and wrapper are never frozen first: if
 * this host died at that moment, nobody would be left to end the instance.
 */
import { endProcesses } from "../../proc/end-processes.ts";
import { ticksSinceBoot } from "../../proc/process-table.ts";
import type { Aim, Found, Residue } from "./residue.ts";

export interface StopOutcome {
  readonly ended: readonly number[];
  readonly remaining: readonly Found[];
}

/** SIGKILL takes milliseconds. Only a process in uninterruptible sleep takes longer; it is reported as remaining. */
const killForMs = 3_000;
const killOrder: readonly Found["kind"][] = ["guardian", "wrapper", "legacy", "job"];

export class Stopper {
  readonly #residue: Residue;

  constructor(residue: Residue) {
    this.#residue = residue;
  }

  /** Rejects when it cannot be told whether something is left. */
  async stop(aim: Aim, graceMs: number): Promise<StopOutcome> {
    const killAt = performance.now() + graceMs;
    const { ended, remaining } = await endProcesses<Found>({
      clock: performance,
      killAt: () => killAt,
      killForMs,
      ticks: ticksSinceBoot,
      look: async () =>
        (await this.#residue.of(aim)).toSorted((a, b) => killOrder.indexOf(a.kind) - killOrder.indexOf(b.kind)),
      terminates: (left) => {
        const isKept = left.some(({ kind }) => kind === "guardian" || kind === "wrapper");
        return isKept ? left.filter(({ kind }) => kind !== "job") : left;
      },
      freezes: ({ kind }) => kind === "job",
      signal: (found, signal) => this.#residue.signal(found, signal),
    });
    return { ended: ended.map(({ pid }) => pid), remaining };
  }
}
