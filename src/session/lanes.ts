/**
 * Owns the work under way, one piece in each lane, and the cooldown of a lane whose work failed or changed nothing.
 *
 * Work holds its lane for its bound at most. After that the attempt counts as given up and the next one starts, although the
 * old promise may still be pending. Its late report names an attempt that is over, and the state machine ignores it.
 */
import { orNow, stillAhead } from "../domain/rules/instants.ts";
import { backoffAfter } from "../domain/rules/backoff.ts";

/** Doubles up to the cap. Without a cooldown the pump would spin. */
const cooldown = { baseMs: 5_000, capMs: 300_000 };

interface Lane {
  readonly work: Promise<void>;
  startedAt: number;
  readonly boundMs: number;
}

export class Lanes {
  readonly #lanes = new Map<string, Lane>();
  readonly #cooldowns = new Map<string, { readonly until: number; readonly count: number }>();

  /** Also false for a lane whose work is past its bound: the lane is freed here. */
  isBusy(name: string, now: number): boolean {
    const lane = this.#lanes.get(name);
    if (lane === undefined) return false;
    // The clock was set back since the work began: its bound counts from now.
    lane.startedAt = orNow(lane.startedAt, now);
    if (now < lane.startedAt + lane.boundMs) return true;
    this.#lanes.delete(name);
    return false;
  }

  /** Calls `ended` when the work is done, unless the lane was freed before. */
  hold(name: string, boundMs: number, now: number, work: Promise<void>, ended: () => void): void {
    const lane: Lane = {
      startedAt: now,
      boundMs,
      work: work.finally(() => {
        if (this.#lanes.get(name) !== lane) return;
        this.#lanes.delete(name);
        ended();
      }),
    };
    this.#lanes.set(name, lane);
  }

  get busy(): readonly Promise<void>[] {
    return [...this.#lanes.values()].map((lane) => lane.work);
  }

  coolDown(name: string, now: number): void {
    const count = (this.#cooldowns.get(name)?.count ?? 0) + 1;
    this.#cooldowns.set(name, { until: now + backoffAfter(count, cooldown), count });
  }

  /** Its work succeeded: the next failure begins with the shortest cooldown. */
  clearCooldown(name: string): void {
    this.#cooldowns.delete(name);
  }

  /** null: no cooldown. */
  coolsUntil(name: string, now: number): number | null {
    const until = this.#cooldowns.get(name)?.until ?? now;
    return stillAhead(until, now, cooldown.capMs) ? until : null;
  }

  /** Another session begins in this object. */
  forgetCooldowns(): void {
    this.#cooldowns.clear();
  }
}
