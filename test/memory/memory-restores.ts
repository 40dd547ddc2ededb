/**
 * Restores that are under way in a memory world, by instance. Each takes as long as `ms` said when it was first asked for, goes on
 * when nobody asks, and finds itself done when it is asked again: a step of its own, before the launch.
 */
import type { InstanceId } from "../../src/domain/state/ids.ts";

export interface RestoreUnderWay {
  readonly beganAt: number;
  readonly endsAt: number;
  readonly bytes: number;
}

export class MemoryRestores {
  /** Of those that begin from now on. */
  ms = 0;
  readonly #begun = new Map<InstanceId, RestoreUnderWay>();

  ask(instance: InstanceId, bytes: number, now: number): RestoreUnderWay {
    const known = this.#begun.get(instance);
    if (known !== undefined) return known;
    const begun = { beganAt: now, endsAt: now + this.ms, bytes };
    this.#begun.set(instance, begun);
    return begun;
  }

  /** A launch before that would start on half a workspace. */
  isUnderWay(instance: InstanceId, now: number): boolean {
    return (this.#begun.get(instance)?.endsAt ?? now) > now;
  }
}
