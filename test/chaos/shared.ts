/**
 * Many sessions in few shared containers, some of them ended at random while the others work: is any process of anybody
 * else ever signalled? Told by /proc alone (pid, start time and environment), and by the jobs themselves: each survivor's job
 * catches every signal it could survive and writes it down.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { jobView } from "../../src/protocol/resources/session/jobs.ts";
import { sessionView } from "../../src/protocol/resources/session/sessions.ts";
import { Stack } from "../../scripts/stack/stack.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { census, isAlive, strike, words, type Seen } from "./census.ts";
import { ChaosClient } from "./chaos-client.ts";

export interface SharedOrder {
  readonly seed: number;
  readonly sessions: number;
  readonly containers: number;
  /** How many are ended, and how many each second. */
  readonly stops: number;
  readonly perSecond: number;
  /** How long the start of all, and the end of those that are ended, may take. ms */
  readonly patienceMs: number;
}

export interface SharedResult {
  readonly sessions: number;
  readonly containers: number;
  /** Processes of the sessions that were never ended, each followed to the end. */
  readonly followed: number;
  readonly stopped: number;
  readonly stopsPerSecond: number;
  readonly walks: number;
  readonly jobsMeanwhile: number;
  /** Processes of somebody else that were gone, or another one under their pid. */
  readonly foreignStruck: readonly string[];
  /** Signals that a survivor's job caught. */
  readonly signalsCaught: readonly string[];
  /** Processes of ended sessions that are still there. */
  readonly left: readonly string[];
  /** Containers whose directory is still there after every session has ended. */
  readonly containersLeft: number;
  readonly startedInMs: number;
  readonly stoppedInMs: number;
}

/** Writes down every signal that can be caught, and goes on. */
const watchful = `for s in HUP INT TERM QUIT USR1 USR2 CONT; do trap "echo $s >> signals" $s; done; while :; do sleep 1000 & wait $!; done`;
/** Guardian, wrapper, the job's shell and its child. */
const processesEach = 4;
const startsAtOnce = 6;

interface Member {
  readonly id: string;
  container: string;
  endedAt: number | null;
  baseline: readonly Seen[];
}

