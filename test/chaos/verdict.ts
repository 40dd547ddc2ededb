/**
 * What must be true once a run has settled, session by session. Every clause is a promise of the design; whatever
 * breaks one becomes a sentence. An empty list is the claim that everything held.
 */
import { readFileSync } from "node:fs";
import { eventPage, type EventView } from "../../src/protocol/resources/session/events.ts";
import { jobPage, type JobListItem } from "../../src/protocol/resources/session/jobs.ts";
import type { SessionView, TeardownView } from "../../src/protocol/resources/session/sessions.ts";
import { defaultPolicy } from "../../src/domain/rules/policy.ts";
import type { TrackedSession } from "./tracked-session.ts";
import type { World } from "./world.ts";

export interface Judged {
  readonly breaches: readonly string[];
  /** How sessions that lost a sandbox fared, for the table. */
  readonly losses: number;
  readonly excusedLosses: number;
  /** `sandbox_replaced` events. */
  readonly replaced: number;
  readonly untouchedRunning: number;
  readonly receipts: number;
}

/** A wrapper that is away is retried every 2 s, and a look takes up to 2 s: in this much calm a renewal must have come through. */
const calmEnoughMs = 7_000;

export async function judge(world: World, views: ReadonlyMap<TrackedSession, SessionView>): Promise<Judged> {
  const breaches: string[] = [];
  let losses = 0;
  let excusedLosses = 0;
  let replaced = 0;
  let untouchedRunning = 0;
  let receipts = 0;
  for (const [session, view] of views) {
    const say = (what: string): void =>
      void breaches.push(
        `${session.name} (${session.life}, on loss ${session.onLoss}, hits: ${session.hits.map((hit) => `${hit.fault} g${hit.generation ?? "?"}`).join(", ") || "none"}): ${what}`,
      );
    const history = await eventsOf(world, view.id);
    if (history === null) {
      say("its events could not be read.");
      continue;
    }
    const lost = history.filter((event) => event.type === "sandbox_lost");
    losses += lost.length;
    replaced += history.filter((event) => event.type === "sandbox_replaced").length;
    for (const event of lost) {
      const cause = explain(world, session, event);
      if (cause.type === "outage") excusedLosses += 1;
      if (cause.type === "none") say(cause.words);
    }
    for (const wrong of judgeStatus(session, view, history, lost.length)) say(wrong);
    if (view.status !== "running" && view.generation !== null) {
      const wrong = judgeReceipt(view.teardown);
      if (wrong === null) receipts += 1;
      else say(wrong);
    }
    if (view.status === "running" && session.hits.length === 0) untouchedRunning += 1;
    for (const wrong of judgeJobs(session, view, await jobsOf(world, view.id), lost.length > 0)) say(wrong);
  }
  return { breaches, losses, excusedLosses, replaced, untouchedRunning, receipts };
}

type LossCause =
  { readonly type: "hit" } | { readonly type: "outage" } | { readonly type: "none"; readonly words: string };

/** Why it was lost: struck by us, or out of reach for a whole lease. Anything else is a sandbox that was killed for nothing. */
function explain(world: World, session: TrackedSession, event: EventView): LossCause {
  const { generation } = event;
  const at = Date.parse(event.at);
  if (session.hits.some((hit) => hit.severity === "fatal" && hit.generation === generation && hit.at <= at))
    return { type: "hit" };
  const lastAlive = generation === null ? undefined : session.lastAlive.get(generation);
  const died = Math.min(lastAlive ?? at, at);
  const calm = world.outages.longestCalm(died - world.order.ttlMs, died, session.name);
  if (calm <= calmEnoughMs) return { type: "outage" };
  const words = `generation ${generation} was lost at ${event.at} (${event.cause}) though nothing had struck it and it could be renewed for ${calm} ms of the lease before.`;
  return { type: "none", words };
}

