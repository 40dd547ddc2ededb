/**
 * The object's one alarm, over the platform's: an instant that is armed already is not written again (a write is a row).
 * What an earlier incarnation armed is known only once the platform was asked.
 */
import type { AlarmPort } from "./ports.ts";

export interface PlatformAlarm {
  /** null: none is armed. */
  get(): Promise<number | null>;
  set(at: number): void;
  clear(): void;
}

export class ArmedAlarm implements AlarmPort {
  readonly #platform: PlatformAlarm;
  /** undefined: this incarnation does not know, so the first one is always written. */
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

  async inherited(): Promise<number | null | undefined> {
    const at = await this.#platform.get();
    return this.#at === undefined ? at : undefined;
  }

  /** It fired: inside its handler none is armed. */
  fired(): void {
    this.#at = undefined;
  }

  rolledBack(): void {
    this.#at = undefined;
  }

  /** It went with everything else that was stored. */
  erased(): void {
    this.#at = null;
  }
}
