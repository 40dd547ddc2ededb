/**
 * The object's one alarm, over the platform's. Each write of it costs a row, so one that is still to come and early enough stays:
 * it wakes the session, and that wake arms what is needed by then. What an earlier incarnation set is known only after asking
 * the platform.
 */
import type { Clock } from "../runtime/clock-ids-logger.ts";
import type { AlarmPort } from "./ports.ts";

export interface PlatformAlarm {
  /** null: no alarm is set. */
  get(): Promise<number | null>;
  set(at: number): void;
  clear(): void;
}

export class ArmedAlarm implements AlarmPort {
  readonly #platform: PlatformAlarm;
  readonly #clock: Pick<Clock, "now">;
  /** undefined: not known in this incarnation, or doubted, so the next one is always written. */
  #at: number | null | undefined;

  constructor(platform: PlatformAlarm, clock: Pick<Clock, "now">) {
    this.#platform = platform;
    this.#clock = clock;
  }

  by(at: number): void {
    const armed = this.#at ?? null;
    // An alarm whose time has passed without firing may have been lost, so it does not count.
    if (armed !== null && armed <= at && armed > this.#clock.now()) return;
    this.set(at);
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

  doubt(): void {
    this.#at = undefined;
  }

  /** It was deleted with everything else that was stored. */
  erased(): void {
    this.#at = null;
  }
}
