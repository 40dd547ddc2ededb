/**
 * How long sandboxes live past their limit, on the world's clock, which nobody sets.
 *
 * The limit of an instance is its lease TTL and the stop grace after the last renewal that reached it, and no later than as much after
 * its session stopped wanting it: a delete, a stop, or the end of a session that is killed at its timeout. Not told by the lease clock
 * of the instance itself: that is code under test.
 *
 * A launch that came twice may have started two instances under one id: each guardian begins a life of its own. A renewal counts for
 * both, since the world does not tell which of them took it; a job counts for the older.
 *
 * A sandbox of which everything is frozen neither runs nor hears a signal. Its time is added up apart from that of the others.
 */
import type { Generation, SessionId } from "../../../src/domain/state/ids.ts";
import type { JournalEntry, Process } from "../../memory/journal.ts";
import type { SeenLease, SeenSession } from "../oracle/model.ts";

/** Of one schedule, or of several added up. */
export interface Leaks {
  /** Past the limit with at least one process that is not frozen, ms. */
  readonly runningMs: number;
  /** Past the limit with every process frozen, ms. */
  readonly frozenMs: number;
  /** How many instances `runningMs` comes from. */
  readonly sandboxes: number;
  /** The most of `runningMs` that one instance has. */
  readonly longestMs: number;
}

export const noLeaks: Leaks = { runningMs: 0, frozenMs: 0, sandboxes: 0, longestMs: 0 };

export function addLeaks(one: Leaks, other: Leaks): Leaks {
  return {
    runningMs: one.runningMs + other.runningMs,
    frozenMs: one.frozenMs + other.frozenMs,
    sandboxes: one.sandboxes + other.sandboxes,
    longestMs: Math.max(one.longestMs, other.longestMs),
  };
}

/** What is stored of a session, as far as it says whether an instance is wanted. */
export interface StoredIntent {
  /** null: nothing is stored. */
  readonly session: SeenSession | null;
  /** Its rows cannot be read for now: what was known before stands. */
  readonly damage: unknown;
  lease(generation: number): SeenLease | null;
}

interface World {
  processes(): readonly Process[];
  readonly journal: { readonly length: number; since(from: number): readonly JournalEntry[] };
}

interface LeakWatchDependencies {
  readonly timers: { readonly leaseTtlMs: number; readonly stopGraceMs: number };
  /** By the world's clock, epoch ms. */
  readonly worldNow: () => number;
  /** By the clock of the controllers, which is set now and then. */
  readonly now: () => number;
  readonly intents: ReadonlyMap<SessionId, StoredIntent>;
}

interface Life {
  readonly sessionId: SessionId;
  readonly generation: Generation;
  readonly startedAt: number;
  readonly processes: Set<Process>;
  renewedAt: number;
  /** Since when nobody wants it; null: it is wanted. */
  unwantedSince: number | null;
  /** At the last look. */
  ran: boolean;
  runningMs: number;
  frozenMs: number;
}

export class LeakWatch {
  readonly #world: World;
  readonly #at: LeakWatchDependencies;
  /** By instance, oldest first. */
  readonly #lives = new Map<string, Life[]>();
  #sum: Leaks = noLeaks;
  #read = 0;
  #lookedAt: number;
  #seen = "";

  constructor(world: World, at: LeakWatchDependencies) {
    this.#world = world;
    this.#at = at;
    this.#lookedAt = at.worldNow();
  }

