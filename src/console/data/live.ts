/**
 * A read that is repeated while the page is visible, and never while it is hidden. When a read fails, the last data
 * stays on the page with its age.
 */
import { signal, type Signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import type { ProblemBody } from "../../protocol/problem.ts";
import { problemIn } from "./call.ts";
import { visible } from "./clock.ts";

export interface Live<T> {
  readonly data: T | null;
  readonly problem: ProblemBody | null;
  /** When `data` arrived; null: never. */
  readonly at: number | null;
  /** The first answer has not arrived yet. */
  readonly loading: boolean;
}

export interface LiveHandle<T> {
  readonly state: Signal<Live<T>>;
  /** Reads now and drops a read that is under way. */
  readonly refresh: () => void;
}

/** The least time between two reads of the same thing. */
const leastMs = 1_000;

/** `key` names what is read; another key starts from nothing. `everyMs` null: read once, and again on `refresh`. */
export function useLive<T>(
  key: string,
  fetcher: (signal: AbortSignal) => Promise<T>,
  everyMs: number | null,
): LiveHandle<T> {
  const reader = useMemo(() => new Reader<T>(fetcher, everyMs), [key, everyMs]);
  // Use the newest closure without starting again.
  reader.fetcher = fetcher;
  useEffect(() => reader.start(), [reader]);
  return reader;
}

class Reader<T> implements LiveHandle<T> {
  readonly state = signal<Live<T>>({ data: null, problem: null, at: null, loading: true });
  fetcher: (signal: AbortSignal) => Promise<T>;
  readonly #everyMs: number | null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asked: AbortController | null = null;
  #askedAt = 0;
  #running = false;

  constructor(fetcher: (signal: AbortSignal) => Promise<T>, everyMs: number | null) {
    this.fetcher = fetcher;
    this.#everyMs = everyMs;
  }

  start(): () => void {
    this.#running = true;
    const stopWatching = visible.subscribe((seen) => {
      if (seen) this.#schedule(Math.max(0, this.#dueIn()));
      else this.#hold();
    });
    return () => {
      this.#running = false;
      stopWatching();
      this.#hold();
    };
  }

  readonly refresh = (): void => {
    if (this.#running && visible.peek()) this.#schedule(Math.max(0, this.#askedAt + leastMs - Date.now()));
    else this.#askedAt = 0;
  };

  /** After the page was hidden, a read that is overdue starts at once. */
  #dueIn(): number {
    if (this.#askedAt === 0) return 0;
    return this.#everyMs === null ? 86_400_000 : this.#askedAt + this.#everyMs - Date.now();
  }

  #hold(): void {
    clearTimeout(this.#timer);
    if (this.#asked !== null) this.#askedAt = 0;
    this.#asked?.abort();
    this.#asked = null;
  }

  #schedule(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#ask(), ms);
  }

  async #ask(): Promise<void> {
    this.#asked?.abort();
    const asked = new AbortController();
    this.#asked = asked;
    this.#askedAt = Date.now();
    try {
      const data = await this.fetcher(asked.signal);
      if (asked.signal.aborted) return;
      this.state.value = { data, problem: null, at: Date.now(), loading: false };
    } catch (error) {
      if (asked.signal.aborted) return;
      this.state.value = { ...this.state.peek(), problem: problemIn(error), loading: false };
    }
    this.#asked = null;
    if (this.#running && this.#everyMs !== null) this.#schedule(Math.max(leastMs, this.#everyMs));
  }
}
