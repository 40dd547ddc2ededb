/** Runs tasks with the same key one after another; tasks with different keys run in parallel. */
export class KeyedQueue {
  readonly #last = new Map<string, Promise<unknown>>();

  /** A task that fails does not stop those behind it. */
  run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve();
    const mine = before.then(task, task);
    this.#last.set(key, mine);
    const leave = (): void => {
      if (this.#last.get(key) === mine) this.#last.delete(key);
    };
    mine.then(leave, leave);
    return mine;
  }

  isBusy(key: string): boolean {
    return this.#last.has(key);
  }

  /** Resolves when every task that has the key now, or any key, has ended, well or not. */
  async drained(key?: string): Promise<void> {
    const tasks = key === undefined ? [...this.#last.values()] : [this.#last.get(key) ?? Promise.resolve()];
    await Promise.allSettled(tasks);
  }
}
