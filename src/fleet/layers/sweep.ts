/**
 * The layer that finds sessions whose alarm was lost: each shard is asked once for what is overdue beyond the slip of an
 * alarm, and each of those sessions is told to look at itself. A healthy session is never touched, and the
 * sweep decides nothing about any: the session does. One that fails or hangs costs its own bound and nothing else.
 */
import type { SessionId } from "../../domain/state/ids.ts";
import type { Policy } from "../../domain/rules/policy.ts";
import type { Clock } from "../../runtime/clock-ids-logger.ts";
import { inLanes } from "../../calls/in-lanes.ts";
import { outcomeWithin } from "../../calls/outcome-within.ts";
import type { FleetShardApi } from "../shard/shard-api.ts";

export interface SweepPorts {
  readonly shards: readonly { readonly name: string; readonly api: Pick<FleetShardApi, "overdue"> }[];
  poke(sessionId: SessionId): Promise<{ readonly known: boolean; readonly nextDeadline: number | null }>;
  readonly clock: Clock;
  /** In [0, 1). */
  random: () => number;
}

export interface SweepTerms {
  /** How late an alarm may be before it counts as lost. */
  readonly alarmSlipMs: number;
  /** For one shard or session to answer. */
  readonly callMs: number;
  /** Calls under way at once. */
  readonly concurrency: number;
  /** Sessions taken from one shard in one run. */
  readonly perShard: number;
  /** No call begins later than this after the start. The next run takes what is left. */
  readonly runMs: number;
}

export function sweepTerms(policy: Policy): SweepTerms {
  return {
    alarmSlipMs: policy.alarmSlipMs,
    // A look needs some ms; a session that takes longer than this hangs, and is met again in five minutes.
    callMs: 10_000,
    // A Worker may have six connections open.
    concurrency: 6,
    perShard: 1_000,
    // Ends well before the next tick, five minutes later.
    runMs: 200_000,
  };
}

export type PokeOutcome = "looked" | "unknown" | "failed" | "hung" | "not_reached";

export interface SweepResult {
  readonly shards: readonly { readonly name: string; readonly outcome: "answered" | "failed" | "hung" }[];
  /** Each overdue session, once. `unknown`: it has no record of itself, only the index has. */
  readonly sessions: readonly {
    readonly sessionId: SessionId;
    readonly outcome: PokeOutcome;
    readonly detail: string;
  }[];
}

export async function sweep(ports: SweepPorts, terms: SweepTerms): Promise<SweepResult> {
  const { clock } = ports;
  const startedAt = clock.now();
  const before = startedAt - terms.alarmSlipMs;
  const asked = await inLanes(ports.shards, terms.concurrency, async ({ name, api }) => {
    const outcome = await outcomeWithin(clock, terms.callMs, () => api.overdue(before, terms.perShard));
    return { name, outcome };
  });
  const overdue = asked.flatMap(({ outcome }) => (outcome.type === "answered" ? outcome.value : []));
  // Sessions that hang stay the oldest in every run: in order, enough of them would keep all others from their turn.
  const order = shuffled([...new Set(overdue.map((each) => each.sessionId))], ports);
  const sessions = await inLanes(order, terms.concurrency, async (sessionId) => {
    if (clock.now() - startedAt >= terms.runMs) return { sessionId, outcome: "not_reached" as const, detail: "" };
    const answer = await outcomeWithin(clock, terms.callMs, () => ports.poke(sessionId));
    return { sessionId, ...pokeOutcome(answer) };
  });
  return { shards: asked.map(({ name, outcome }) => ({ name, outcome: outcome.type })), sessions };
}

function pokeOutcome(answer: Awaited<ReturnType<typeof outcomeWithin<{ readonly known: boolean }>>>): {
  readonly outcome: PokeOutcome;
  readonly detail: string;
} {
  switch (answer.type) {
    case "answered":
      return { outcome: answer.value.known ? "looked" : "unknown", detail: "" };
    case "failed":
      return { outcome: "failed", detail: answer.message };
    case "hung":
      return { outcome: "hung", detail: "" };
  }
}

function shuffled<T>(items: readonly T[], ports: Pick<SweepPorts, "random">): readonly T[] {
  const keyed = items.map((item) => ({ item, key: ports.random() }));
  return keyed.toSorted((a, b) => a.key - b.key).map(({ item }) => item);
}
