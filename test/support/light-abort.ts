/**
 * AbortController and AbortSignal in so far as the code under simulation uses them.
 *
 * Node's are event targets with weak references and events; the bound of each call makes three of them. `withLightAborts`
 * puts these in their place while virtual time passes, where nothing of the platform ever sees a signal.
 */
type Listener = (() => void) | { handleEvent(): void };

class LightSignal {
  #aborted = false;
  #reason: unknown = undefined;
  #listeners: Listener[] = [];
  /** Signals that end with this one: after its own listeners, as the platform does it. */
  readonly #joined: LightSignal[] = [];

  get aborted(): boolean {
    return this.#aborted;
  }

  get reason(): unknown {
    return this.#reason;
  }

  throwIfAborted(): void {
    if (this.#aborted) throw this.#reason;
  }

  /** Every listener is told once, as an abort comes once. */
  addEventListener(_type: "abort", listener: Listener): void {
    if (!this.#aborted && !this.#listeners.includes(listener)) this.#listeners.push(listener);
  }

  removeEventListener(_type: "abort", listener: Listener): void {
    const at = this.#listeners.indexOf(listener);
    // Not in place: the list may be walked right now.
    if (at >= 0) this.#listeners = this.#listeners.toSpliced(at, 1);
  }

  abort(reason: unknown): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason;
    const told = this.#listeners;
    for (const listener of told) {
      // A listener that an earlier one removed is not told any more.
      if (!this.#listeners.includes(listener)) continue;
      if (typeof listener === "function") listener();
      else listener.handleEvent();
    }
    this.#listeners = [];
    for (const signal of this.#joined.splice(0)) signal.abort(reason);
  }

  static any(signals: readonly LightSignal[]): LightSignal {
    const joined = new LightSignal();
    for (const signal of signals) {
      if (signal.aborted) joined.abort(signal.reason);
      else signal.#joined.push(joined);
    }
    return joined;
  }

  static timeout(): never {
    throw new Error("virtual time has no signal that ends by itself: bound the call with a clock");
  }
}

class LightController {
  readonly signal = new LightSignal();

  abort(reason: unknown = "aborted"): void {
    this.signal.abort(reason);
  }
}

const light = { AbortController: LightController, AbortSignal: LightSignal };

const places = globalThis as unknown as Record<keyof typeof light, unknown>;

/** Their listeners are called as a real signal calls them: at the abort, in the order in which they came. */
export async function withLightAborts<T>(work: () => Promise<T>): Promise<T> {
  const { AbortController, AbortSignal } = places;
  Object.assign(places, light);
  try {
    return await work();
  } finally {
    Object.assign(places, { AbortController, AbortSignal });
  }
}
