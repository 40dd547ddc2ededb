/**
 * A clock whose sleeps end even when the platform's timers stall.
 *
 * Every bound of a session is a sleep. A platform's timers may stall: in workerd, those that are set while the wall clock is
 * being set back fire later by as much, even when the clock has long been right again. A call that hangs would keep its lane,
 * and a wake its alarm, for that time. So every request, alarm and change also checks the sleeps and ends the overdue ones.
 */
import { over } from "../calls/bounded-call.ts";
import { orFullLength } from "../domain/rules/instants.ts";
import type { Clock } from "../runtime/clock-ids-logger.ts";

/** A timer that is late by less than this fires by itself. */
const slackMs = 1_000;

interface Sleeper {
  until: number;
  readonly ms: number;
  readonly end: () => void;
}

export class WatchedClock implements Clock {
  readonly #clock: Clock;
  readonly #sleeping = new Set<Sleeper>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now();
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return;
    const ended = new AbortController();
    const end = (): void => ended.abort(over);
    const sleeper: Sleeper = { until: this.now() + ms, ms, end };
    this.#sleeping.add(sleeper);
    signal?.addEventListener("abort", end, { once: true });
    try {
      await this.#clock.sleep(ms, ended.signal);
    } finally {
      this.#sleeping.delete(sleeper);
      signal?.removeEventListener("abort", end);
    }
  }

  /** true: there were some, so the platform's timers stall, or did. */
  wakeOverdue(): boolean {
    const now = this.now();
    let stalled = false;
    for (const sleeper of this.#sleeping) {
      sleeper.until = orFullLength(sleeper.until, now, sleeper.ms);
      if (now < sleeper.until + slackMs) continue;
      stalled = true;
      sleeper.end();
    }
    return stalled;
  }
}
