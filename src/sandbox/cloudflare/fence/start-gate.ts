/**
 * Whether the container may start right now. Every SDK call starts a stopped container by itself (exec, list, kill, a
 * preview's traffic), so the answer is no, except while a launch that was armed durably is at that very step, and only
 * until it is retired or too late. It is asked in the object's `start`, in `startAndWaitForPorts`, and once more right
 * before the container itself starts.
 */
import type { Generation, SandboxId } from "../../../domain/state/ids.ts";
import type { Clock } from "../../../runtime/clock-ids-logger.ts";
import type { FenceRecords } from "./fence-records.ts";

/**
 * Every refusal begins with these words. The failure table recognises a refusal by them, because the class of an error
 * does not survive the SDK.
 */
export const startRefused = "Mooring did not start the container";

interface Opening {
  readonly sandboxId: SandboxId;
  readonly generation: Generation;
  readonly launchNotAfter: number;
}

export class StartGate {
  readonly #records: FenceRecords;
  readonly #clock: Clock;
  #opening: Opening | null = null;

  constructor(records: FenceRecords, clock: Clock) {
    this.#records = records;
    this.#clock = clock;
  }

  /** null: the container may start. Otherwise why not, beginning with `startRefused`. */
  refusal(): string | null {
    const opening = this.#opening;
    if (opening === null) return `${startRefused}: no launch is under way.`;
    if (this.#clock.now() > opening.launchNotAfter)
      return `${startRefused}: the launch came after the end of its time.`;
    const { armed, retiredThrough } = this.#records.sandbox(opening.sandboxId);
    if (this.#records.roster.retired) return `${startRefused}: the shared container is retired.`;
    if (armed?.generation !== opening.generation) return `${startRefused}: another generation was launched meanwhile.`;
    if (retiredThrough !== null && opening.generation <= retiredThrough)
      return `${startRefused}: its generation was retired meanwhile.`;
    return null;
  }

  async during<T>(opening: Opening, start: () => Promise<T>): Promise<T> {
    this.#opening = opening;
    try {
      return await start();
    } finally {
      this.#opening = null;
    }
  }
}
