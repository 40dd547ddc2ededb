/** The faults are over. Waits until nothing moves any more, and measures how long each promise took to come true. */
import type { SessionView } from "../../src/protocol/resources/session/sessions.ts";
import { census, strike, words } from "./census.ts";
import { nowhere } from "./faults/impostors.ts";
import { fencedMs } from "./order.ts";
import { answeredAll, retryUnanswered } from "./rounds.ts";
import type { TrackedSession } from "./tracked-session.ts";
import { readAll } from "./views.ts";
import type { World } from "./world.ts";

export interface Settled {
  /** From the end of the faults to the last process of a session that had been ended before, ms; null: never in time. */
  readonly lastProcessMs: number | null;
  /** From the end of the faults to the last final status. null: never in time. */
  readonly lastReceiptMs: number | null;
  readonly views: ReadonlyMap<TrackedSession, SessionView>;
  readonly breaches: readonly string[];
}

/** Everything up, no fault waiting, nothing frozen but what was frozen for good. */
export async function endFaults(world: World): Promise<void> {
  await world.restoreHost();
  await world.restoreWorker();
  await world.clearFaults();
}

const finalStatuses: readonly string[] = ["running", "lost", "terminated", "failed", "paused"];

export async function settle(world: World, withinMs: number): Promise<Settled> {
  const began = performance.now();
  const breaches: string[] = [];
  let lastProcessMs: number | null = null;
  let lastReceiptMs: number | null = null;
  let views = new Map<TrackedSession, SessionView>();
  for (;;) {
    await Promise.all(retryUnanswered(world));
    views = await readAll(world);
    const elapsed = performance.now() - began;
    const gone = world.sessions.filter((session) => session.deleteAskedAt !== null);
    const left = world.look().filter((seen) => gone.some((session) => session.id === seen.session));
    if (left.length === 0) lastProcessMs ??= elapsed;
    else lastProcessMs = null;
    const moving = world.sessions.filter((session) => session.id !== null && !isFinal(session, views.get(session)));
    world.journal.status(`settling: ${moving.length} sessions still move, ${left.length} processes of ended ones`);
    if (answeredAll(world.sessions) && moving.length === 0 && left.length === 0) {
      lastReceiptMs = elapsed;
      break;
    }
    if (elapsed > withinMs) {
      for (const session of moving) {
        const view = views.get(session);
        breaches.push(
          `${session.name} had not settled after ${Math.round(elapsed / 1_000)} s: ${view === undefined ? "no answer" : `${view.status}, ${view.teardown?.attempts.length ?? 0} stop attempts, parked ${view.teardown?.parked ?? false}, ${view.teardown?.attempts.at(-1)?.error ?? ""}`}`,
        );
      }
      for (const seen of left)
        breaches.push(`${words(seen)} is still there ${Math.round(elapsed / 1_000)} s after the faults.`);
      break;
    }
    await world.pause(500);
  }
  return { lastProcessMs, lastReceiptMs, views, breaches };
}

/** A session whose clock ends it is not done while it runs; one that was frozen for good has to be lost first. */
function isFinal(session: TrackedSession, view: SessionView | undefined): boolean {
  if (view === undefined || !finalStatuses.includes(view.status)) return false;
  const ended = view.status === "terminated" || view.status === "failed";
  if (session.deleteAskedAt !== null) return ended;
  if (session.life === "timeout") return ended;
  if (session.life === "idle") return view.status !== "running";
  // A loss that is certain but not yet seen: the hit generation still counts as running.
  const fatal = session.hits.some((hit) => hit.severity === "fatal" && hit.generation === view.generation);
  return !(fatal && view.status === "running");
}

const lookEveryMs = 200;

/**
 * Nothing answers any more. What is counted is /proc alone. Time in which this program itself got no processor does not count: those
 * that have to end then got none either.
 */
export async function waitForNone(
  world: World,
): Promise<{ readonly zeroAfterMs: number | null; readonly left: readonly string[] }> {
  const began = performance.now();
  let starvedMs = 0;
  for (;;) {
    // A process that a fault planted is nobody's sandbox: nothing inside it could fence it.
    const left = world.look().filter((seen) => seen.instance !== null && seen.instance !== nowhere);
    const elapsed = performance.now() - began - starvedMs;
    if (left.length === 0) return { zeroAfterMs: elapsed, left: [] };
    if (elapsed > fencedMs(world.order.ttlMs)) return { zeroAfterMs: null, left: left.map((seen) => words(seen)) };
    world.journal.status(`nobody is in control: ${left.length} processes left after ${(elapsed / 1_000).toFixed(1)} s`);
    const paused = performance.now();
    await world.pause(lookEveryMs);
    starvedMs += Math.max(0, performance.now() - paused - lookEveryMs);
  }
}

/** Whatever of this run is left in the end; for the way out only. */
export function endAllOf(world: World): number {
  const mine = census().filter((seen) => world.byId(seen.session) !== null || seen.cwd.startsWith(world.directory));
  return mine.filter((seen) => strike(seen, "SIGKILL")).length;
}
