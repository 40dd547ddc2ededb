/** The figures of the main job, measured with nothing broken: twenty at once, the idle clock, the launch. Shown, not judged. */
import type { SessionView } from "../../src/protocol/resources/session/sessions.ts";
import { create, drawSession, remove } from "./deeds.ts";
import { settledMs } from "./order.ts";
import { TrackedSession } from "./tracked-session.ts";
import { eventsOf } from "./verdict.ts";
import { readAll } from "./views.ts";
import type { World } from "./world.ts";

export interface Figures {
  readonly at: number;
  readonly running: number;
  readonly allRunningMs: number;
  /** From `launching` to `running` in each session's own events, sorted. */
  readonly launchMs: readonly number[];
  readonly allGoneMs: number;
  readonly receipts: number;
  readonly processesLeft: number;
  /** One session alone: launch to accepted lease, and the firing of its idle clock to verified absence. */
  readonly aloneLaunchMs: number | null;
  readonly idleToAbsentMs: number | null;
}

const count = 20;

export async function measureFigures(world: World): Promise<Figures> {
  const alone = new TrackedSession(
    `${drawSession(world.random, 0, true).key}-alone`,
    { idle_timeout_seconds: 3 },
    "idle",
  );
  world.sessions.push(alone);
  await create(world, alone);
  const aloneView = await until(world, [alone], (view) => view.status === "terminated", 60_000);
  const aloneEvents = alone.id === null ? null : await eventsOf(world, alone.id);
  const idleEndAt = Date.parse(aloneEvents?.find((event) => event.type === "terminating")?.at ?? "");
  const absentAt = Date.parse(aloneView.get(alone)?.teardown?.verified_absent_at ?? "");

  const all = Array.from({ length: count }, (_each, index) => drawSession(world.random, index + 1, true));
  world.sessions.push(...all);
  const began = performance.now();
  await Promise.all(all.map((session) => create(world, session)));
  const views = await until(world, all, (view) => view.status === "running", 120_000);
  const allRunningMs = performance.now() - began;
  const launchMs = await Promise.all(all.map((session) => launchOf(world, session)));
  const deletedAt = performance.now();
  await Promise.all(all.map((session) => remove(world, session)));
  const ended = await until(world, all, (view) => view.status === "terminated", settledMs(world.order));
  return {
    at: count,
    running: [...views.values()].filter((view) => view.status === "running").length,
    allRunningMs,
    launchMs: launchMs.filter((each) => each !== null).toSorted((a, b) => a - b),
    allGoneMs: performance.now() - deletedAt,
    receipts: [...ended.values()].filter((view) => view.teardown?.verified_absent_at != null).length,
    processesLeft: world.look().length,
    aloneLaunchMs: await launchOf(world, alone),
    idleToAbsentMs: Number.isNaN(absentAt - idleEndAt) ? null : absentAt - idleEndAt,
  };
}

async function launchOf(world: World, session: TrackedSession): Promise<number | null> {
  const events = session.id === null ? null : await eventsOf(world, session.id);
  const from = events?.find((event) => event.type === "launching");
  const to = events?.find((event) => event.type === "running");
  return from === undefined || to === undefined ? null : Date.parse(to.at) - Date.parse(from.at);
}

/** The views once all are so, or when the time is over: the figures then say how many were. */
async function until(
  world: World,
  sessions: readonly TrackedSession[],
  holds: (view: SessionView) => boolean,
  withinMs: number,
): Promise<ReadonlyMap<TrackedSession, SessionView>> {
  const end = performance.now() + withinMs;
  for (;;) {
    const views = await readAll(world);
    const mine = new Map([...views].filter(([session]) => sessions.includes(session)));
    const ready = [...mine.values()].filter((view) => holds(view)).length;
    world.journal.status(`${ready} of ${sessions.length} are there`);
    if (ready === sessions.length || performance.now() > end) return mine;
    await world.pause(100);
  }
}
