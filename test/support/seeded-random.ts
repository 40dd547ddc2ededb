/** Randomness that a seed decides completely (mulberry32 over a mixed seed). Streams of other names share nothing with each other. */
import type { Ids } from "../../src/runtime/clock-ids-logger.ts";

export class SeededRandom {
  readonly #seed: number;
  #state: number;

  constructor(seed: number) {
    this.#seed = seed >>> 0;
    this.#state = mix(this.#seed);
  }

  /** A stream of its own: drawing from it moves no other, so one more draw here does not change the whole run. */
  stream(name: string): SeededRandom {
    let hash = this.#seed ^ 0x811c9dc5;
    for (let index = 0; index < name.length; index += 1) hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
    return new SeededRandom(mix(hash >>> 0));
  }

  /** In [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** From `low` to `high`, both included. */
  int(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(items: readonly T[]): T {
    if (items.length === 0) throw new RangeError("nothing to pick from");
    return items[Math.floor(this.next() * items.length)] as T;
  }

  /** By weight; a weight of 0 is never picked. */
  weighted<T>(choices: readonly (readonly [weight: number, choice: T])[]): T {
    const total = choices.reduce((sum, [weight]) => sum + weight, 0);
    let point = this.next() * total;
    for (const [weight, choice] of choices) {
      point -= weight;
      if (point < 0) return choice;
    }
    throw new RangeError("no choice has a weight");
  }

  /** So many characters of `alphabet`. */
  text(length: number, alphabet: string): string {
    let text = "";
    for (let index = 0; index < length; index += 1) text += alphabet[Math.floor(this.next() * alphabet.length)];
    return text;
  }
}

/** Neighbouring seeds must not begin alike. */
function mix(seed: number): number {
  let value = (seed + 0x9e3779b9) | 0;
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}

/** Ids that the seed decides. */
export function seededIds(random: SeededRandom): Ids {
  return {
    id: () => random.text(20, "abcdefghijklmnopqrstuvwxyz0123456789"),
    secret: () => random.text(64, "0123456789abcdef"),
    random: () => random.next(),
  };
}
