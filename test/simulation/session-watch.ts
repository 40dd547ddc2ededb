/**
 * One session as it is stored, read after every write and every step from the database alone, and what must hold of each stored state and of
 * each change between two (I1, I2, I5, I7, I10, the clocks, the receipts). It never asks the code under test.
 */
import { isDeepStrictEqual } from "node:util";
import { stateViolations, moveViolations } from "../../src/domain/invariants.ts";
import type { Generation, SessionId } from "../../src/domain/ids.ts";
import { stopBackoff, type Closed, type Lease, type Stopping } from "../../src/domain/lease.ts";
import type { Policy } from "../../src/domain/policy.ts";
import { nextDeadline, owes } from "../../src/domain/reconcile.ts";
import { openLeases, type Session } from "../../src/domain/session.ts";
import { jobViolations, readJobs, type JobsSeen } from "./job-checks.ts";
import { receiptViolations } from "./receipt-checks.ts";
import type { SimPlan } from "./sim-plan.ts";
import type { SessionObjectSim } from "./sim-session.ts";
import { StoredReader } from "./stored-session.ts";

/** While a wake is at work, its alarm is only the safety net of that work (engine.ts). */
const wakeAlarmMs = 10_000;
/** What is due and cannot be stored, given back or deleted rests, doubling up to this (engine.ts). */
const longestRestMs = 300_000;

/** After the answer of a renewal that failed (on-renewal.ts). */
const confirmMs = 1_000;

const nothing: readonly string[] = [];

export class SessionWatch {
  readonly id: SessionId;
  readonly object: SessionObjectSim;
  readonly stored: StoredReader;
  readonly #policy: Policy;
  readonly #storageFails: boolean;
  readonly #now: () => number;
  /** How often the controllers' clock jumped: times of before and after a jump cannot be compared. */
  readonly #jumps: () => number;
  #seenWrites = -1;
  #readWrites = -1;
  #session: Session | null = null;
  #version = 0;
  #reported = 0;
  #erased = false;
  #jobs: JobsSeen = new Map();
  #seenJobWrites = 0;
  /** What was in memory when it was last found to be what is stored. */
  readonly #compared = new WeakMap<Session, Session>();
  readonly #closed = new Map<Generation, Closed>();
  /** Found at a write since the last step. */
  #pending: string[] = [];

  constructor(id: SessionId, object: SessionObjectSim, plan: SimPlan, now: () => number, jumps: () => number) {
    this.id = id;
    this.object = object;
    this.stored = new StoredReader(object.storage);
    this.#policy = plan.policy;
    this.#storageFails = plan.storageFailRate > 0;
    this.#now = now;
    this.#jumps = jumps;
    object.storage.onCommitted = () => this.#pending.push(...this.#reload());
  }

  /** null: nothing is stored (not created yet, undone, or erased). */
  get session(): Session | null {
    return this.#session;
  }

  get version(): number {
    return this.#version;
  }

  /** Every lease that was ever seen closed, erased ones included. */
  get closed(): ReadonlyMap<Generation, Closed> {
    return this.#closed;
  }

