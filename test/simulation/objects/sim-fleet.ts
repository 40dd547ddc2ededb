/** The fleet's own objects: the shard of the index and the keeper of the global cap. Derived or asked at reservations only, so they never crash here; their storage fails. */
import type { AllowancePort } from "../../../src/fleet/control/control-api.ts";
import { ControlCore } from "../../../src/fleet/control/control-core.ts";
import { ShardIndex } from "../../../src/fleet/shard/shard-index.ts";
import type { Clock } from "../../../src/runtime/clock-ids-logger.ts";
import { SimStorage } from "./sim-storage.ts";

export class SimFleet {
  readonly indexStorage = new SimStorage("shard", true);
  readonly controlStorage = new SimStorage("control", true);
  readonly index: ShardIndex;
  readonly control: ControlCore;

  constructor(clock: Clock, maxSandboxes: number) {
    this.index = new ShardIndex(this.indexStorage, clock);
    this.control = new ControlCore(this.controlStorage, clock, { maxSandboxes });
  }

  /** As RPC would: whatever it throws reaches the caller as a rejection. */
  get allowance(): AllowancePort {
    return { allow: async (order) => this.control.allow(order) };
  }

  close(): void {
    this.indexStorage.close();
    this.controlStorage.close();
  }
}
