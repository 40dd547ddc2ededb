/** Wrappers, guardians and jobs killed and frozen. Every hit is written down before it lands: who was not hit must live. */
import { strike } from "../census.ts";
import type { World } from "../world.ts";
import type { Severity } from "../tracked-session.ts";
import type { Fault } from "./fault.ts";

const scenes = ["working", "anything", "launching"] as const;

export const processFaults: readonly Fault[] = [
  { name: "wrapper SIGKILL", weight: 4, scenes, strike: (world) => kill(world, "wrapper", "fatal") },
  { name: "guardian SIGKILL", weight: 3, scenes, strike: (world) => kill(world, "guardian", "fatal") },
  { name: "job SIGKILL", weight: 2, scenes: ["working"], strike: (world) => kill(world, "job", "harmless") },
  {
    name: "wrapper and guardian SIGKILL",
    weight: 2,
    scenes: ["working"],
    strike: (world) => wholeInstance(world, "SIGKILL", (role) => role !== "job"),
  },
  {
    name: "wrapper frozen, thawed",
    weight: 3,
    scenes,
    strike: (world) => freezeShortly(world, "wrapper"),
  },
  { name: "guardian frozen, thawed", weight: 2, scenes, strike: (world) => freezeShortly(world, "guardian") },
  { name: "guardian frozen for good", weight: 1, scenes, strike: (world) => stop(world, "guardian", "harmless") },
  { name: "wrapper frozen for good", weight: 2, scenes, strike: (world) => stop(world, "wrapper", "fatal") },
  {
    name: "whole instance frozen for good",
    weight: 2,
    scenes: ["working"],
    strike: (world) => wholeInstance(world, "SIGSTOP", () => true),
  },
];

type Role = "wrapper" | "guardian" | "job";

async function kill(world: World, role: Role, severity: Severity): Promise<string> {
  const victim = await world.victim(role);
  if (victim === null) return "nobody there";
  victim.session.hit(`${role} SIGKILL`, severity, victim.seen.generation);
  world.journal.event(`SIGKILL ${role} ${victim.seen.pid} of ${victim.session.name}`);
  return strike(victim.seen, "SIGKILL") ? "killed" : "gone before";
}

async function stop(world: World, role: Role, severity: Severity): Promise<string> {
  const victim = await world.victim(role);
  if (victim === null) return "nobody there";
  victim.session.hit(`${role} frozen`, severity, victim.seen.generation);
  world.journal.event(`SIGSTOP ${role} ${victim.seen.pid} of ${victim.session.name}, for good`);
  return strike(victim.seen, "SIGSTOP") ? "frozen" : "gone before";
}

async function freezeShortly(world: World, role: Role): Promise<string> {
  const victim = await world.victim(role);
  if (victim === null) return "nobody there";
  // Long enough to miss renewals, short enough that the lease outlives it.
  const ms = world.random.int(1_000, world.order.ttlMs / 5);
  victim.session.hit(`${role} frozen shortly`, "harmless", victim.seen.generation);
  world.journal.event(`SIGSTOP ${role} ${victim.seen.pid} of ${victim.session.name} for ${ms} ms`);
  if (!strike(victim.seen, "SIGSTOP")) return "gone before";
  world.outages.begin(victim.session.name);
  try {
    await world.pause(ms);
  } finally {
    strike(victim.seen, "SIGCONT");
    world.outages.end(victim.session.name);
  }
  return "thawed";
}

async function wholeInstance(
  world: World,
  signal: "SIGKILL" | "SIGSTOP",
  which: (role: string | null) => boolean,
): Promise<string> {
  const victim = await world.victim("wrapper");
  if (victim === null) return "nobody there";
  victim.session.hit(`instance ${signal}`, "fatal", victim.seen.generation);
  const all = world.look().filter((each) => each.instance === victim.seen.instance && which(each.role));
  // The guardian first: it would act on the wrapper's end.
  const order = (role: string | null): number => (role === "guardian" ? 0 : role === "wrapper" ? 1 : 2);
  const struck = all.toSorted((a, b) => order(a.role) - order(b.role)).filter((each) => strike(each, signal));
  world.journal.event(`${signal} ${struck.length} processes of ${victim.session.name}`);
  return signal === "SIGKILL" ? "killed" : "frozen";
}
