/**
 * An hour of a fleet that only runs: what each session costs the control plane must not grow with how many there are. Real sessions,
 * a real registry, a real index over the memory provider, in virtual time: it counts, and no clock of this machine is in it.
 */
import "../../support/cloudflare/node-workers-module.ts";
import type { SessionId } from "../../../src/domain/state/ids.ts";
import { defaultPolicy } from "../../../src/domain/rules/policy.ts";
import type { SessionApi } from "../../../src/session/session-api.ts";
import { memorySandbox } from "../../memory/memory-sandbox.ts";
import { MemoryWorld } from "../../memory/memory-world.ts";
import type { ObjectDependencies } from "../../simulation/objects/sim-object.ts";
import { instantTrafficKeys } from "../../support/instant-traffic-keys.ts";
import { seededIds, SeededRandom } from "../../support/seeded-random.ts";
import { VirtualClock, VirtualTime } from "../../support/virtual-time.ts";
import type { Figure, Measure } from "../figure.ts";

const { SimFleet } = await import("../../simulation/objects/sim-fleet.ts");
const { simSession } = await import("../../simulation/objects/sim-session.ts");
const { simTenant } = await import("../../simulation/objects/sim-tenant.ts");
const { Trace } = await import("../../simulation/play/trace.ts");
const { quotaTerms } = await import("../../../src/tenant/quota/quota.ts");

const minute = 60_000;
const hour = 60 * minute;

/** For each session in the hour. */
interface Hour {
  /** To the provider, the registry and the index. */
  readonly calls: number;
  /** Statements that write, and alarms, of all objects. */
  readonly writes: number;
  readonly wakes: number;
}

export const fleetHour: Measure = {
  name: "fleet-hour",
  async run(say, size) {
    const [few, many] = size === "small" ? [5, 20] : [10, 1_000];
    const small = await hourOf(few);
    say(`${few} sessions: ${told(small)}`);
    const large = await hourOf(many);
    say(`${many} sessions: ${told(large)}`);
    return (["calls", "writes", "wakes"] as const).map((what): Figure => ({
      id: `fleet-hour.${what}`,
      what: `${names[what]} for each of ${many} running sessions, in an hour of virtual time`,
      against: `for each of ${few}`,
      value: large[what] / small[what],
      unit: "×",
      bar: { type: "at most", value: 1.05 },
      details: { few_each: small[what], many_each: large[what] },
    }));
  },
};

const names = {
  calls: "calls of the control plane",
  writes: "writes and alarms of all objects",
  wakes: "wakes",
} as const;

const told = ({ calls, writes, wakes }: Hour): string =>
  `${calls.toFixed(1)} calls, ${writes.toFixed(1)} writes and ${wakes.toFixed(1)} wakes each`;

async function hourOf(count: number): Promise<Hour> {
  const random = new SeededRandom(count);
  const time = new VirtualTime(random.stream("order"));
  const clock = new VirtualClock(time, Date.UTC(2026, 0, 1));
  const counted = { calls: 0, wakes: 0 };
  class Wakes extends Trace {
    override note(_who: string, words: () => string): void {
      if (words() === "alarm fires") counted.wakes += 1;
    }
  }
  const ids = seededIds(random.stream("ids"));
  const around: ObjectDependencies = {
    ...{ time, clock, trace: new Wakes(false, () => 0) },
    points: { crashesAt: () => false },
    alarmSlip: () => 0,
    onCrash: () => {},
    onLateAlarm: () => {},
  };
  const world = new MemoryWorld({ clock, startMs: 500, keepOutputBytes: 100_000 });
  const faults = {
    decide: () => {
      counted.calls += 1;
      return { type: "none" } as const;
    },
  };
  const sandbox = memorySandbox(world, { clock, faults, keys: instantTrafficKeys });
  const fleet = new SimFleet(clock, count + 1);
  const calling = <T>(answer: () => T): Promise<T> => {
    counted.calls += 1;
    return Promise.resolve().then(answer);
  };
  const registry = simTenant("acme", {
    ...{ ...around, usedTables: true, ids, sandbox, terms: quotaTerms(defaultPolicy, count + 1) },
    control: { allow: (order) => calling(() => fleet.control.allow(order)) },
    counts: { counts: (counts) => calling(() => fleet.index.counts(counts)) },
    poke: async () => ({ known: true }),
    budgetSpent: async () => ({ known: true }),
  });
  const asked = <T>(method: Parameters<typeof registry.call<T>>[0]): Promise<T> => {
    counted.calls += 1;
    return registry.call(method);
  };
  const sessions = Array.from({ length: count }, () => {
    const id = ids.id() as SessionId;
    const object = simSession(id, {
      ...{ ...around, usedTables: true, policy: defaultPolicy, ids, sandbox, keys: () => ["k1"] },
      tenant: {
        reserve: (order) => asked((face) => face.reserve(order)),
        cancelReservation: (session, generation) => asked((face) => face.cancelReservation(session, generation)),
        admitPause: (order) => asked((face) => face.admitPause(order)),
        reserveSnapshot: (order) => asked((face) => face.reserveSnapshot(order)),
        settleSnapshot: (session, taken) => asked((face) => face.settleSnapshot(session, taken)),
        snapshot: (reference) => asked((face) => face.snapshot(reference)),
        report: (report) => asked((face) => face.report(report)),
      },
      index: {
        report: (report) => calling(() => fleet.index.report(report)),
        markBlocked: (mark) => calling(() => fleet.index.markBlocked(mark)),
      },
    });
    return { id, object };
  });
  const storages = [
    registry.storage,
    fleet.indexStorage,
    fleet.controlStorage,
    ...sessions.map((each) => each.object.storage),
  ];
  try {
    for (const { id, object } of sessions) {
      const create = object.call((api: SessionApi) =>
        api.create(id, caller, { timeout_seconds: 4 * 3_600, idle_timeout_seconds: null }, null, 0),
      );
      const created = await time.until(create);
      if (!created.ok) throw new Error(created.problem.detail);
      // Spread over a minute, as clients would come.
      await time.run(minute / count);
    }
    await time.run(5 * minute);
    const running = await Promise.all(
      sessions.map(async ({ object }) => await time.until(object.call((api: SessionApi) => api.get(caller)))),
    );
    if (!running.every((each) => each.ok && each.value.body.status === "running"))
      throw new Error(`not all of ${count} sessions run after five minutes`);
    const before = { ...counted, writes: sum(storages.map((storage) => storage.writes)) };
    await time.run(hour);
    const writes = sum(storages.map((storage) => storage.writes)) - before.writes;
    const wakes = counted.wakes - before.wakes;
    return {
      calls: (counted.calls - before.calls) / count,
      // The stand-in for storage writes down that an alarm fired; on the platform that costs nothing.
      writes: (writes - wakes) / count,
      wakes: wakes / count,
    };
  } finally {
    for (const storage of storages) storage.close();
  }
}

const caller = { tenant: "acme", requestId: "bench", scopes: [] } as unknown as Parameters<SessionApi["get"]>[0];

const sum = (numbers: readonly number[]): number => numbers.reduce((all, each) => all + each, 0);
