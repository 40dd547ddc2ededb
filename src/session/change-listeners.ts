/** Tells whoever listens that the session's state has changed. A listener that fails keeps no other from being called. */
import type { Logger } from "../runtime/clock-ids-logger.ts";

export class ChangeListeners {
  readonly #logger: Logger;
  readonly #listeners = new Set<() => void>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Answers what ends it. */
  add(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  call(): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener();
      } catch (error) {
        this.#logger.error("a listener failed", { error: error instanceof Error ? error.message : String(error) });
      }
    }
  }
}