  /** After each step. `writes`: how much was written by anybody. */
  look(writes: number): void {
    const now = this.#at.worldNow();
    const alive = this.#world.processes();
    for (const process of alive) this.#meet(process);
    for (const entry of this.#world.journal.since(this.#read)) {
      if (entry.type !== "renewed") continue;
      for (const life of this.#lives.get(entry.instanceId) ?? []) life.renewedAt = entry.at;
    }
    this.#read = this.#world.journal.length;
    const seen = `${this.#read}/${alive.length}/${writes}`;
    for (const [id, lives] of this.#lives) {
      for (const life of lives) {
        if (now > this.#lookedAt) this.#passed(life, this.#lookedAt, now);
        this.#judge(life, now, seen !== this.#seen);
      }
      if (lives.some((life) => diedAt(life) !== null)) this.#bury(id, lives);
    }
    this.#seen = seen;
    this.#lookedAt = now;
  }

  get leaks(): Leaks {
    return Array.from(this.#lives.values()).flat().map(leaksOf).reduce(addLeaks, this.#sum);
  }

  #meet(process: Process): void {
    const { kind, instanceId, generation, sessionId, bornAt } = process;
    // A wrapper of before there were leases has no limit.
    if (instanceId === null || generation === null) return;
    const lives = this.#lives.get(instanceId) ?? [];
    if (lives.some(({ processes }) => processes.has(process))) return;
    const own = kind === "wrapper" ? lives.at(-1) : kind === "guardian" ? undefined : lives[0];
    if (own !== undefined) {
      own.processes.add(process);
      return;
    }
    this.#lives.set(instanceId, [
      ...lives,
      {
        ...{ sessionId, generation, startedAt: bornAt, renewedAt: bornAt, processes: new Set([process]) },
        ...{ unwantedSince: null, ran: true, runningMs: 0, frozenMs: 0 },
      },
    ]);
  }

  /** Adds up what of the time from the last look to this one was past the limit. */
  #passed(life: Life, from: number, to: number): void {
    const { leaseTtlMs, stopGraceMs } = this.#at.timers;
    const unwanted = life.unwantedSince === null ? Infinity : Math.max(life.unwantedSince, life.startedAt);
    const limit = Math.min(life.renewedAt, unwanted) + leaseTtlMs + stopGraceMs;
    const begin = Math.max(from, limit);
    const end = Math.min(to, diedAt(life) ?? to);
    if (end <= begin) return;
    // A step freezes at its own instant, so what ran at the last look ran until now; a thaw comes at any time between two looks.
    const thawedAt = life.ran ? begin : Math.max(begin, Math.min(end, firstThaw(life, from) ?? end));
    life.frozenMs += thawedAt - begin;
    life.runningMs += end - thawedAt;
  }

  /** `changed`: something was written, or happened in the world, since the last look. */
  #judge(life: Life, now: number, changed: boolean): void {
    life.ran = Array.from(life.processes).some((process) => process.diedAt === null && !process.frozen);
    const intent = this.#at.intents.get(life.sessionId);
    if (intent !== undefined && intent.damage !== null) return;
    const session = intent?.session ?? null;
    const ended = this.#endedAgo(session);
    if (ended === null && !changed) return;
    const phase = intent?.lease(life.generation)?.phase ?? "none";
    const wanted = session?.desired.type !== "terminated" && (phase === "launching" || phase === "held");
    if (wanted && ended === null) life.unwantedSince = null;
    else life.unwantedSince ??= wanted && ended !== null ? Math.max(now - ended, this.#lookedAt) : now;
  }

  /** For how long the session is past an end at which it is killed, ms; null: it is not. */
  #endedAgo(session: SeenSession | null): number | null {
    if (session?.lifecycle.onTimeout !== "kill") return null;
    const ago = this.#at.now() - session.endAt;
    return ago >= 0 ? ago : null;
  }

  #bury(id: string, lives: readonly Life[]): void {
    const left = lives.filter((life) => diedAt(life) === null);
    if (left.length > 0) this.#lives.set(id, left);
    else this.#lives.delete(id);
    const gone = lives.filter((life) => diedAt(life) !== null);
    this.#sum = gone.map(leaksOf).reduce(addLeaks, this.#sum);
  }
}

/** null: something of it is alive. */
function diedAt({ processes }: Life): number | null {
  let last = 0;
  for (const process of processes) {
    if (process.diedAt === null) return null;
    last = Math.max(last, process.diedAt);
  }
  return last;
}

/** The first thaw after that instant; null: there was none. */
function firstThaw({ processes }: Life, after: number): number | null {
  const thaws = Array.from(processes, ({ thawedAt }) => thawedAt ?? after).filter((at) => at > after);
  return thaws.length === 0 ? null : Math.min(...thaws);
}

function leaksOf({ runningMs, frozenMs }: Life): Leaks {
  return { runningMs, frozenMs, sandboxes: runningMs > 0 ? 1 : 0, longestMs: runningMs };
}
