/**
 * What will happen in the world by itself, and when: a lease that runs out, a kill at the end of a grace, a request
 * still on its way. Nothing here is driven by timers: `advance` runs whatever has become due, in order of time, when
 * somebody looks. So the world goes on although every controller is dead, and a test needs no clock that ticks.
 */
interface Due {
  readonly at: number;
  readonly run: () => void;
}

/** A bug in the model, not a fault: events that schedule each other at one instant for ever. */
const runawayEvents = 1_000_000;

export class EventQueue {
  readonly #due: Due[] = [];
  #time: number;
  #advancing = false;

  constructor(startedAt: number) {
    this.#time = startedAt;
  }

  /** Epoch ms of the event that runs now, or of the last look. Never falls. */
  get time(): number {
    return this.#time;
  }

  /** Events of one instant run in the order in which they were scheduled. */
  schedule(delayMs: number, run: () => void): void {
    const at = this.#time + Math.max(0, delayMs);
    let index = this.#due.length;
    while (index > 0 && (this.#due[index - 1] as Due).at > at) index -= 1;
    this.#due.splice(index, 0, { at, run });
  }

  nextAt(): number | null {
    return this.#due[0]?.at ?? null;
  }

  /** Whether anything ran. Called by an event it does nothing: what is due later must not happen inside what is due now. */
  advance(now: number): boolean {
    if (this.#advancing) return false;
    this.#advancing = true;
    let ran = 0;
    for (let next = this.#due[0]; next !== undefined && next.at <= now; next = this.#due[0]) {
      this.#due.shift();
      this.#time = Math.max(this.#time, next.at);
      next.run();
      ran += 1;
      if (ran > runawayEvents) throw new Error("the world's events schedule each other without end");
    }
    this.#time = Math.max(this.#time, now);
    this.#advancing = false;
    return ran > 0;
  }
}
