/**
 * One session under observation: what is stored is read after every write, every step and every jump of the clock, and held against
 * the oracle. What the code has in memory is looked at only to see that it is what is stored.
 */
import type { SessionId } from "../../../src/domain/state/ids.ts";
import type { SessionObjectSim } from "../objects/sim-session.ts";
import { eraseAt, longestRestMs, nextLookAt, wakeMs } from "../oracle/deadlines.ts";
import { Disturbances, type ClockJumps } from "../oracle/disturbances.ts";
import { unfoundedMoves, type Evidence } from "../oracle/evidence.ts";
import { JobWatch } from "../oracle/jobs.ts";
import { LateWatch } from "../oracle/late.ts";
import {
  openLeaseOf,
  openOf,
  owesSomething,
  type SeenClosed,
  type SeenLease,
  type SeenSession,
  type Timers,
} from "../oracle/model.ts";
import { moveFaults } from "../oracle/moves.ts";
import { receiptFaults } from "../oracle/receipts.ts";
import { stateFaults } from "../oracle/states.ts";
import { StopWatch } from "../oracle/stops.ts";
import { sameRecord } from "../oracle/same-record.ts";
import { StoredReader } from "../oracle/stored.ts";

export interface WatchDependencies {
  readonly timers: Timers;
  readonly storageFails: boolean;
  /** By the controllers' clock. */
  readonly now: () => number;
  /** By the true one. */
  readonly elapsed: () => number;
  readonly jumps: ClockJumps;
  readonly evidence: Evidence;
  /** null: the registry and the index have both heard that it is erased, so its rows may go; else who has not. */
  readonly saidFarewell: (id: SessionId, createdAt: number) => string | null;
  /** Both have heard that version, whether the session has noted it or not. */
  readonly bothHold: (id: SessionId, version: number) => boolean;
  /** Somebody asked to delete it. */
  readonly wasDeleted: () => boolean;
}

/** How a schedule has damaged its rows: as a bad write does, or as code of a later version leaves them. */
export type Damage = "unreadable" | "newer";

/** The platform repeats an alarm whose handler died for about this long. */
const afterCrashMs = 130_000;
/** A clock that was put right is noticed with the next request, change or load. */
const afterJumpMs = 20_000;

const nothing: readonly string[] = [];

export class SessionWatch {
  readonly id: SessionId;
  readonly object: SessionObjectSim;
  readonly stored: StoredReader;
  readonly disturbances = new Disturbances();
  readonly #at: WatchDependencies;
  readonly #stops: StopWatch;
  readonly #jobs: JobWatch;
  readonly #late: LateWatch;
  #seenWrites = -1;
  #readWrites = -1;
  #session: SeenSession | null = null;
  #version = 0;
  #reported = 0;
  #damage: Damage | null = null;
  #mended = false;
  /** Until then its alarm may be the slow one of rows that cannot be read. */
  #slowUntil = Number.NEGATIVE_INFINITY;
  /** What was in memory when it was last found to be what is stored. */
  readonly #compared = new WeakMap<object, SeenSession>();
  readonly #closed = new Map<number, SeenClosed>();
  /** Generations that an operator asserted gone: from then on nobody has to stand for them. */
  readonly #asserted = new Set<number>();
  /** Found at a write since the last step. */
  #pending: string[] = [];

  constructor(id: SessionId, object: SessionObjectSim, at: WatchDependencies) {
    this.id = id;
    this.object = object;
    this.#at = at;
    this.stored = new StoredReader(object.storage);
    this.#stops = new StopWatch(at.timers, at.jumps, at.elapsed);
    this.#jobs = new JobWatch(object.storage, at.timers, at.storageFails ? longestRestMs + wakeMs : null);
    this.#late = new LateWatch(at.timers, this.disturbances);
    object.storage.onCommitted = () => this.#pending.push(...this.#reload());
    object.storage.onErasing = () => this.#pending.push(...this.#farewell());
  }

  /** null: nothing is stored (not created yet, undone, or erased), or it cannot be read. */
  get session(): SeenSession | null {
    return this.#session;
  }

  get version(): number {
    return this.#version;
  }

  /** Registry and index have confirmed what is stored. */
  get told(): boolean {
    return this.#reported >= this.#version;
  }

  get damage(): Damage | null {
    return this.#damage;
  }

  /** Every lease that was ever seen closed, erased ones included. */
  get closed(): ReadonlyMap<number, SeenClosed> {
    return this.#closed;
  }

  wasAsserted(generation: number): boolean {
    return this.#asserted.has(generation);
  }

  lease(generation: number): SeenLease | null {
    const known = this.#session === null ? null : openLeaseOf(this.#session, generation);
    return known ?? this.stored.lease(generation)?.lease ?? this.#closed.get(generation) ?? null;
  }

