/**
 * The whole control plane killed while jobs run, one session of each `on_loss` among them. Nobody is left who could end
 * anything, so within lease TTL + grace every sandbox has to end itself: /proc is all that is asked. Then the plane
 * comes back on its state and must tell each session's loss as its owner ordered.
 */
import { strike } from "./census.ts";
import { create, drawJob, drawSession, post } from "./deeds.ts";
import { fencedMs } from "./order.ts";
import { waitForNone } from "./settle.ts";
import { TrackedSession } from "./tracked-session.ts";
import { readAll } from "./views.ts";
import type { World } from "./world.ts";

export interface Blackout {
  readonly processesBefore: number;
  /** From the kill to the census that found nothing; null: not within TTL + grace. */
  readonly zeroAfterMs: number | null;
  /** The three it brought along, one for each `on_loss`. */
  readonly sessions: readonly TrackedSession[];
  readonly breaches: readonly string[];
}

const jobKinds = ["sleeper", "ignores TERM", "setsid child", "spews"] as const;

export async function blackOut(world: World): Promise<Blackout> {
  const breaches: string[] = [];
  const fresh = (["hold", "relaunch", "terminate"] as const).map((onLoss, index) => {
    const drawn = drawSession(world.random, world.sessions.length + index + 1, true);
    return new TrackedSession(drawn.key, { ...drawn.order, on_loss: onLoss }, "lasting");
  });
  world.sessions.push(...fresh);
  for (const session of fresh) {
    while (session.id === null) {
      await create(world, session);
      if (session.refused) throw new Error("No quota for the sessions of the blackout.");
    }
  }
  const notReady = await startJobs(world, fresh);
  if (notReady !== null) return { processesBefore: 0, zeroAfterMs: null, sessions: fresh, breaches: [notReady] };
  await Promise.all([world.killWorker(), world.killHost()]);
  // After the kill: from now on every one of them runs without anybody.
  const before = world.look();
  for (const session of world.living) session.hit("blackout", "fatal", newestOf(session));
  // One of the three loses its wrapper as well, one has it frozen: there the guardian alone is left to act.
  for (const [index, signal] of (["SIGKILL", "SIGSTOP"] as const).entries()) {
    const wrapper = before.find((seen) => seen.session === fresh[index]?.id && seen.role === "wrapper");
    if (wrapper === undefined || !strike(wrapper, signal)) breaches.push(`no wrapper to send ${signal} was there.`);
  }
  const { zeroAfterMs, left } = await waitForNone(world);
  for (const each of left)
    breaches.push(`${each} is alive ${fencedMs(world.order.ttlMs)} ms after the whole control plane was killed.`);
  await world.restoreHost();
  await world.restoreWorker();
  return { processesBefore: before.length, zeroAfterMs, sessions: fresh, breaches };
}

/** Against what never comes: three launches and their jobs take some seconds, and minutes on a machine that is busy with something else. */
const startWithinMs = 240_000;

/** Until a job of each is seen in /proc. Null, or why not. */
async function startJobs(world: World, fresh: readonly TrackedSession[]): Promise<string | null> {
  const until = performance.now() + startWithinMs;
  for (;;) {
    const views = await readAll(world);
    if (fresh.every((session) => views.get(session)?.status === "running")) break;
    if (performance.now() > until) return `the sessions of the blackout did not run within ${startWithinMs / 1_000} s.`;
    await world.pause(200);
  }
  for (const [index, session] of fresh.entries()) {
    for (const kind of [jobKinds[index % jobKinds.length], jobKinds[(index + 1) % jobKinds.length]])
      await post(world, session, drawJob(world, kind));
  }
  const works = (session: TrackedSession): boolean =>
    world.look().some((seen) => seen.session === session.id && seen.role === "job");
  while (!fresh.every((session) => works(session))) {
    if (performance.now() > until) return "the jobs of the blackout did not start.";
    await world.pause(100);
  }
  return null;
}

function newestOf(session: TrackedSession): number | null {
  return session.lastAlive.size === 0 ? null : Math.max(...session.lastAlive.keys());
}