  lease(generation: Generation): Lease | null {
    if (this.#session === null) return null;
    const open = openLeases(this.#session).find((lease) => lease.generation === generation);
    return open ?? this.#closed.get(generation) ?? null;
  }

  /** Reads what changed, and answers what must not be. */
  check(): readonly string[] {
    const { storage, api } = this.object;
    if (storage.writes === this.#seenWrites && this.#pending.length === 0) return nothing;
    this.#seenWrites = storage.writes;
    const found = [...this.#pending, ...this.#reload(), ...this.#jobViolations()];
    this.#pending = [];
    const inMemory = api?.state.session ?? null;
    if (inMemory !== null && this.#session !== null && this.#compared.get(inMemory) !== this.#session) {
      if (!isDeepStrictEqual(inMemory, this.#session) && !coveredSend(inMemory, this.#session))
        found.push("I1: what is in memory is not what is stored");
      this.#compared.set(inMemory, this.#session);
    }
    // Only a write can break it: with time alone the alarm comes nearer.
    found.push(...this.#alarmViolations());
    return found;
  }

  #reload(): readonly string[] {
    const { writes } = this.stored;
    if (writes === this.#readWrites) return nothing;
    this.#readWrites = writes;
    const before = this.#session;
    const stored = this.stored.session();
    if (stored === null) return this.#vanished(before);
    const { session } = stored;
    const found = [...stateViolations(session, this.#policy)];
    if (before !== null && before.createdAt === session.createdAt) {
      found.push(...moveViolations(before, session, this.#policy), ...this.#changeViolations(before, session));
      if (stored.version < this.#version) found.push("the row version fell");
    }
    for (const receipt of stored.receipts) found.push(...this.#keep(receipt));
    this.#session = session;
    this.#version = stored.version;
    this.#reported = stored.reported;
    return found;
  }

  #jobViolations(): readonly string[] {
    const { storage } = this.object;
    const writes = storage.writesTo("job");
    if (writes === this.#seenJobWrites || !storage.hasTables) return nothing;
    this.#seenJobWrites = writes;
    const before = this.#jobs;
    this.#jobs = readJobs(storage);
    return jobViolations(before, this.#jobs);
  }

  #vanished(before: Session | null): readonly string[] {
    this.#session = null;
    this.#jobs = new Map();
    if (before === null || this.#erased) return [];
    this.#erased = true;
    return openLeases(before)
      .filter((lease) => lease.phase !== "stopping" || lease.assertion === null)
      .map((lease) => `DEL-2: rows erased while generation ${lease.generation} is open`);
  }

  #keep(receipt: Closed): readonly string[] {
    if (this.#closed.has(receipt.generation)) return [];
    this.#closed.set(receipt.generation, receipt);
    return receiptViolations(receipt, this.#policy);
  }

  /** I5: every state that is not finished has an alarm, and it is no later than the deadline. */
  #alarmViolations(): readonly string[] {
    if (this.#session === null) return [];
    const now = this.#now();
    const { alarmAt } = this.object.storage;
    if (this.#reported < this.#version && (alarmAt === null || alarmAt > now + longestRestMs))
      return [`CAP-6: version ${this.#version} is not reported, and the alarm is far: ${alarmAt ?? "none"}`];
    const deadline = nextDeadline(this.#session, this.#policy);
    if (deadline === null) return [];
    if (alarmAt === null) return [`I5: no alarm is armed, and it must look again at ${deadline}`];
    const latest = Math.max(deadline, now) + (deadline <= now ? this.#rest(this.#session) : wakeAlarmMs);
    return alarmAt <= latest ? [] : [`I5: the alarm is armed ${alarmAt - latest} ms after the deadline`];
  }

  /** For what is due already: how long it may be until the next look, ms. */
  #rest(session: Session): number {
    if (this.#storageFails || owes(session)) return longestRestMs;
    const { newest } = session;
    // A renewal that dies on its way is made up for by the next (docs/decisions/0024).
    const quiet = newest?.phase === "held" && newest.failures === 0 && newest.renewals.sendsUntil !== null;
    return quiet ? Math.max(this.#policy.renewMs, wakeAlarmMs, this.#policy.observeMs + confirmMs) : wakeAlarmMs;
  }

  #changeViolations(before: Session, after: Session): readonly string[] {
    const found: string[] = [];
    const jumped = this.#jumps() > 0;
    if (before.desired.type !== "terminated" && after.desired.type === "terminated") {
      const { reason, at } = after.desired;
      // CLK-9: what ends it is still due at the moment of acting, by what was stored last.
      if (reason === "timeout" && at < before.endAt) found.push("CLK-9: ended by a timeout that was not due");
      const idle = before.limits.idleTimeoutMs;
      if (reason === "idle_timeout" && (idle === null || at < before.activity.lastAt + idle)) {
        found.push("CLK-7: ended as idle before it was");
      }
    }
    for (const lease of openLeases(after)) {
      if (lease.phase !== "stopping") continue;
      const old = openLeases(before).find((each) => each.generation === lease.generation);
      found.push(...this.#stopViolations(old?.phase === "stopping" ? old : null, lease, jumped));
    }
    return found;
  }

  /** I7: attempts are bounded, the wait between two is the policy's, and nothing resets either. */
  #stopViolations(before: Stopping | null, after: Stopping, jumped: boolean): readonly string[] {
    const found: string[] = [];
    if (after.attempts.length > this.#policy.stopAttempts) found.push("I7: more stop attempts than allowed");
    if (before === null) return found;
    const newRound = after.earlierAttempts > before.earlierAttempts;
    if (after.attempts.length < before.attempts.length && !newRound) found.push("I7: stop attempts were forgotten");
    const last = after.attempts.at(-1);
    const previous = after.attempts.at(-2);
    const started = after.attempts.length > before.attempts.length;
    if (!started || last === undefined || previous?.endedAt == null || jumped || newRound) return found;
    const shortest = stopBackoff(after.attempts.length - 1, 0, this.#policy);
    if (last.startedAt - previous.endedAt < shortest - 1) {
      found.push(`LEA-10: the next stop attempt came after ${last.startedAt - previous.endedAt} ms, not ${shortest}`);
    }
    return found;
  }
}

/**
 * A send that what is stored covers is not written (docs/decisions/0024): then, and only then, the renewals in memory may be
 * ahead, within what was covered; by one, and by one more after a reload, which skips a number that may be out there.
 */
function coveredSend(inMemory: Session, stored: Session): boolean {
  const [ahead, base] = [inMemory.newest, stored.newest];
  if (ahead?.phase !== "held" || base?.phase !== "held" || base.renewals.sendsUntil === null) return false;
  const further = ahead.renewals.sequence - base.renewals.sequence;
  if (further < 1 || further > 2) return false;
  const { lastSentAt, sendsUntil } = base.renewals;
  if ((ahead.renewals.lastSentAt ?? 0) > Math.max(sendsUntil, lastSentAt ?? 0)) return false;
  const { renewals, nextRenewalAt } = base;
  return isDeepStrictEqual({ ...inMemory, newest: { ...ahead, renewals, nextRenewalAt } }, stored);
}