  // --- what disturbs it -------------------------------------------------------------------------------------------------

  crashed(): void {
    this.disturbances.disturbed(this.#at.now() + afterCrashMs);
    this.#stops.disturbed(afterCrashMs);
  }

  storageFailed(): void {
    this.disturbances.disturbed(this.#at.now() + longestRestMs + wakeMs);
    this.#stops.disturbed(longestRestMs + wakeMs);
  }

  retryAsked(): void {
    this.#stops.retryAsked();
  }

  unheard(): void {
    this.disturbances.unheard(this.#at.now() + longestRestMs + this.#at.timers.observeMs);
  }

  /** By `ms`; back when below 0: what is armed comes later by as much, unless something else wakes it. */
  clockSet(ms: number): void {
    // Rows that cannot be acted on have an alarm of their own, which stands by the clock of before, also after they are mended.
    const { alarmAt } = this.object.storage;
    const slowly = this.#damage !== null || (alarmAt !== null && alarmAt <= this.#slowUntil);
    const slowMs = slowly ? this.#slowRetryMs : 0;
    this.disturbances.clockSet(this.#at.now(), afterJumpMs + Math.max(0, -ms) + slowMs);
    // What was armed by the clock of before stands until something else wakes it.
    if (ms < 0) this.#slowUntil = Math.max(this.#slowUntil, alarmAt ?? Number.NEGATIVE_INFINITY);
  }

  /** Its rows are damaged; null: they are as they were before. Either way nothing that follows is compared with before. */
  damaged(how: Damage | null): void {
    this.#damage = how;
    this.#mended = true;
    this.#stops.forget();
    this.#readWrites = -1;
    this.#seenWrites = -1;
    const { now } = this.#at;
    const slowMs = this.#slowRetryMs;
    this.#slowUntil = Math.max(this.#slowUntil, now() + slowMs);
    this.disturbances.disturbed(now() + slowMs + afterCrashMs);
    this.#reload();
  }

  get #slowRetryMs(): number {
    const { newerRetryMs, unreadableRetryMs } = this.#at.timers;
    return Math.max(newerRetryMs, unreadableRetryMs) + wakeMs;
  }

  // --- looking ----------------------------------------------------------------------------------------------------------

  /** Reads what changed, and answers what must not be. */
  check(): readonly string[] {
    const { storage } = this.object;
    const late = this.#late.check(this.#at.now(), () => this.#at.bothHold(this.id, this.#version));
    if (storage.writes === this.#seenWrites && this.#pending.length === 0) return late;
    this.#seenWrites = storage.writes;
    const found = [...late, ...this.#pending, ...this.#reload()];
    this.#pending = [];
    if (this.#damage !== null) return found;
    found.push(...this.#memoryFaults());
    // The slow alarm of rows that could not be read stands until something else wakes it.
    const armedSlowly = storage.alarmAt !== null && storage.alarmAt <= this.#slowUntil;
    const alarmAt = armedSlowly ? this.#at.now() : storage.alarmAt;
    found.push(...this.#jobs.check(this.#session, alarmAt, this.#at.now()));
    // Only a write can break it: with time alone the alarm comes nearer.
    found.push(...this.#alarmFaults());
    return found;
  }

  #reload(): readonly string[] {
    const { writes } = this.stored;
    if (writes === this.#readWrites) return nothing;
    this.#readWrites = writes;
    const before = this.#mended ? null : this.#session;
    const stored = this.#damage === null ? this.stored.session() : null;
    if (stored === null) return this.#vanished();
    this.#mended = false;
    const { session, version } = stored;
    const { timers, evidence, now, elapsed, jumps } = this.#at;
    // What is read first after a repair is the session as the damage left it: what it was told meanwhile is still to be done.
    const found: string[] = before === null && this.#session === null ? [] : [...stateFaults(session, timers)];
    if (before !== null && before.createdAt === session.createdAt) {
      const clock = { now: now(), elapsed: elapsed(), jumps };
      found.push(...moveFaults(before, session, timers), ...unfoundedMoves(before, session, evidence, timers, clock));
      if (version < this.#version) found.push("the row version fell");
      const { desired } = session;
      if (desired.type === "terminated" && desired.reason === "requested" && !this.#at.wasDeleted())
        found.push("DEL-1: ended as requested, and nobody asked for it");
    }
    found.push(...this.#stops.stored(session));
    for (const ghost of session.ghosts) if (ghost.assertion !== null) this.#asserted.add(ghost.generation);
    for (const receipt of stored.receipts) found.push(...this.#keep(receipt));
    const heardBefore = this.#version;
    this.#session = session;
    this.#version = version;
    this.#reported = stored.reported;
    this.#late.stored(session, this.told, now(), () => this.#at.bothHold(this.id, heardBefore));
    return found;
  }

  #vanished(): readonly string[] {
    this.#session = null;
    this.#jobs.forget();
    this.#late.stored(null, true, this.#at.now(), () => false);
    return nothing;
  }

  /** Its rows are about to go: nothing of it may be left, and its last word must have been heard (FLT-1). */
  #farewell(): readonly string[] {
    const session = this.#session;
    if (this.#damage === "newer") return ["LEA-19: rows of newer code were erased"];
    if (this.#damage !== null || session === null) return nothing;
    const found = openOf(session)
      .filter((lease) => lease.phase !== "stopping" || lease.assertion === null)
      .map((lease) => `DEL-2: rows erased while generation ${lease.generation} is open`);
    const own = session.snapshot !== null && session.snapshot.source === undefined;
    if (own || session.discarded.length > 0) found.push("DEL-13: rows erased with a snapshot left");
    // A create that was refused is undone before anybody heard of it.
    const undone = session.newest === null && session.desired.type !== "terminated" && this.#reported === 0;
    const unsaid = undone ? null : this.#at.saidFarewell(this.id, session.createdAt);
    if (unsaid !== null) found.push(`DEL-5: rows erased although ${unsaid}`);
    return found;
  }

  #keep(receipt: SeenClosed): readonly string[] {
    if (this.#closed.has(receipt.generation)) return nothing;
    this.#closed.set(receipt.generation, receipt);
    return receiptFaults(receipt, this.#at.evidence, this.#at.timers);
  }

  #memoryFaults(): readonly string[] {
    const inMemory: object | null = this.object.api?.state.session ?? null;
    if (inMemory === null || this.#session === null || this.#compared.get(inMemory) === this.#session) return nothing;
    this.#compared.set(inMemory, this.#session);
    const seen = inMemory as SeenSession;
    return sameRecord(seen, this.#session) || coveredSend(seen, this.#session)
      ? nothing
      : ["I1: what is in memory is not what is stored"];
  }

  /** I5: every state that is not finished has an alarm, and it is no later than the deadline. */
  #alarmFaults(): readonly string[] {
    if (this.#session === null) return nothing;
    const now = this.#at.now();
    const { alarmAt } = this.object.storage;
    const far = alarmAt === null || alarmAt > Math.max(now + longestRestMs, this.#slowUntil);
    if (!this.told && far && !this.#at.bothHold(this.id, this.#version))
      return [`CAP-6: version ${this.#version} is not reported, and the alarm is far: ${alarmAt ?? "none"}`];
    const deadline = nextLookAt(this.#session, this.#at.timers);
    if (deadline === null) return nothing;
    if (alarmAt === null) return [`I5: no alarm is armed, and it must look again at ${deadline}`];
    if (alarmAt <= this.#slowUntil) return nothing;
    const latest = Math.max(deadline, now) + (deadline <= now ? this.#rest(this.#session) : wakeMs);
    return alarmAt <= latest ? nothing : [`I5: the alarm is armed ${alarmAt - latest} ms after the deadline`];
  }

  /** For what is due already: how long it may be until the next look, ms. */
  #rest(session: SeenSession): number {
    const { timers, storageFails } = this.#at;
    // What cannot be given back, deleted or told yet rests between its tries; so does an erasure that nobody has heard of.
    if (storageFails || owesSomething(session) || eraseAt(session, timers) !== null) return longestRestMs;
    const asked = Math.max(wakeMs, timers.observeMs + confirmMs);
    const { newest } = session;
    // A renewal that dies on its way is made up for by the next (docs/decisions/0024).
    const quiet = newest?.phase === "held" && newest.failures === 0 && newest.renewals.sendsUntil !== null;
    return quiet ? Math.max(timers.renewMs, asked) : asked;
  }
}

/** After the answer of a renewal that failed, until the next one. */
const confirmMs = 1_000;

/**
 * A send that what is stored covers is not written (docs/decisions/0024): then, and only then, the renewals in memory may be
 * ahead, within what was covered; by one, and by one more after a reload, which skips a number that may be out there.
 */
function coveredSend(inMemory: SeenSession, stored: SeenSession): boolean {
  const [ahead, base] = [inMemory.newest, stored.newest];
  if (ahead?.phase !== "held" || base?.phase !== "held" || base.renewals.sendsUntil === null) return false;
  const further = ahead.renewals.sequence - base.renewals.sequence;
  if (further < 1 || further > 2) return false;
  const { lastSentAt, sendsUntil } = base.renewals;
  if ((ahead.renewals.lastSentAt ?? 0) > Math.max(sendsUntil, lastSentAt ?? 0)) return false;
  const { renewals, nextRenewalAt } = base;
  return sameRecord({ ...inMemory, newest: { ...ahead, renewals, nextRenewalAt } }, stored);
}
