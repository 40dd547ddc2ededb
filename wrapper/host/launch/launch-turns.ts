/**
 * At most so many launches under way at once; the others wait in the order in which they came.
 *
 * Programs that start at the same time share the processors, and a hundred of them would be late together: each has a bound until it has
 * to listen. In turns they come up one after the other, and the bound of each begins with its own start.
 */
import { Refusal } from "../refusal.ts";

interface Waiting {
  readonly go: () => void;
  readonly timer: NodeJS.Timeout;
}

export class LaunchTurns {
  #free: number;
  readonly #longestWaitMs: number;
  readonly #waiting = new Set<Waiting>();

  constructor(atOnce: number, longestWaitMs: number) {
    this.#free = atOnce;
    this.#longestWaitMs = longestWaitMs;
  }

  /** Refuses one that has waited too long, unstarted: its caller must hear so while it still listens, and then asks again. */
  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else await this.#turn();
    try {
      return await task();
    } finally {
      this.#next();
    }
  }

  #turn(): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(waiting);
        const waited = `${Math.round(this.#longestWaitMs / 1_000)} s`;
        reject(
          new Refusal(
            "launch_failed",
            `Too many launches wait on this host. This one waited ${waited} and was not started.`,
          ),
        );
      }, this.#longestWaitMs);
      const waiting: Waiting = { go: resolve, timer };
      this.#waiting.add(waiting);
    });
  }

  /** The turn is handed on and not given back: nobody who comes meanwhile overtakes. */
  #next(): void {
    for (const waiting of this.#waiting) {
      this.#waiting.delete(waiting);
      clearTimeout(waiting.timer);
      return waiting.go();
    }
    this.#free += 1;
  }
}
