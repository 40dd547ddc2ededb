/**
 * Another process that carries a session's markers: the same instance twice, an instance nobody launched, a wrapper of
 * before there were instances. None of them harms the session while it lives; none may outlive it.
 */
import { spawn } from "node:child_process";
import { markers } from "../../../src/protocol/sandbox/markers.ts";
import type { World } from "../world.ts";
import type { Fault } from "./fault.ts";

/** The instance of a process that nobody launched. */
export const nowhere = "instancefromnowhere00";

const scenes = ["working", "anything"] as const;

export const impostorFaults: readonly Fault[] = [
  { name: "same instance twice", weight: 2, scenes, strike: (world) => plant(world, "same") },
  { name: "foreign instance", weight: 2, scenes, strike: (world) => plant(world, "foreign") },
  { name: "legacy wrapper", weight: 1, scenes, strike: (world) => plant(world, "legacy") },
];

async function plant(world: World, which: "same" | "foreign" | "legacy"): Promise<string> {
  const victim = await world.victim("wrapper");
  if (victim === null || victim.seen.instance === null) return "nobody there";
  const { session, seen } = victim;
  session.hit(`${which} process planted`, "harmless", seen.generation);
  const instance = which === "same" ? (seen.instance ?? "") : nowhere;
  const child = spawn("sh", ["-c", "trap '' TERM; while :; do sleep 1; done"], {
    cwd: world.directory,
    detached: true,
    stdio: "ignore",
    env: {
      PATH: process.env["PATH"] ?? "",
      [markers.session]: seen.session,
      ...(which === "legacy"
        ? {}
        : {
            [markers.instance]: instance,
            [markers.generation]: String(seen.generation),
            [markers.role]: "wrapper",
          }),
    },
  });
  child.on("error", () => {});
  child.unref();
  if (child.pid !== undefined) world.planted.add(child.pid);
  world.journal.event(`planted ${which} process ${child.pid} in ${session.name}`);
  return "planted";
}
