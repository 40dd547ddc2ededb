/** Reads what a job writes from its pipe into its spool. */
import type { Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import type { OutputSpool } from "./output-spool.ts";

/** After the last process is gone nobody of ours can write; one that escaped may hold the pipe open for ever. */
export const outputDrainMs = 1_000;
/** What the leader wrote is in the pipe when it exits: the pipe has been read when nothing came for so long. */
const outputQuietMs = 50;

export class JobOutput {
  readonly #spool: OutputSpool;
  readonly #active: () => void;
  /** What the job writes from now on belongs to no record. */
  #discarding = false;
  #lastAt = 0;
  #appending: Promise<void> = Promise.resolve();

  /** `active` is called with every chunk. */
  constructor(spool: OutputSpool, active: () => void) {
    this.#spool = spool;
    this.#active = active;
  }

  /** Until the pipe ends or is cut. The pipe waits while a chunk is being written: that is the back-pressure. */
  async read(pipe: Socket): Promise<void> {
    try {
      for await (const chunk of pipe as AsyncIterable<Buffer>) {
        if (this.#discarding) continue;
        this.#active();
        this.#lastAt = performance.now();
        this.#appending = this.#spool.append(chunk);
        await this.#appending;
      }
    } catch {
      // Cut: what came before is kept.
    }
  }

  /** For a pipe that stays open, because something that was kept may write to it: waits until it has been read. */
  async quiet(): Promise<void> {
    const until = performance.now() + outputDrainMs;
    do {
      await this.#appending;
      await pause(outputQuietMs);
    } while (performance.now() - this.#lastAt < outputQuietMs && performance.now() < until);
  }

  /** Drops everything from now on, and closes the spool. */
  async close(): Promise<void> {
    this.#discarding = true;
    await this.#appending;
    await this.#spool.close();
  }
}
