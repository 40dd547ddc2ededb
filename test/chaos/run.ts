/** One chaos run from an empty directory to the verdict. Whatever happens, everything it started has ended when it returns. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sessionPage } from "../../src/protocol/resources/session/sessions.ts";
import { Stack } from "../../scripts/stack/stack.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { type Blackout, blackOut } from "./blackout.ts";
import { ChaosClient } from "./chaos-client.ts";
import { drawJob, post, remove } from "./deeds.ts";
import { type Figures, measureFigures } from "./figures.ts";
import type { Journal } from "./journal.ts";
import { type Books, readBooks } from "./ledger.ts";
import { chaosVars, type ChaosOrder, settledMs } from "./order.ts";
import { playRounds } from "./rounds.ts";
import { endAllOf, endFaults, settle, type Settled } from "./settle.ts";
import type { TrackedSession } from "./tracked-session.ts";
import { judge, type Judged } from "./verdict.ts";
import { World } from "./world.ts";

export interface ChaosResult {
  readonly order: ChaosOrder;
  readonly rounds: number;
  readonly sessions: number;
  readonly jobs: number;
  readonly figures: Figures | null;
  readonly afterFaults: Settled;
  readonly blackout: Blackout;
  /** What the owner of each session of the blackout is told once the plane is back, by its `on_loss`. */
  readonly fates: Readonly<Record<string, string>>;
  readonly judged: Judged;
  readonly afterAll: Settled;
  readonly books: Books | null;
  readonly answers: ReadonlyMap<string, number>;
  /** Processes that had to be killed on the way out. */
  readonly leftovers: number;
  readonly breaches: readonly string[];
}