function* judgeStatus(
  session: TrackedSession,
  view: SessionView,
  history: readonly EventView[],
  losses: number,
): Generator<string> {
  const { status } = view;
  const replaced = history.filter((event) => event.type === "sandbox_replaced").length;
  if (session.deleteAskedAt !== null) {
    if (status !== "terminated" && status !== "failed") yield `it was deleted and is ${status}.`;
    return;
  }
  if (status === "terminated" && session.life === "lasting")
    yield `nobody ended it, and it is terminated for ${view.terminate_reason}.`;
  if (losses === 0) {
    if (session.life === "lasting" && status !== "running")
      yield `it should live, and is ${status}: ${view.failure ?? history.at(-1)?.cause ?? ""}.`;
    if (
      session.life !== "lasting" &&
      (status !== "terminated" || view.terminate_reason !== (session.life === "idle" ? "idle_timeout" : "timeout"))
    )
      yield `its ${session.life} clock should have ended it; it is ${status} (${view.terminate_reason}).`;
    return;
  }
  switch (session.onLoss) {
    case "hold":
      if (status !== "lost" && !(status === "terminated" && session.life === "timeout"))
        yield `its sandbox was lost, so it should be lost; it is ${status}.`;
      break;
    case "terminate":
      if (status !== "failed" || view.terminate_reason !== "failed")
        yield `its sandbox was lost, so it should have failed; it is ${status}.`;
      break;
    case "relaunch":
      if (status === "running" && replaced !== losses)
        yield `${losses} sandboxes were lost and ${replaced} replacements were told.`;
      if (status === "lost" && losses <= defaultPolicy.relaunchBudget)
        yield `only ${losses} losses, and it was not replaced.`;
      break;
  }
}

/** Two looks, a second apart at least, both after the last attempt's effect, both absent, one provider, one host, one sandbox (I3). */
export function judgeReceipt(receipt: TeardownView | null): string | null {
  if (receipt === null) return "it has no receipt.";
  if (receipt.phase !== "closed" || receipt.verified_absent_at === null || receipt.evidence === null)
    return `its receipt is ${receipt.phase} and unverified.`;
  if (receipt.asserted_absent_at !== null) return "its absence was asserted, not verified.";
  const [first, second] = receipt.observations.slice(-2);
  if (first === undefined || second === undefined) return "its receipt shows fewer than two looks.";
  if (first.answer !== "absent" || second.answer !== "absent")
    return `its last looks are ${first.answer} and ${second.answer}.`;
  const apart = Date.parse(second.at) - Date.parse(first.at);
  if (apart < defaultPolicy.absenceLookGapMs) return `its two looks are only ${apart} ms apart.`;
  if (
    first.asked !== second.asked ||
    !first.asked.endsWith(`/${receipt.sandbox_id}`) ||
    first.asked.split("/").length !== 3
  )
    return `its looks asked ${first.asked} and ${second.asked}.`;
  return null;
}

function* judgeJobs(
  session: TrackedSession,
  view: SessionView,
  jobs: readonly JobListItem[] | null,
  lossy: boolean,
): Generator<string> {
  if (jobs === null) {
    yield "its jobs could not be read.";
    return;
  }
  const killed = session.hits.some((hit) => hit.fault === "job SIGKILL");
  for (const job of session.jobs) {
    const ran = runsOf(job.ranFile);
    const state = jobs.find((each) => each.id === job.id)?.state ?? null;
    if (ran > 1) yield `job ${job.id} (${job.kind}) ran ${ran} times.`;
    if (job.accepted && state === null) yield `job ${job.id} was accepted and is not there.`;
    if (state === null) continue;
    if (state === "succeeded" && ran !== 1) yield `job ${job.id} succeeded, and ran ${ran} times.`;
    const open = state === "running" || state === "sent" || state === "queued";
    if (open && view.status !== "running") yield `job ${job.id} is ${state} in a session that is ${view.status}.`;
    if (view.status !== "running" || lossy || killed || session.deleteAskedAt !== null) continue;
    if (job.kind === "quick" && state !== "succeeded") yield `job ${job.id} should have succeeded, and is ${state}.`;
    if (job.kind === "too long" && state !== "timed_out" && state !== "interrupted")
      yield `job ${job.id} should have timed out, and is ${state}.`;
  }
}

function runsOf(file: string): number {
  try {
    return readFileSync(file, "utf8")
      .split("\n")
      .filter((each) => each === "ran").length;
  } catch {
    return 0;
  }
}

export async function eventsOf(world: World, id: string): Promise<readonly EventView[] | null> {
  const all: EventView[] = [];
  for (let after = 0; ;) {
    const answer = await world.client.ask("GET", `/v1/sessions/${id}/events?after=${after}&limit=100`, eventPage);
    if (answer.type !== "value") return null;
    all.push(...answer.value.data);
    if (answer.value.next_after === null) return all;
    after = answer.value.next_after;
  }
}

async function jobsOf(world: World, id: string): Promise<readonly JobListItem[] | null> {
  const answer = await world.client.ask("GET", `/v1/sessions/${id}/jobs?limit=100`, jobPage);
  return answer.type === "value" ? answer.value.data : null;
}
