/** Turns questions into choices: every shard is asked, page by page, and a session is chosen once, for the first reason. */
import type { SessionId } from "../../domain/state/ids.ts";
import type { Clock } from "../../runtime/clock-ids-logger.ts";
import type { EndOrder } from "../../session/session-api.ts";
import { inLanes } from "../../calls/in-lanes.ts";
import { outcomeWithin } from "../../calls/outcome-within.ts";
import type { FleetRow, FleetShardApi } from "../shard/shard-api.ts";
import type { Choice, Question } from "./choices.ts";

export interface NamedShard {
  readonly name: string;
  readonly api: Pick<FleetShardApi, "select">;
}

export interface IndexPorts {
  readonly shards: readonly NamedShard[];
  readonly clock: Clock;
}

export interface IndexTerms {
  /** For one shard to answer one page. */
  readonly callMs: number;
  readonly concurrency: number;
  /** Rows of one page; a shard gives at most 1,000. */
  readonly pageSize: number;
  /** Choices of one run. The next one takes what is left. */
  readonly choices: number;
}

export interface Chosen {
  readonly choices: readonly Choice[];
  /** Shards that did not answer a question. What they know is missing from this result. */
  readonly silent: readonly string[];
  /** There may be more than was chosen. */
  readonly more: boolean;
}

export interface Ending {
  readonly actor: EndOrder["actor"];
  readonly reason: EndOrder["reason"];
  /** For the session's history. */
  readonly words: string;
}

export async function choose(
  ports: IndexPorts,
  terms: IndexTerms,
  questions: readonly Question[],
  ending: Ending,
): Promise<Chosen> {
  const chosen = new Map<SessionId, Choice>();
  const silent = new Set<string>();
  let more = false;
  // One question after the other: their order is the order in which sessions are ended.
  for (const question of questions) {
    const left = terms.choices - chosen.size;
    if (left <= 0) {
      more = true;
      break;
    }
    const pages = await inLanes(ports.shards, terms.concurrency, (shard) =>
      rowsOf(ports, terms, shard, question, left),
    );
    for (const page of pages) if (page.silent !== null) silent.add(page.silent);
    const rows = sorted(
      pages.flatMap((page) => page.rows),
      question,
    );
    for (const row of rows) {
      if (chosen.has(row.sessionId)) continue;
      if (chosen.size >= terms.choices) {
        more = true;
        break;
      }
      chosen.set(row.sessionId, choice(row, question, ending, ports.clock.now()));
    }
    more ||= pages.some((page) => page.more);
  }
  return { choices: [...chosen.values()], silent: [...silent], more };
}

function choice(row: FleetRow, question: Question, ending: Ending, now: number): Choice {
  const { sessionId } = row;
  const { actor, reason, words } = ending;
  const guard = question.guard(row, now);
  const order = { actor, reason, words: `${words} (${question.why})`, guard };
  return { sessionId, why: question.why, order, status: row.status, spared: question.spared ?? null };
}

/** Across shards, in the order that the question asks for. */
function sorted(rows: readonly FleetRow[], question: Question): readonly FleetRow[] {
  const key = (row: FleetRow) => (question.query.order === "idlest" ? row.lastActivityAt : row.createdAt);
  const direction = question.query.order === "newest" ? -1 : 1;
  return rows.toSorted((a, b) => direction * (key(a) - key(b)) || (a.sessionId < b.sessionId ? -1 : 1));
}

interface ShardRows {
  readonly rows: readonly FleetRow[];
  readonly silent: string | null;
  readonly more: boolean;
}

async function rowsOf(
  ports: IndexPorts,
  terms: IndexTerms,
  shard: NamedShard,
  question: Question,
  atMost: number,
): Promise<ShardRows> {
  const rows: FleetRow[] = [];
  for (;;) {
    const last = rows.at(-1);
    const after = last === undefined ? {} : { after: { createdAt: last.createdAt, id: last.sessionId } };
    const limit = Math.min(terms.pageSize, atMost + 1 - rows.length);
    const page = await outcomeWithin(ports.clock, terms.callMs, () =>
      shard.api.select({ ...question.query, ...after, limit }),
    );
    if (page.type !== "answered") return { rows, silent: shard.name, more: false };
    rows.push(...page.value);
    const more = rows.length > atMost;
    // "idlest" has no keyset: its first page is all that is asked for, the next run takes the next idlest.
    const full = page.value.length >= limit;
    if (more || !full || question.query.order === "idlest") return { rows, silent: null, more: more || full };
  }
}
