/** What a run shows while it runs and what it counts: one line an event when verbose, else one line that renews itself. */
import { bold, dim, line, renew, seconds, timed } from "../../scripts/demo/stage.ts";

export interface FaultCount {
  struck: number;
  readonly outcomes: Map<string, number>;
}

export class Journal {
  readonly faults = new Map<string, FaultCount>();
  readonly #verbose: boolean;
  readonly #began = performance.now();
  /** The newest events: a breach is easier to read with what came before it. */
  readonly recent: string[] = [];

  readonly #shown: boolean;

  /** Not `shown`: for a test, which has a report of its own. */
  constructor(verbose: boolean, shown = true) {
    this.#verbose = verbose;
    this.#shown = shown;
  }

  get elapsedMs(): number {
    return performance.now() - this.#began;
  }

  event(text: string): void {
    this.recent.push(`${seconds(this.elapsedMs).padStart(8)}  ${text}`);
    if (this.recent.length > 400) this.recent.shift();
    if (this.#verbose && this.#shown) timed(this.#began, text);
  }

  chapter(text: string): void {
    this.event(bold(text));
    if (!this.#verbose && this.#shown) line(`${dim(seconds(this.elapsedMs).padStart(8))}  ${text}`);
  }

  status(text: string): void {
    if (!this.#verbose && this.#shown) renew(text);
  }

  struck(fault: string, outcome: string): void {
    const count = this.faults.get(fault) ?? { struck: 0, outcomes: new Map<string, number>() };
    count.struck += 1;
    count.outcomes.set(outcome, (count.outcomes.get(outcome) ?? 0) + 1);
    this.faults.set(fault, count);
  }
}
