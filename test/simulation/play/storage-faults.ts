/** Storage that cannot write: now and then, or one object's for a while; before a transaction begins, or at its very end. */
import type { SeededRandom } from "../../support/seeded-random.ts";
import type { VirtualTime } from "../../support/virtual-time.ts";
import type { SimStorage, WriteFailure } from "../objects/sim-storage.ts";
import type { SimPlan } from "./sim-plan.ts";

export interface StorageFaultDependencies {
  readonly plan: SimPlan;
  readonly random: SeededRandom;
  readonly time: VirtualTime;
  readonly faulty: () => boolean;
}

export class StorageFaults {
  readonly #world: StorageFaultDependencies;
  /** Until when that storage fails at nearly each write, in elapsed time. */
  readonly #bad = new Map<SimStorage, number>();
  readonly #known: SimStorage[] = [];

  constructor(world: StorageFaultDependencies) {
    this.#world = world;
  }

  /** `onFailure` hears of each write that fails. */
  attach(storage: SimStorage, onFailure: (failure: WriteFailure) => void): void {
    this.#known.push(storage);
    const { plan } = this.#world;
    if (plan.storageFailRate === 0 && plan.storageBurstEveryMs === null) return;
    storage.fails = () => {
      const failure = this.#failureOf(storage);
      if (failure !== null) onFailure(failure);
      return failure;
    };
  }

  /** One of them goes bad for a while. */
  burst(): void {
    const { random, plan, time } = this.#world;
    if (this.#known.length === 0) return;
    const ms = random.pick([random.int(1, plan.unitMs / 4), random.int(1, 2 * plan.unitMs)]);
    this.#bad.set(random.pick(this.#known), time.elapsed + ms);
  }

  #failureOf(storage: SimStorage): WriteFailure | null {
    const { random, plan, time, faulty } = this.#world;
    if (!faulty()) return null;
    const bad = (this.#bad.get(storage) ?? -1) > time.elapsed;
    if (!random.chance(bad ? 0.9 : plan.storageFailRate)) return null;
    return random.chance(0.5) ? "before" : "commit";
  }
}
