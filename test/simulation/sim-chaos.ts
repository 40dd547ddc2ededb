/** What befalls the controllers at any time: crashes, evictions, clocks that are set. And the cron, which goes on whatever happens. */
import type { Generation, InstanceId, SessionId } from "../../src/domain/ids.ts";
import { sweep, sweepTerms } from "../../src/fleet/layers/sweep.ts";
import type { ShardIndex } from "../../src/fleet/shard-index.ts";
import type { MemoryWorld } from "../../src/sandbox/memory/memory-world.ts";
import type { SeededRandom } from "../support/seeded-random.ts";
import type { VirtualClock, VirtualTime } from "../support/virtual-time.ts";
import type { SimPlan } from "./sim-plan.ts";
import type { Trace } from "./trace.ts";

export interface ChaosSurroundings {
  readonly time: VirtualTime;
  readonly clock: VirtualClock;
  readonly trace: Trace;
  readonly random: SeededRandom;
  readonly plan: SimPlan;
  readonly world: MemoryWorld;
  /** Something happened to this generation of a session; null: to everybody. */
  readonly happened: (
    fault: string,
    to: { readonly session: SessionId; readonly generation: Generation } | null,
  ) => void;
  readonly faulty: () => boolean;
  readonly objects: () => readonly { crash(what: string): void; armTimer(): void }[];
}

const minute = 60_000;
const hour = 60 * minute;

export class SimChaos {
  readonly #world: ChaosSurroundings;
  #jumps = 0;
  #strangers = 0;
  #behind = 0;

  constructor(world: ChaosSurroundings) {
    this.#world = world;
  }

  get jumps(): number {
    return this.#jumps;
  }

  /** How far the controllers' clock was set back and not forward again, ms: alarms come that much later. */
  get behind(): number {
    return this.#behind;
  }

  begin(): void {
    const { plan, random } = this.#world;
    if (plan.crashEveryMs !== null)
      this.every(plan.crashEveryMs, () => random.pick(this.#world.objects()).crash("any time"));
    if (plan.jumpEveryMs !== null) this.every(plan.jumpEveryMs, () => this.#jump());
    if (plan.strangersEveryMs !== null) this.every(plan.strangersEveryMs, () => this.#bringStranger());
  }

  /** Now and then, while faults happen. */
  every(meanMs: number, act: () => void): void {
    const { random, time, faulty } = this.#world;
    const again = (): void => {
      if (!faulty()) return;
      act();
      time.schedule(random.int(1, 2 * meanMs), again);
    };
    time.schedule(random.int(1, 2 * meanMs), again);
  }

  /** Into a sandbox that lives: a second process of the same instance, another instance, or a wrapper without a name. */
  #bringStranger(): void {
    const { random, world, trace, plan, happened } = this.#world;
    const wrappers = world.processes().filter(({ kind }) => kind === "wrapper");
    if (wrappers.length === 0) return;
    const { sandboxId, instanceId, sessionId, generation } = random.pick(wrappers);
    if (sandboxId === null || instanceId === null || generation === null) return;
    const order = world.instance(sandboxId, instanceId)?.order;
    if (order === undefined) return;
    const kind = random.pick(["duplicate", "stranger", "legacy"] as const);
    happened(`came_${kind}`, { session: sessionId, generation });
    trace.note("world", () => `a ${kind} appears in ${sandboxId}`);
    if (kind === "duplicate") world.smuggle(order);
    if (kind === "stranger") world.smuggle({ ...order, instanceId: `stranger-${this.#strangers++}` as InstanceId });
    if (kind === "legacy")
      world.mischief.addLegacy(sessionId, random.pick([null, sandboxId]), random.int(1, 20) * plan.unitMs);
  }

  #jump(): void {
    const { random, trace, clock, happened } = this.#world;
    const ms = random.pick([hour, -hour, random.int(-5 * minute, 5 * minute)]);
    // A clock that only ever went back would stand still for us.
    if (this.#behind - ms > 2 * hour) return;
    this.#behind = Math.max(0, this.#behind - ms);
    this.#jumps += 1;
    happened("clock_jump", null);
    trace.note("clock", () => `jumps by ${ms} ms`);
    clock.jump(ms);
    for (const object of this.#world.objects()) object.armTimer();
  }
}

/** The cron tick: every `everyMs` as it is then. */
export function simCron(
  time: VirtualTime,
  clock: VirtualClock,
  plan: SimPlan,
  index: ShardIndex,
  poke: (id: SessionId) => Promise<{ readonly known: boolean; readonly nextDeadline: number | null }>,
  everyMs: () => number,
): void {
  const shard = { name: "shard", api: { overdue: asynchronous(index) } };
  const tick = (): void => {
    const ports = { shards: [shard], poke, clock, random: () => 0.5 };
    void sweep(ports, sweepTerms(plan.policy)).then(() => time.schedule(everyMs(), tick));
  };
  time.schedule(everyMs(), tick);
}

function asynchronous(
  index: ShardIndex,
): (before: number, limit: number) => Promise<ReturnType<ShardIndex["overdue"]>> {
  return (before, limit) => Promise.resolve(index.overdue(before, limit));
}
