/** What is done by one name is done one after another; by different names side by side. Input gates do not hold across the SDK's awaits. */
import { bounded, timedOut } from "../../../calls/bounded-call.ts";
import type { Clock } from "../../../session/ambient.ts";

export class Turns {
  readonly #last = new Map<string, Promise<void>>();

  in<T>(name: string, act: () => Promise<T>): Promise<T> {
    const before = this.#last.get(name) ?? Promise.resolve();
    const mine = before.then(act);
    const over = mine.then(
      () => {},
      () => {},
    );
    this.#last.set(name, over);
    void over.then(() => {
      if (this.#last.get(name) === over) this.#last.delete(name);
    });
    return mine;
  }

  isBusy(name: string): boolean {
    return this.#last.has(name);
  }

  /** Until all that was begun by that name, or by any, is over; false: not within that time. */
  async settled(clock: Clock, ms: number, name?: string): Promise<boolean> {
    const begun = name === undefined ? [...this.#last.values()] : [this.#last.get(name) ?? Promise.resolve()];
    return (await bounded(clock, ms, () => Promise.all(begun))) !== timedOut;
  }
}
