/**
 * What clients do. Each is repeated until it was answered (a create by its Idempotency-Key, a job by its id, a delete by
 * its nature), so that afterwards the driver knows what was accepted, whatever was killed in between.
 */
import { join } from "node:path";
import { z } from "zod";
import {
  interruptReply,
  sessionView,
  type CreateSession,
  type SessionView,
} from "../../src/protocol/resources/session/sessions.ts";
import { jobView } from "../../src/protocol/resources/session/jobs.ts";
import type { SeededRandom } from "../support/seeded-random.ts";
import type { Answer } from "./chaos-client.ts";
import { TrackedSession, type Life, type TrackedJob } from "./tracked-session.ts";
import type { World } from "./world.ts";

export function drawSession(random: SeededRandom, number: number, lasting: boolean): TrackedSession {
  const life: Life = lasting
    ? "lasting"
    : random.weighted<Life>([
        [6, "lasting"],
        [2, "idle"],
        [2, "timeout"],
      ]);
  const order: CreateSession = {
    labels: { chaos: String(number) },
    on_loss: random.pick(["hold", "relaunch", "terminate"] as const),
    idle_timeout_seconds: life === "idle" ? random.int(2, 8) : null,
    timeout_seconds: life === "timeout" ? random.int(4, 25) : 3_600,
  };
  return new TrackedSession(`chaos-${random.text(12, "abcdefghijklmnopqrstuvwxyz")}-${number}`, order, life);
}

/** Null while nobody has answered. */
export async function create(world: World, session: TrackedSession): Promise<SessionView | null> {
  const answer = await world.client.ask("POST", "/v1/sessions", sessionView, {
    headers: { "idempotency-key": session.key },
    body: session.order,
  });
  if (answer.type === "value") {
    session.id = answer.value.id;
    world.journal.event(`create ${session.id} (${session.life}, on loss ${session.onLoss}): ${answer.value.status}`);
    return answer.value;
  }
  if (answer.type === "problem" && answer.code === "quota_exhausted") session.refused = true;
  // Every answer of its create got lost, and its own clock has ended it since: the refusal to begin it again names it.
  if (answer.type === "problem" && answer.code === "session_ended")
    session.id = /made a session before, ([a-z0-9]{20})/.exec(answer.detail)?.[1] ?? null;
  world.journal.event(`create ${session.key}: ${words(answer)}`);
  return null;
}

export async function remove(world: World, session: TrackedSession): Promise<void> {
  if (session.id === null) return;
  session.deleteAskedAt ??= Date.now();
  const answer = await world.client.ask("DELETE", `/v1/sessions/${session.id}`, sessionView);
  if (answer.type === "value") session.deleteAccepted = true;
  world.journal.event(`delete ${session.id}: ${words(answer)}`);
}

const kinds: readonly (readonly [weight: number, kind: string, command: string, timeoutSeconds: number])[] = [
  [4, "quick", "echo done", 60],
  [3, "sleeper", "sleep 300", 300],
  [2, "ignores TERM", "trap '' TERM; while :; do sleep 1; done", 300],
  [2, "setsid child", "setsid sh -c \"trap '' TERM; while :; do sleep 1; done\" & sleep 300", 300],
  [1, "spews", "head -c 20000000 /dev/zero | tr '\\0' 'x'; sleep 300", 300],
  [1, "too long", "trap '' TERM; while :; do sleep 1; done", 2],
];

export function drawJob(world: World, kind?: string): TrackedJob {
  const { random } = world;
  const all = kinds.map(([weight, ...rest]) => [weight, rest] as const);
  const named = kinds.find((each) => each[1] === kind);
  const [name, command, timeout] = named === undefined ? random.weighted(all) : [named[1], named[2], named[3]];
  const id = `job-${random.text(10, "abcdefghijklmnopqrstuvwxyz")}`;
  const ranFile = join(world.ranDirectory, id);
  const body = { id, command: `echo ran >> '${ranFile}'; ${command}`, timeout_seconds: timeout };
  return { id, kind: name, ranFile, body, accepted: false, refused: false, postedAt: Date.now() };
}

export async function post(world: World, session: TrackedSession, job: TrackedJob): Promise<void> {
  if (session.id === null) return;
  if (!session.jobs.includes(job)) session.jobs.push(job);
  const answer = await world.client.ask("POST", `/v1/sessions/${session.id}/jobs`, jobView, { body: job.body });
  if (answer.type === "value") job.accepted = true;
  if (answer.type === "problem") job.refused = true;
  world.journal.event(`${job.kind} job ${job.id} in ${session.id}: ${words(answer)}`);
}

/** Small things that clients do all the time; none may disturb. */
export async function fiddle(world: World, session: TrackedSession): Promise<void> {
  if (session.id === null) return;
  const { random, client } = world;
  const path = `/v1/sessions/${session.id}`;
  const deed = random.pick(["read", "refresh", "keepalive", "interrupt", "glance", "nonsense"] as const);
  switch (deed) {
    case "read":
      await client.ask("GET", path, sessionView);
      break;
    case "refresh":
      // Only what lasts: moving the end of the others would move what is expected of them.
      if (session.life === "lasting")
        await client.ask("POST", `${path}/refresh`, sessionView, { body: { duration_seconds: 3_600 } });
      break;
    case "keepalive":
      await client.ask("POST", `${path}/keepalive`, z.unknown());
      break;
    case "interrupt":
      for (const job of session.jobs) if (job.kind === "quick") return;
      await client.ask("POST", `${path}/interrupt`, interruptReply);
      break;
    case "glance": {
      const job = session.jobs.at(-1);
      if (job !== undefined) await client.glance(`${path}/jobs/${job.id}/output`, random.int(50, 600));
      break;
    }
    case "nonsense":
      await client.ask("POST", `${path}/timeout`, sessionView, { body: { timeout_seconds: -1, colour: "green" } });
      break;
  }
  world.journal.event(`${deed} ${session.id}`);
}

export function words(answer: Answer<{ readonly status?: string; readonly state?: string }>): string {
  switch (answer.type) {
    case "value":
      return answer.value.status ?? answer.value.state ?? String(answer.status);
    case "problem":
      return answer.code;
    case "silence":
      return `no answer (${answer.why.slice(0, 60)})`;
  }
}
