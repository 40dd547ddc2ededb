/** What a measure yields. Every figure is a ratio or a count taken in one run: it means the same on a slower machine. */

export interface Bar {
  readonly type: "at most" | "at least";
  readonly value: number;
}

export interface Figure {
  /** Stable, for docs/bench.json and whoever compares two of them. */
  readonly id: string;
  readonly what: string;
  readonly against: string;
  readonly value: number;
  /** How the value reads: `×` a ratio, `s`, `MB` (10⁶ bytes), `kB`, or what is counted. */
  readonly unit: string;
  readonly bar: Bar;
  /** What the value was made of, for a reader who wonders. */
  readonly details: Readonly<Record<string, number | string>>;
}

/** `small`: to see that a measure works. Its figures are not those of the page. */
export type Size = "full" | "small";

export interface Measure {
  readonly name: string;
  /** `say`: one line of progress. */
  run(say: (text: string) => void, size: Size): Promise<readonly Figure[]>;
}

/** A measure that ended in an error: its figures are missing from the run. */
export interface FailedMeasure {
  readonly name: string;
  readonly why: string;
}

export function met({ value, bar }: Figure): boolean {
  return bar.type === "at most" ? value <= bar.value : value >= bar.value;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Nearest rank; NaN of nothing. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? Number.NaN;
}

/** For people: three significant digits. */
export function rounded(value: number): number {
  return Number.isInteger(value) ? value : Number(value.toPrecision(3));
}