export async function runShared(
  order: SharedOrder,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<SharedResult> {
  const directory = mkdtempSync(join(tmpdir(), "mooring-shared-"));
  let stack: Stack | null = null;
  try {
    const vars = {
      TENANT_MAX_SANDBOXES: String(2 * order.sessions),
      GLOBAL_MAX_SANDBOXES: String(2 * order.sessions),
      SHARED_MAX_MEMBERS: String(Math.ceil(order.sessions / order.containers)),
      WORKSPACE_MIN_FREE_MIB: "16",
      DEFAULT_IDLE_TIMEOUT_SECONDS: "off",
    };
    const secretsFile = join(directory, "secrets");
    const plain = { port: 0, faults: false, reload: false, cronSeconds: null, endSandboxes: true };
    stack = await Stack.start({ stateDirectory: directory, secretsFile, vars, ...plain }, signal);
    const client = new ChaosClient(stack.url, await stack.apiKey("shared", []), signal);
    return await play(order, client, join(directory, "host", "sandboxes"), say, signal);
  } finally {
    await stack?.stop();
    for (const seen of census()) if (seen.cwd.startsWith(directory)) strike(seen, "SIGKILL");
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function play(
  order: SharedOrder,
  client: ChaosClient,
  sandboxes: string,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<SharedResult> {
  const random = new SeededRandom(order.seed);
  const began = performance.now();
  const members = await start(order, client, say, signal);
  const startedInMs = Math.round(performance.now() - began);
  await until("every session has its processes", order.patienceMs, signal, () => {
    const seen = byInstance(census());
    for (const member of members) member.baseline = seen.get(member.id) ?? [];
    return members.every(({ baseline }) => baseline.length >= processesEach);
  });
  const containers = new Set(members.map(({ container }) => container));
  say(`${members.length} sessions run in ${containers.size} containers after ${Math.round(startedInMs / 1_000)} s.`);

  const doomed = new Set(shuffled(members, random).slice(0, order.stops));
  const survivors = members.filter((member) => !doomed.has(member));
  const struck = new Set<string>();
  let walks = 0;
  let jobsMeanwhile = 0;
  let over = false;
  const walk = (): void => {
    walks += 1;
    for (const member of members) {
      if (member.endedAt !== null) continue;
      for (const seen of member.baseline) if (!isSame(seen)) struck.add(words(seen));
    }
  };
  const watching = (async () => {
    for (; !over; await pause(250)) walk();
  })();
  const load = (async () => {
    for (; !over; jobsMeanwhile += 1) {
      const member = survivors[Math.floor(random.next() * survivors.length)];
      if (member === undefined) return;
      await client.ask("POST", `/v1/sessions/${member.id}/jobs`, jobView, { body: { command: "echo work" } });
    }
  })();

  const stopping = performance.now();
  const ends: Promise<unknown>[] = [];
  for (const member of doomed) {
    const dueAt = stopping + (1_000 * ends.length) / order.perSecond;
    await pause(Math.max(0, dueAt - performance.now()));
    member.endedAt = Date.now();
    ends.push(end(client, member));
  }
  // As asked for; on a busy machine the answers come later.
  const stopsPerSecond = order.stops / ((performance.now() - stopping) / 1_000);
  await Promise.all(ends);
  say(`${doomed.size} sessions were ended at random, ${stopsPerSecond.toFixed(1)} a second, while the others worked.`);
  await until("every ended session is proven gone", order.patienceMs, signal, async () => {
    const open = await Promise.all([...doomed].map(async (member) => (await view(client, member))?.status));
    return open.every((status) => status === "terminated");
  });
  const stoppedInMs = Math.round(performance.now() - stopping);
  over = true;
  await Promise.all([watching, load]);
  walk();
  const ended = new Set([...doomed].map(({ id }) => id));
  const left = census()
    .filter((seen) => ended.has(seen.session))
    .map(words);
  const signalsCaught = survivors.flatMap((member) => caught(sandboxes, member));
  const followed = survivors.reduce((sum, { baseline }) => sum + baseline.length, 0);

  say("The rest is ended; the containers must be freed.");
  await inTurns(survivors, startsAtOnce, (member) => end(client, member));
  await until("no container is left", order.patienceMs, signal, () => containersIn(sandboxes) === 0).catch(() => {});
  return {
    ...{ sessions: members.length, containers: containers.size, followed, stopped: doomed.size, stopsPerSecond, walks },
    ...{ jobsMeanwhile, foreignStruck: [...struck], signalsCaught, left, containersLeft: containersIn(sandboxes) },
    ...{ startedInMs, stoppedInMs },
  };
}

async function start(
  order: SharedOrder,
  client: ChaosClient,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<readonly Member[]> {
  const made: Member[] = [];
  const until = performance.now() + order.patienceMs;
  await inTurns(Array.from({ length: order.sessions }), startsAtOnce, async (_, index) => {
    const headers = { prefer: "wait=20", "idempotency-key": `shared-${order.seed}-${index}` };
    const body = { isolation: "shared", timeout_seconds: 7_200 };
    for (;;) {
      signal.throwIfAborted();
      if (performance.now() > until) throw new Error(`Session ${index} did not run in time.`);
      const answer = await client.ask("POST", "/v1/sessions", sessionView, { headers, body, timeoutMs: 30_000 });
      if (answer.type === "value" && answer.value.status === "running" && answer.value.container_id !== null) {
        const { id, container_id: container } = answer.value;
        const job = { id: "watchful", command: watchful, timeout_seconds: 7_200 };
        await client.ask("POST", `/v1/sessions/${id}/jobs`, jobView, { body: job, timeoutMs: 30_000 });
        made.push({ id, container, endedAt: null, baseline: [] });
        if (made.length % 50 === 0) say(`${made.length} sessions run.`);
        return;
      }
      await pause(500);
    }
  });
  return made;
}

/** Asked until it was heard: a delete may be sent as often as one likes. */
async function end(client: ChaosClient, member: Member): Promise<void> {
  for (;;) {
    const answer = await client.ask("DELETE", `/v1/sessions/${member.id}`, z.unknown(), { timeoutMs: 30_000 });
    if (answer.type === "value") return;
    await pause(500);
  }
}

async function view(client: ChaosClient, member: Member) {
  const answer = await client.ask("GET", `/v1/sessions/${member.id}`, sessionView);
  return answer.type === "value" ? answer.value : null;
}

/** That very process, with the marks it had. */
function isSame(seen: Seen): boolean {
  if (!isAlive(seen)) return false;
  try {
    return readFileSync(`/proc/${seen.pid}/environ`, "utf8").includes(`=${seen.session}\0`);
  } catch {
    return false;
  }
}

function byInstance(all: readonly Seen[]): ReadonlyMap<string, readonly Seen[]> {
  const found = new Map<string, Seen[]>();
  for (const seen of all) found.set(seen.session, [...(found.get(seen.session) ?? []), seen]);
  return found;
}

function caught(sandboxes: string, { id, container }: Member): readonly string[] {
  const place = readdirSync(join(sandboxes, container)).find((name) => name.startsWith(`${id}-g`));
  if (place === undefined) return [`${id}: its workspace is gone`];
  const file = join(sandboxes, container, place, "workspace", "signals");
  return existsSync(file) ? [`${id}: ${readFileSync(file, "utf8").trim()}`] : [];
}

function containersIn(sandboxes: string): number {
  return readdirSync(sandboxes).filter((name) => name.startsWith("shared-")).length;
}

function shuffled<T>(all: readonly T[], random: SeededRandom): readonly T[] {
  return all
    .map((one) => ({ one, at: random.next() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ one }) => one);
}

async function inTurns<T>(
  all: readonly T[],
  atOnce: number,
  act: (one: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: Math.min(atOnce, all.length) }, async () => {
      for (let index = next++; index < all.length; index = next++) await act(all[index] as T, index);
    }),
  );
}

async function until(
  what: string,
  patienceMs: number,
  signal: AbortSignal,
  isSo: () => boolean | Promise<boolean>,
): Promise<void> {
  const givenUpAt = performance.now() + patienceMs;
  while (!(await isSo())) {
    signal.throwIfAborted();
    if (performance.now() > givenUpAt) throw new Error(`Not in time: ${what}.`);
    await pause(500);
  }
}
