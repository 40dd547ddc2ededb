/**
 * The object's one alarm, over the platform's. An instant that is set already is not written again, because each write costs
 * a row. What an earlier incarnation set is known only after asking the platform.
 */
import type { AlarmPort } from "./ports.ts";

export interface PlatformAlarm {
  /** null: no alarm is set. */
  get(): Promise<number | null>;
  set(at: number): void;
  clear(): void;
}

export class ArmedAlarm implements AlarmPort {
  readonly #platform: PlatformAlarm;
  /** undefined: not known in this incarnation, so the first one is always written. */
  #at: number | null | undefined;

  constructor(platform: PlatformAlarm) {
    this.#platform = platform;
  }

  set(at: number): void {
    if (this.#at === at) return;
    this.#at = at;
    this.#platform.set(at);
  }

  clear(): void {
    this.#at = null;
    this.#platform.clear();
  }

  armedFor(): number | null {
    return this.#at ?? null;
  }

  async inherited(): Promise<number | null | undefined> {
    const at = await this.#platform.get();
    return this.#at === undefined ? at : undefined;
  }

  /** It fired: no alarm is set inside its handler. */
  fired(): void {
    this.#at = undefined;
  }

  rolledBack(): void {
    this.#at = undefined;
  }

  /** It was deleted with everything else that was stored. */
  erased(): void {
    this.#at = null;
  }
}
