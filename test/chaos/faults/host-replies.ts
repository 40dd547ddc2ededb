/** The host's replies dropped after the effect, delayed past their bound, never given, or an error before the effect. */
import type { HostFault } from "../../../src/protocol/sandbox/host.ts";
import type { World } from "../world.ts";
import type { Fault, Scene } from "./fault.ts";

type Op = HostFault["op"];
type Mode = HostFault["mode"];

const ops: readonly (readonly [op: Op, scene: Scene])[] = [
  ["launch", "launching"],
  ["endpoint", "launching"],
  ["retire", "stopping"],
  ["stop", "stopping"],
  ["observe", "stopping"],
];
const modes: readonly Mode[] = ["lost_reply", "error", "delay", "hang"];

export const hostReplyFaults: readonly Fault[] = ops.flatMap(([op, scene]) =>
  modes.map((mode) => ({
    name: `host ${op}: ${mode.replace("_", " ")}`,
    weight: 1,
    scenes: [scene],
    ...(op === "launch" && mode === "hang" ? { slow: true as const } : {}),
    strike: (world: World) => strike(world, op, mode),
  })),
);

async function strike(world: World, op: Op, mode: Mode): Promise<string> {
  const { random } = world;
  await world.orderFault({
    op,
    mode,
    count: random.int(1, mode === "hang" ? 2 : 3),
    ...(mode === "delay" ? { delay_ms: random.int(500, 5_000) } : {}),
  });
  await world.pause(random.int(2_000, 5_000));
  await world.clearFaults();
  return "ordered";
}
