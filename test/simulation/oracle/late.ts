/** The upper half of every limit: a deadline that is past, and beside which the session still stands as before. */
import { deadlinesOf, longestRestMs, wakeMs, type Deadline } from "./deadlines.ts";
import type { Disturbances } from "./disturbances.ts";
import type { SeenSession, Timers } from "./model.ts";

/** Its date is when registry and index have heard. */
const told: ReadonlySet<string> = new Set(["erase", "report"]);

/** `from`: a state that begins with a deadline that is past already has its time from there. */
interface Watched extends Deadline {
  readonly from: number;
}

export class LateWatch {
  readonly #timers: Timers;
  readonly #disturbances: Disturbances;
  #due: readonly Watched[] = [];
  #earliest = Number.POSITIVE_INFINITY;
  #untoldSince: number | null = null;

  constructor(timers: Timers, disturbances: Disturbances) {
    this.#timers = timers;
    this.#disturbances = disturbances;
  }

  /**
   * A state was stored; `toldAll`: registry and index have confirmed its version. `heardBefore`: they held the version before it, though
   * nothing of that was stored: only this one is still to be told. null: nothing is stored any more.
   */
  stored(session: SeenSession | null, toldAll: boolean, now: number, heardBefore: () => boolean): void {
    if (session === null) {
      this.#due = [];
      this.#earliest = Number.POSITIVE_INFINITY;
      return;
    }
    if (toldAll) this.#untoldSince = null;
    else if (this.#untoldSince === null || heardBefore()) this.#untoldSince = now;
    const due = [...deadlinesOf(session, this.#timers)];
    // What could not be told rests before it is tried again.
    const resting = longestRestMs + this.#timers.observeMs;
    if (this.#untoldSince !== null) due.push({ name: "report", at: this.#untoldSince, within: resting });
    const known = this.#due;
    this.#due = due.map((each) => {
      const before = known.find(({ name, at }) => name === each.name && at === each.at);
      return { ...each, from: before?.from ?? now };
    });
    this.#earliest = this.#due.reduce((first, each) => Math.min(first, this.#limit(each)), Number.POSITIVE_INFINITY);
  }

  /** `heard`: registry and index hold the newest version, though nothing of that is stored yet. */
  check(now: number, heard: () => boolean): readonly string[] {
    if (now <= this.#earliest) return nothing;
    // A disturbance since may have moved it.
    const past = this.#due.filter((each) => now > this.#limit(each));
    // They hold it, and only the note that they do could not be stored: what comes after it is due for itself.
    if (past.some(({ name }) => name === "report") && heard()) {
      this.#untoldSince = null;
      this.#due = this.#due.filter(({ name }) => name !== "report");
    }
    const late = past.filter((each) => this.#due.includes(each));
    this.#earliest = Number.POSITIVE_INFINITY;
    for (const each of this.#due)
      if (now <= this.#limit(each)) this.#earliest = Math.min(this.#earliest, this.#limit(each));
    return late.map(({ name, at }) => `LATE: ${name} was due ${now - at} ms ago`);
  }

  #limit({ name, at, within, from }: Watched): number {
    return (
      this.#disturbances.countsFrom(Math.max(at, from), told.has(name)) + within + this.#timers.alarmSlipMs + wakeMs
    );
  }
}

const nothing: readonly string[] = [];
