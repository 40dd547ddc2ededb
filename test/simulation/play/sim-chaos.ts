/**
 * What befalls the controllers at any time: crashes, evictions, clocks that are set or stand still, rows that cannot be read, keys that
 * are missing, a deploy. Each has its end, but for what the plan lets go on for ever. And the cron, which goes on whatever happens.
 */
import type { Generation, InstanceId, SessionId } from "../../../src/domain/state/ids.ts";
import { wrapperProtocol } from "../../../src/domain/state/wrapper-protocol.ts";
import { sweep, sweepTerms } from "../../../src/fleet/layers/sweep.ts";
import type { ShardIndex } from "../../../src/fleet/shard/shard-index.ts";
import type { MemoryWorld } from "../../memory/memory-world.ts";
import type { SeededRandom } from "../../support/seeded-random.ts";
import type { VirtualClock, VirtualTime } from "../../support/virtual-time.ts";
import type { SessionWatch } from "../checks/session-watch.ts";
import type { ClockJumps } from "../oracle/disturbances.ts";
import { damageRows, launchedByOlderCode } from "./damage.ts";
import type { SimPlan } from "./sim-plan.ts";
import type { Trace } from "./trace.ts";

export interface ChaosDependencies {
  readonly time: VirtualTime;
  readonly clock: VirtualClock;
  readonly trace: Trace;
  readonly random: SeededRandom;
  readonly plan: SimPlan;
  readonly world: MemoryWorld;
  readonly jumps: ClockJumps;
  /** The keys that are configured now, the newest first. */
  readonly keys: string[];
  /** Something happened to this generation of a session; null: to everybody. */
  readonly happened: (
    fault: string,
    to: { readonly session: SessionId; readonly generation: Generation } | null,
  ) => void;
  readonly happenedTo: (fault: string, watch: SessionWatch) => void;
  readonly faulty: () => boolean;
  readonly watches: () => readonly SessionWatch[];
  readonly tenant: { crash(what: string): void; armTimer(): void };
}

const minute = 60_000;
const hour = 60 * minute;

export class SimChaos {
  readonly #world: ChaosDependencies;
  #strangers = 0;
  #behind = 0;

  constructor(world: ChaosDependencies) {
    this.#world = world;
  }

  /** How far the controllers' clock was set back and not forward again, ms: alarms come that much later. */
  get behind(): number {
    return this.#behind;
  }

  begin(): void {
    const { plan, random, world } = this.#world;
    if (plan.crashEveryMs !== null) this.every(plan.crashEveryMs, () => random.pick(this.#objects()).crash("any time"));
    if (plan.jumpEveryMs !== null) this.every(plan.jumpEveryMs, () => this.#setClock());
    if (plan.strangersEveryMs !== null) this.every(plan.strangersEveryMs, () => this.#bringStranger());
    if (plan.damageEveryMs !== null) this.every(plan.damageEveryMs, () => this.#damage());
    if (plan.keysLostEveryMs !== null) this.every(plan.keysLostEveryMs, () => this.#loseKey());
    if (plan.deployAfterMs === null) return;
    // Wrappers of before the deploy speak the protocol of before it.
    world.wrapperProtocol = wrapperProtocol - 1;
    this.#world.time.schedule(plan.deployAfterMs, () => this.#deploy());
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

  #objects(): readonly { crash(what: string): void; armTimer(): void }[] {
    return [this.#world.tenant, ...this.#world.watches().map((watch) => watch.object)];
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

  /** It is set, and mostly put right again; or it stands still for a while, as it does where a clock goes back. */
  #setClock(): void {
    const { random, plan, time } = this.#world;
    if (random.chance(0.3)) return this.#stand();
    const ms = random.pick([hour, -hour, random.int(-5 * minute, 5 * minute)]);
    if (!this.#jump(ms) || random.chance(0.3)) return;
    time.schedule(random.int(1, 6 * plan.unitMs), () => this.#jump(-ms));
  }

  #jump(ms: number): boolean {
    const { trace, clock, happened } = this.#world;
    // A clock that only ever went back would stand still for us.
    if (this.#behind - ms > 2 * hour) return false;
    this.#behind = Math.max(0, this.#behind - ms);
    happened("clock_jump", null);
    trace.note("clock", () => `jumps by ${ms} ms`);
    clock.jump(ms);
    this.#wasSet(ms);
    return true;
  }

  #stand(): void {
    const { random, plan, time, trace, clock, happened } = this.#world;
    if (clock.stands) return;
    happened("clock_stands", null);
    trace.note("clock", () => "stands");
    clock.stand();
    time.schedule(random.pick([random.int(1, plan.unitMs), random.int(1, 8 * plan.unitMs)]), () => {
      const stood = clock.goOn();
      trace.note("clock", () => `goes on after ${stood} ms`);
      this.#wasSet(stood);
    });
  }

  #wasSet(ms: number): void {
    const { time, jumps, watches } = this.#world;
    jumps.add(time.elapsed, ms);
    for (const watch of watches()) watch.clockSet(ms);
    for (const object of this.#objects()) object.armTimer();
  }

  /** Its rows cannot be read, or are of newer code, for a while. */
  #damage(): void {
    const { random, plan, time, trace, watches, happenedTo } = this.#world;
    const whole = watches().filter(({ session, damage }) => session !== null && damage === null);
    if (whole.length === 0) return;
    const watch = random.pick(whole);
    const how = random.pick(["unreadable", "newer"] as const);
    happenedTo(`rows_${how}`, watch);
    trace.note("world", () => `the rows of ${watch.object.name} are ${how}`);
    const mend = damageRows(watch.object.storage, how);
    watch.object.crash(`its rows are ${how}`);
    watch.damaged(how);
    time.schedule(random.int(1, 4 * plan.unitMs), () => {
      trace.note("world", () => `the rows of ${watch.object.name} can be read again`);
      if (!watch.object.storage.hasTables) return watch.damaged(null);
      mend();
      watch.object.crash("its rows are mended");
      watch.damaged(null);
    });
  }

  /** A key that is not configured for a while: what was sealed with it cannot be opened. */
  #loseKey(): void {
    const { random, plan, time, trace, keys, happened } = this.#world;
    if (keys.length > 1) return;
    const [lost = "k1"] = keys;
    happened("key_lost", null);
    trace.note("world", () => `the key ${lost} is not configured`);
    const replaced = random.chance(0.5);
    keys.splice(0, 1, `${lost}x`);
    this.#restartAll("its keys changed");
    time.schedule(random.int(1, 3 * plan.unitMs), () => {
      // It comes back as the only one, or beside the one that took its place.
      keys.splice(0, keys.length, ...(replaced ? [`${lost}x`, lost] : [lost, `${lost}x`]));
      this.#restartAll("its keys changed");
      time.schedule(random.int(1, 3 * plan.unitMs), () => {
        if (!this.#world.faulty()) return;
        trace.note("world", () => "keys are as they were");
      });
    });
  }

  /** Newer code, with a newer wrapper: what was launched before is to be replaced. */
  #deploy(): void {
    const { world, trace, watches, happened } = this.#world;
    happened("deploy", null);
    trace.note("world", () => "a deploy");
    world.wrapperProtocol = wrapperProtocol;
    for (const watch of watches()) {
      if (watch.damage !== null || !watch.object.storage.hasTables) continue;
      watch.object.crash("a deploy");
      launchedByOlderCode(watch.object.storage, wrapperProtocol - 1);
      watch.damaged(null);
    }
    this.#world.tenant.crash("a deploy");
  }

  #restartAll(what: string): void {
    for (const object of this.#objects()) object.crash(what);
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
