/**
 * Time that passes only when a test says so, and a scheduler whose order a seed decides.
 *
 * `VirtualTime` owns elapsed time and every timer. A step fires one timer and then lets everything that it set in motion
 * run until nothing more can without a timer (one real macrotask: the engine drains all microtasks before it). Timers due
 * at one instant fire in an order drawn from the seed. It must not be used with anything that waits for real I/O.
 *
 * A `VirtualClock` is one machine's view of it: its `now` may jump, its sleeps last as long as they were asked to.
 */
import type { Clock } from "../../src/runtime/clock-ids-logger.ts";
import type { SeededRandom } from "./seeded-random.ts";

interface Timer {
  readonly at: number;
  /** Decides among timers of one instant. */
  readonly draw: number;
  readonly order: number;
  readonly fire: () => void;
  cancelled: boolean;
}

export class VirtualTime {
  readonly #random: SeededRandom;
  readonly #heap: Timer[] = [];
  #elapsed = 0;
  #steps = 0;
  #orders = 0;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  /** ms since this time began. Never falls, never jumps. */
  get elapsed(): number {
    return this.#elapsed;
  }

  get steps(): number {
    return this.#steps;
  }

  /** Answers how to call it off. */
  schedule(delayMs: number, fire: () => void): () => void {
    const at = this.#elapsed + Math.max(0, delayMs);
    const timer: Timer = { at, draw: this.#random.next(), order: this.#orders, fire, cancelled: false };
    this.#orders += 1;
    push(this.#heap, timer);
    return () => {
      timer.cancelled = true;
    };
  }

  /** On which the next timer is due; null when none is left. */
  nextAt(): number | null {
    this.#dropCancelled();
    return this.#heap[0]?.at ?? null;
  }

  /** Fires the next timer and lets its consequences run out. False when no timer is left. */
  async step(): Promise<boolean> {
    this.#dropCancelled();
    const timer = pop(this.#heap);
    if (timer === null) return false;
    this.#elapsed = Math.max(this.#elapsed, timer.at);
    this.#steps += 1;
    timer.fire();
    await this.settle();
    return true;
  }

  /** Lets run whatever can without time passing. */
  settle(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  /** Every timer due within `ms` from now, then time stands exactly there. */
  async run(ms: number): Promise<void> {
    const until = this.#elapsed + ms;
    await this.settle();
    for (let next = this.nextAt(); next !== null && next <= until; next = this.nextAt()) await this.step();
    this.#elapsed = until;
  }

  /** Until no timer is left. Throws when that takes more than `maxSteps`. */
  async runUntilQuiet(maxSteps = 100_000): Promise<void> {
    await this.settle();
    for (let steps = 0; await this.step(); steps += 1) {
      if (steps >= maxSteps) throw new Error(`still not quiet after ${maxSteps} steps`);
    }
  }

  /** Time passes until `promise` has settled. Throws when it cannot: no timer is left, or `withinMs` is over. */
  async until<T>(promise: Promise<T>, withinMs = 24 * 3_600_000): Promise<T> {
    let settled = false;
    const watched = promise.finally(() => (settled = true));
    watched.catch(() => {});
    const end = this.#elapsed + withinMs;
    await this.settle();
    while (!settled) {
      const next = this.nextAt();
      if (next === null) throw new Error("it can never settle: no timer is left");
      if (next > end) throw new Error(`it had not settled after ${withinMs} ms`);
      await this.step();
    }
    return watched;
  }

  #dropCancelled(): void {
    while (this.#heap[0]?.cancelled === true) pop(this.#heap);
  }
}

export class VirtualClock implements Clock {
  readonly #time: VirtualTime;
  readonly #waiting: (() => void)[] = [];
  #offset: number;
  /** Elapsed time at which it was stopped; null: it goes. */
  #stoodSince: number | null = null;

  /** `startsAt`: what it shows when the virtual time began, epoch ms. */
  constructor(time: VirtualTime, startsAt: number) {
    this.#time = time;
    this.#offset = startsAt;
  }

  now(): number {
    return this.#offset + (this.#stoodSince ?? this.#time.elapsed);
  }

  /** Somebody sets this clock. Timers take no notice. */
  jump(ms: number): void {
    this.#offset += ms;
  }

  /** It shows one instant, and none of its timers fires, until `goOn`. */
  stand(): void {
    this.#stoodSince ??= this.#time.elapsed;
  }

  /** It shows again what it would if it had never stood; what came due meanwhile fires now. Answers for how long it stood, ms. */
  goOn(): number {
    if (this.#stoodSince === null) return 0;
    const stood = this.#time.elapsed - this.#stoodSince;
    this.#stoodSince = null;
    for (const fire of this.#waiting.splice(0)) fire();
    return stood;
  }

  get stands(): boolean {
    return this.#stoodSince !== null;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted === true) return resolve();
      const awake = () => {
        callOff();
        signal?.removeEventListener("abort", awake);
        resolve();
      };
      const callOff = this.#time.schedule(ms, () => {
        if (this.stands) this.#waiting.push(awake);
        else awake();
      });
      signal?.addEventListener("abort", awake, { once: true });
    });
  }
}

function before(a: Timer, b: Timer): boolean {
  if (a.at !== b.at) return a.at < b.at;
  return a.draw !== b.draw ? a.draw < b.draw : a.order < b.order;
}

function push(heap: Timer[], timer: Timer): void {
  heap.push(timer);
  for (let child = heap.length - 1; child > 0;) {
    const parent = (child - 1) >> 1;
    if (!before(heap[child] as Timer, heap[parent] as Timer)) return;
    swap(heap, child, parent);
    child = parent;
  }
}

function pop(heap: Timer[]): Timer | null {
  const first = heap[0];
  const last = heap.pop();
  if (first === undefined || last === undefined) return null;
  if (heap.length === 0) return first;
  heap[0] = last;
  for (let parent = 0; ;) {
    const left = 2 * parent + 1;
    if (left >= heap.length) return first;
    const right = left + 1;
    const child = right < heap.length && before(heap[right] as Timer, heap[left] as Timer) ? right : left;
    if (!before(heap[child] as Timer, heap[parent] as Timer)) return first;
    swap(heap, child, parent);
    parent = child;
  }
}

function swap(heap: Timer[], a: number, b: number): void {
  const kept = heap[a] as Timer;
  heap[a] = heap[b] as Timer;
  heap[b] = kept;
}
