/**
 * What disturbed one session, and when: an upper bound counts from the last disturbance that can have put off the work, and a
 * clock that was set widens what is compared across it by as much as it was set, for as long as that can matter.
 * Times are by the controllers' clock, but for `elapsed`, which never jumps.
 */

/** One setting of the controllers' clock. `ms` > 0: forward. */
interface Jump {
  readonly elapsed: number;
  readonly ms: number;
}

export class ClockJumps {
  readonly #jumps: Jump[] = [];

  add(elapsed: number, ms: number): void {
    this.#jumps.push({ elapsed, ms });
  }

  /** By how much at most the clock was moved between then and now, whichever way. */
  movedSince(elapsed: number): number {
    let sum = 0;
    for (const jump of this.#jumps) if (jump.elapsed >= elapsed) sum += Math.abs(jump.ms);
    return sum;
  }

  /** The last time that it was set; null: it never was. */
  get lastElapsed(): number | null {
    return this.#jumps.at(-1)?.elapsed ?? null;
  }

  /** Where the clock stands now against where it would without any jump. */
  get offset(): number {
    return this.#jumps.reduce((sum, jump) => sum + jump.ms, 0);
  }
}

/** What the work of one session can be put off by. */
export class Disturbances {
  #from = Number.NEGATIVE_INFINITY;
  #callsFrom = Number.NEGATIVE_INFINITY;

  /** No bound counts from before `until`: a crash, a storage that failed, a clock that was set. */
  disturbed(until: number): void {
    this.#from = Math.max(this.#from, until);
  }

  /** A call between this session and the registry or the index came to nothing. */
  unheard(until: number): void {
    this.#callsFrom = Math.max(this.#callsFrom, until);
  }

  /** The clock was set: times of before mean nothing to it any more. */
  clockSet(now: number, settledMs: number): void {
    this.#from = now + settledMs;
    this.#callsFrom = now + settledMs;
  }

  /** From when on the bound of a deadline counts. `told`: it needs the registry and the index to hear of it. */
  countsFrom(at: number, told: boolean): number {
    return Math.max(at, this.#from, told ? this.#callsFrom : at);
  }
}
