/** Faults that tests order: what happens to the next calls of an operation. Only with `--faults`. */
import { setTimeout as pause } from "node:timers/promises";
import type { ServerResponse } from "node:http";
import type { HostFault } from "../../../src/protocol/sandbox/host.ts";
import { Refusal } from "../refusal.ts";

export type FaultOp = Exclude<HostFault["op"], "any">;

export class Faults {
  readonly #waiting: { readonly fault: HostFault; left: number }[] = [];

  add(fault: HostFault): void {
    this.#waiting.push({ fault, left: fault.count });
  }

  clear(): void {
    this.#waiting.length = 0;
  }

  /** Runs `effect` as the first ordered fault of this operation says. null: send no answer. */
  async apply<T>(op: FaultOp, response: ServerResponse, effect: () => Promise<T>): Promise<T | null> {
    const fault = this.#take(op);
    switch (fault?.mode) {
      case undefined:
        return effect();
      case "error":
        throw new Refusal("internal", "A fault on order, before the effect.");
      case "hang":
        await new Promise((resolve) => response.once("close", resolve));
        return null;
      case "delay":
        // The effect comes even after the caller has given up, as it does on a slow network.
        await pause(fault?.delay_ms ?? 0);
        return effect();
      case "lost_reply":
        await effect().catch(() => null);
        response.destroy();
        return null;
    }
  }

  #take(op: FaultOp): HostFault | null {
    const index = this.#waiting.findIndex(({ fault }) => fault.op === op || fault.op === "any");
    const entry = this.#waiting[index];
    if (entry === undefined) return null;
    entry.left -= 1;
    if (entry.left === 0) this.#waiting.splice(index, 1);
    return entry.fault;
  }
}
