/** workerd and the host killed or frozen, and brought back on the same state. */
import type { World } from "../world.ts";
import type { Fault } from "./fault.ts";

const scenes = ["launching", "stopping", "working"] as const;

export const controlPlaneFaults: readonly Fault[] = [
  {
    name: "workerd SIGKILL",
    weight: 5,
    scenes,
    strike: async (world) => {
      await world.killWorker();
      await world.pause(world.random.int(0, 1_500));
      await world.restoreWorker();
      return "restarted";
    },
  },
  {
    name: "workerd frozen",
    weight: 2,
    scenes,
    strike: (world) => frozen(world, "workerd", world.random.int(1_000, 7_000)),
  },
  {
    name: "host SIGKILL",
    weight: 3,
    scenes,
    strike: async (world) => {
      await world.killHost();
      await world.pause(world.random.int(0, 5_000));
      await world.restoreHost();
      return "restarted";
    },
  },
  { name: "host frozen", weight: 2, scenes, strike: (world) => frozen(world, "host", world.random.int(1_000, 8_000)) },
  {
    name: "workerd and host SIGKILL",
    weight: 2,
    scenes,
    strike: async (world) => {
      await Promise.all([world.killWorker(), world.killHost()]);
      await world.pause(world.random.int(0, 1_000));
      // The worker needs a host to be ready.
      await world.restoreHost();
      await world.restoreWorker();
      return "restarted";
    },
  },
];

async function frozen(world: World, what: "workerd" | "host", ms: number): Promise<string> {
  world.freeze(what);
  try {
    await world.pause(ms);
  } finally {
    world.thaw(what);
  }
  return "thawed";
}
