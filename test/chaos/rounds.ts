/**
 * The rounds: clients at work, one fault in the middle of it, everything back up. The seed decides what and to whom; how
 * the processes race is real, so a seed repeats a schedule and not an outcome.
 */
import type { SeededRandom } from "../support/seeded-random.ts";
import { create, drawJob, drawSession, fiddle, post, remove } from "./deeds.ts";
import { controlPlaneFaults } from "./faults/control-plane.ts";
import type { Fault, Scene } from "./faults/fault.ts";
import { hostReplyFaults } from "./faults/host-replies.ts";
import { impostorFaults } from "./faults/impostors.ts";
import { processFaults } from "./faults/instance-processes.ts";
import type { ChaosOrder } from "./order.ts";
import { readAll } from "./views.ts";
import type { TrackedSession } from "./tracked-session.ts";
import type { World } from "./world.ts";

const faults: readonly Fault[] = [...controlPlaneFaults, ...hostReplyFaults, ...processFaults, ...impostorFaults];

export async function playRounds(world: World, order: ChaosOrder): Promise<number> {
  if (order.script !== null) {
    for (const [index, [name, scene]] of order.script.entries()) {
      const fault = faults.find((each) => each.name === name);
      if (fault === undefined) throw new Error(`There is no fault called ${name}.`);
      await playRound(world, order, index + 1, fault, scene);
    }
    return order.script.length;
  }
  const possible = faults.filter((fault) => order.slowFaults || fault.slow !== true);
  // One of each kind first, in the seed's own order; then by weight. So a long run meets every fault.
  const once = shuffled(possible, world.random);
  const until = performance.now() + order.minutes * 60_000;
  let round = 0;
  for (; round < order.rounds && performance.now() < until; round += 1) {
    const fault = once.pop() ?? world.random.weighted(possible.map((each) => [each.weight, each] as const));
    await playRound(world, order, round + 1, fault, world.random.pick(fault.scenes));
  }
  return round;
}

async function playRound(world: World, order: ChaosOrder, number: number, fault: Fault, scene: Scene): Promise<void> {
  const { random, journal } = world;
  world.signal.throwIfAborted();
  journal.event(`— round ${number}: ${fault.name} while ${scene === "anything" ? "whatever runs, runs" : scene}`);
  // Settled from the start: an interrupted run must not end by a rejection that nobody awaits yet.
  const deeds = Promise.allSettled([...retryUnanswered(world), ...play(world, order, scene)]);
  await world.pause(random.int(30, scene === "anything" ? 300 : 1_500));
  const outcome = await fault.strike(world);
  journal.struck(fault.name, outcome);
  journal.event(`  ${fault.name}: ${outcome}`);
  for (const deed of await deeds) if (deed.status === "rejected") throw deed.reason;
  await world.pause(random.int(100, 900));
  await noticeEnds(world);
  const counts = new Map<string, number>();
  for (const { role } of world.look()) counts.set(role ?? "stranger", (counts.get(role ?? "stranger") ?? 0) + 1);
  const processes = [...counts].map(([role, count]) => `${count} ${role}${count === 1 ? "" : "s"}`).join(", ");
  journal.status(
    `round ${number}  ${fault.name.padEnd(32)} ${world.living.length} sessions alive of ${world.sessions.length}; ${processes}`,
  );
}

/** A client that finds its session over opens another: else the run would soon strike at nothing. */
async function noticeEnds(world: World): Promise<void> {
  for (const [session, view] of await readAll(world, world.living)) {
    session.over = view.status === "terminated" || view.status === "failed" || view.status === "lost";
  }
}

/** What clients do in this scene; begun, not awaited. */
function play(world: World, order: ChaosOrder, scene: Scene): Promise<unknown>[] {
  const { random } = world;
  const living = world.living;
  const deeds: Promise<unknown>[] = [];
  const room = order.sessions - living.length;
  const wanted = scene === "launching" ? Math.max(1, Math.min(3, room)) : Math.min(2, room);
  for (let count = 0; count < wanted; count += 1) {
    const session = drawSession(random, world.sessions.length + 1, world.sessions.length % 3 === 0);
    world.sessions.push(session);
    deeds.push(create(world, session));
  }
  const known = living.filter((session) => session.life !== "idle");
  const jobs = scene === "working" ? 4 : 1;
  for (let count = 0; count < jobs && living.length > 0; count += 1) {
    const session = random.pick(living);
    // A long job would keep an idle session from ever being idle.
    deeds.push(post(world, session, drawJob(world, session.life === "idle" ? "quick" : undefined)));
  }
  const goodbyes = scene === "stopping" ? Math.min(2, known.length) : room <= 0 ? 1 : 0;
  for (const session of shuffled(known, random).slice(0, goodbyes)) deeds.push(remove(world, session));
  if (living.length > 0) deeds.push(fiddle(world, random.pick(living)));
  return deeds;
}

/** What got no answer is asked again, as any client would. */
export function retryUnanswered(world: World): Promise<unknown>[] {
  return world.sessions.flatMap((session) => [
    ...(session.id === null && !session.refused ? [create(world, session)] : []),
    ...(session.deleteAskedAt !== null && !session.deleteAccepted ? [remove(world, session)] : []),
    ...(session.deleteAskedAt === null
      ? session.jobs.filter((job) => !job.accepted && !job.refused).map((job) => post(world, session, job))
      : []),
  ]);
}

export function answeredAll(sessions: readonly TrackedSession[]): boolean {
  return sessions.every(
    (session) => (session.id !== null || session.refused) && (session.deleteAskedAt === null || session.deleteAccepted),
  );
}

function shuffled<T>(items: readonly T[], random: SeededRandom): T[] {
  return items
    .map((item) => [random.next(), item] as const)
    .toSorted(([a], [b]) => a - b)
    .map(([, item]) => item);
}