export async function runChaos(order: ChaosOrder, journal: Journal, signal: AbortSignal): Promise<ChaosResult> {
  const directory = mkdtempSync(join(tmpdir(), "mooring-chaos-"));
  let world: World | null = null;
  try {
    const stack = await Stack.start(
      {
        stateDirectory: directory,
        secretsFile: join(directory, "secrets"),
        port: 0,
        vars: chaosVars(order.ttlMs),
        faults: true,
        reload: false,
        cronSeconds: 10,
        endSandboxes: true,
      },
      signal,
    );
    const client = new ChaosClient(stack.url, await stack.apiKey("chaos"), signal);
    world = new World({ stack, client, random: new SeededRandom(order.seed), journal, directory, signal, order });
    return await play(world, order);
  } finally {
    await leave(world);
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function play(world: World, order: ChaosOrder): Promise<ChaosResult> {
  const { journal } = world;
  const bound = settledMs(order);
  const breaches: string[] = [];
  world.watch();
  let figures: Figures | null = null;
  if (order.figures) {
    journal.chapter("Twenty sessions at once, before anything is broken");
    figures = await measureFigures(world);
  }
  journal.chapter(`Faults, seed ${order.seed}`);
  const rounds = await playRounds(world, order);
  await endFaults(world);
  journal.chapter("The faults are over: everything settles");
  const afterFaults = await settle(world, bound);
  breaches.push(...afterFaults.breaches, ...(await answerJobs(world, afterFaults)));
  const first = await judge(world, afterFaults.views);
  breaches.push(...first.breaches);

  journal.chapter("The whole control plane is killed while jobs run");
  const blackout = await blackOut(world);
  breaches.push(...blackout.breaches);
  const recovered = await settle(world, bound);
  breaches.push(...recovered.breaches, ...(await answerJobs(world, recovered)));
  const judged = await judge(world, recovered.views);
  breaches.push(...judged.breaches);

  journal.chapter("Every session is deleted");
  await Promise.all(
    world.sessions.filter((session) => session.deleteAskedAt === null).map((session) => remove(world, session)),
  );
  const afterAll = await settle(world, bound);
  const last = await judge(world, afterAll.views);
  breaches.push(...afterAll.breaches, ...last.breaches, ...(await compareList(world)));
  for (const left of world.look()) breaches.push(`process ${left.pid} (${left.role}) of ${left.session} is left.`);
  const books = await balance(world, breaches);
  breaches.push(...world.client.breaches);
  return {
    order,
    rounds,
    sessions: world.sessions.length,
    jobs: world.sessions.reduce((sum, session) => sum + session.jobs.length, 0),
    figures,
    afterFaults,
    blackout,
    fates: Object.fromEntries(
      blackout.sessions.map((session) => [session.onLoss, recovered.views.get(session)?.status ?? "unknown"]),
    ),
    judged: { ...judged, untouchedRunning: first.untouchedRunning, receipts: last.receipts },
    afterAll,
    books,
    answers: world.client.answers,
    leftovers: world.look().length,
    breaches: [...new Set(breaches)],
  };
}

/** Whoever claims to run has to show it: a job, done within two minutes, which is far more than a busy machine needs. */
const jobWithinMs = 120_000;

async function answerJobs(world: World, settled: Settled): Promise<readonly string[]> {
  const running = [...settled.views].filter(([session, view]) => session.alive && view.status === "running");
  const wrong = await Promise.all(running.map(([session]) => answerJob(world, session)));
  return wrong.filter((each) => each !== null);
}

async function answerJob(world: World, session: TrackedSession): Promise<string | null> {
  const job = drawJob(world, "quick");
  const until = performance.now() + jobWithinMs;
  for (;;) {
    if (!job.accepted && !job.refused) await post(world, session, job);
    if (job.accepted && (await world.jobState(session, job.id)) === "succeeded") return null;
    if (job.refused || performance.now() > until) {
      return `${session.name} says that it runs, and a job of one line was ${job.refused ? "refused" : `still ${await world.jobState(session, job.id)} after ${jobWithinMs / 1_000} s`}.`;
    }
    await world.pause(200);
  }
}

/** A create that was repeated because its answer was lost must not have made a second session. */
async function compareList(world: World): Promise<readonly string[]> {
  const known = new Set(world.sessions.flatMap((session) => session.id ?? []));
  const listed = new Set<string>();
  for (let cursor: string | null = ""; cursor !== null;) {
    const path: string = `/v1/sessions?limit=100${cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`}`;
    const answer = await world.client.ask("GET", path, sessionPage);
    if (answer.type !== "value") return ["the list of sessions could not be read."];
    for (const item of answer.value.data) listed.add(item.id);
    cursor = answer.value.next_cursor;
  }
  return [
    ...[...listed].filter((id) => !known.has(id)).map((id) => `session ${id} is listed, and nobody asked for it.`),
    ...[...known].filter((id) => !listed.has(id)).map((id) => `session ${id} is not in the list.`),
  ];
}

/** The last reports are under way for a moment after the last receipt; so the books are given two more chances to close. */
async function balance(world: World, breaches: string[]): Promise<Books | null> {
  for (let attempt = 1; ; attempt += 1) {
    await world.pause(attempt * 3_000);
    await world.stack.worker?.stop();
    const books = readBooks(world.directory);
    if (books === null) {
      breaches.push("no tenant has a ledger.");
      return null;
    }
    const wrong = [...books.breaches];
    if (books.used !== 0) wrong.push(`every session has ended, and ${books.used} reservations are still in use.`);
    if (books.receipts !== books.counts.proven)
      wrong.push(`${books.counts.proven} reservations came back as proven, with ${books.receipts} receipts.`);
    if (wrong.length === 0 || attempt === 3) {
      breaches.push(...wrong);
      return books;
    }
    await world.restoreWorker();
  }
}

async function leave(world: World | null): Promise<void> {
  if (world === null) return;
  world.unwatch();
  // A frozen part would not hear that it is to end.
  for (const part of ["workerd", "host"] as const) world.thaw(part);
  await world.stack.stop();
  endAllOf(world);
}
