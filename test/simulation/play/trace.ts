/** What happened, readable, in order. Costs nothing unless somebody wants to read it. */
export class Trace {
  readonly #enabled: boolean;
  readonly #elapsed: () => number;
  readonly lines: string[] = [];

  constructor(enabled: boolean, elapsed: () => number) {
    this.#enabled = enabled;
    this.#elapsed = elapsed;
  }

  /** `words` is only made when it is kept. */
  note(who: string, words: () => string): void {
    if (!this.#enabled) return;
    this.lines.push(`${clockText(this.#elapsed())}  ${who.padEnd(9)} ${words()}`);
  }
}

/** `1:02:03.004` since the schedule began. */
export function clockText(ms: number): string {
  const part = (value: number, width: number) => String(Math.floor(value)).padStart(width, "0");
  const seconds = `${part((ms / 1_000) % 60, 2)}.${part(ms % 1_000, 3)}`;
  return `${part(ms / 3_600_000, 3)}:${part((ms / 60_000) % 60, 2)}:${seconds}`;
}
