/**
 * The session as it is stored, and the only way to change it: `dispatch` an event, and what the machine decides is written
 * in one transaction together with its history, its job effects and the alarm (I1), before anybody acts on it.
 * The copy in memory moves on only when the write is through.
 */
import type { Effect, SessionEvent } from "../domain/events.ts";
import { moveViolations, stateViolations } from "../domain/invariants.ts";
import { beginStop, stoppingFrom, type Closed, type Lease, type OpenLease, type Stopping } from "../domain/lease.ts";
import type { Outcome } from "../domain/outcome.ts";
import { nextDeadline } from "../domain/reconcile.ts";
import type { Session } from "../domain/session.ts";
import { transition } from "../domain/transition.ts";
import type { JobStore } from "./job-store.ts";
import type { SessionPorts } from "./ports.ts";
import type { Actor, LeaseRemains, Loaded, PlainSession, SessionStore } from "./store.ts";

export type Mode =
  | { readonly type: "absent" }
  | { readonly type: "readable" }
  /** Rows of newer code: hands off, but for the delete intent. */
  | { readonly type: "newer"; readonly plain: PlainSession }
  /** The spec cannot be read: the leases that can be are taken down if they were on their way, or if a delete was asked for. */
  | {
      readonly type: "unreadable";
      readonly plain: PlainSession;
      readonly remains: readonly LeaseRemains[];
      readonly why: string;
    };

/** Overdue work is under way or about to be: the alarm is its safety net, and must not fire in a tight loop. */
const overdueAlarmMs = 2_000;

export class SessionState {
  readonly #ports: SessionPorts;
  readonly #store: SessionStore;
  readonly #jobs: JobStore;
  readonly #listeners = new Set<() => void>();
  #mode: Mode = { type: "absent" };
  #session: Session | null = null;
  #version = 0;
  #deleteAsked = false;
  #seen: Session | null = null;
  #announced = false;
  /** When something beside the machine (reports, waiting jobs) wants to be looked at; null: nothing does. */
  chores: () => number | null = () => null;
  /** When work that is due already is to be tried again, if nothing comes of it now. Epoch ms, after `now`. */
  retryAt: (now: number) => number = (now) => now + overdueAlarmMs;

  constructor(ports: SessionPorts, store: SessionStore, jobs: JobStore) {
    this.#ports = ports;
    this.#store = store;
    this.#jobs = jobs;
    this.#adopt(store.load());
  }

  get mode(): Mode {
    return this.#mode;
  }

  /** null: absent or newer. In mode `unreadable` it stands for what can still be torn down; it is never stored as a whole. */
  get session(): Session | null {
    return this.#session;
  }

  get version(): number {
    return this.#version;
  }

  #adopt(loaded: Loaded): void {
    switch (loaded.type) {
      case "absent":
        this.#mode = { type: "absent" };
        this.#session = null;
        break;
      case "readable":
        this.#mode = { type: "readable" };
        this.#session = loaded.session;
        this.#version = loaded.version;
        this.#deleteAsked = loaded.deleteAsked;
        break;
      case "newer":
        this.#mode = { type: "newer", plain: loaded.plain };
        this.#session = null;
        break;
      case "unreadable":
        this.#mode = { type: "unreadable", plain: loaded.plain, remains: loaded.remains, why: loaded.why };
        this.#session = salvage(loaded.plain, loaded.leases, this.#ports);
        this.#seen = this.#session ?? standIn(loaded.plain, loaded.leases);
        this.#version = loaded.plain.version;
        break;
    }
  }

  /** Never while a lease row cannot be read: nobody knows what it stands for (DEL-3). */
  get mayBeErased(): boolean {
    return this.#mode.type === "readable" || (this.#mode.type === "unreadable" && this.#mode.remains.length === 0);
  }

  create(session: Session, requestHash: string | null, env: Readonly<Record<string, string>>): void {
    const labels = Object.keys(session.profile.labels).length;
    // The alarm first: firing without rows is harmless, rows without an alarm would not be.
    this.#arm(session);
    this.#store.create(
      session,
      requestHash,
      env,
      [{ type: "created", cause: "asked for", generation: null, facts: { labels } }],
      "client",
    );
    this.#mode = { type: "readable" };
    this.#session = session;
    this.#version = 1;
    this.#changed();
  }

  /** Throws only when the write fails (nothing has changed then) or an invariant would break (a bug: not stored). */
  dispatch(event: SessionEvent, actor: Actor): Outcome {
    const before = this.#session;
    if (before === null) return { type: "ignored", why: "there is no session" };
    const now = this.#ports.clock.now();
    const { policy } = this.#ports;
    const outcome = transition(before, event, { now, policy });
    if (outcome.type !== "moved") return outcome;
    const after = outcome.session;
    const violations =
      this.#mode.type === "readable"
        ? [...stateViolations(after, policy), ...moveViolations(before, after, policy)]
        : [];
    if (violations.length > 0) throw new Error(`${event.type} would break: ${violations.join("; ")}`);
    this.#version = this.#store.transaction(() => {
      const version = this.#write(before, after, outcome.effects, actor, now);
      this.#arm(after);
      return version;
    });
    this.#session = after;
    this.#changed();
    return outcome;
  }

  #write(before: Session, after: Session, effects: readonly Effect[], actor: Actor, now: number): number {
    const receipts: Closed[] = [];
    for (const effect of effects) {
      if (effect.type === "settleJobs") this.#jobs.settleHanded(effect.generation, effect.as, now);
      if (effect.type === "dropQueue") this.#jobs.dropQueue(now);
      if (effect.type === "storeReceipt") receipts.push(effect.lease);
    }
    if (this.#mode.type === "readable") {
      const notes = effects.flatMap((effect) => (effect.type === "note" ? [effect.note] : []));
      return this.#store.save(before, after, receipts, notes, actor, now);
    }
    // Unreadable: lease rows only. The record stays as it was found, for whoever can still read it.
    if (after.newest !== null && after.newest !== before.newest) this.#store.saveLease(after.newest, "newest");
    for (const ghost of after.ghosts) if (!before.ghosts.includes(ghost)) this.#store.saveLease(ghost, "ghost");
    for (const receipt of receipts) this.#store.saveLease(receipt, "past");
    return this.#store.bumpVersion();
  }

  /** What can be told of it: the session, or as much of an unreadable one as can be seen. */
  get reportable(): Session | null {
    return this.#session ?? (this.#mode.type === "unreadable" ? this.#seen : null);
  }

  /** Somebody has to hear that it cannot be read: once in each incarnation, as nothing else moves its version (LEA-4). */
  announceUnreadable(): void {
    if (this.#mode.type !== "unreadable" || this.#announced) return;
    this.#version = this.#store.bumpVersion();
    this.#announced = true;
  }

  /** A delete that was stored while the record could not be acted on is carried out now that it can. */
  honourDelete(actor: Actor): void {
    if (!this.#deleteAsked || this.#mode.type !== "readable") return;
    this.dispatch({ type: "terminateRequested", reason: "requested", failure: null }, actor);
    this.#deleteAsked = false;
  }

  /**
   * An operator's act on an unreadable record: leases of which only the identity is left begin to stop by what the plain
   * columns say. Their record is written anew, so from here on they go the way of every other teardown.
   */
  salvageForOperator(): void {
    if (this.#mode.type !== "unreadable") return;
    const { remains } = this.#mode;
    const { clock, policy } = this.#ports;
    const now = clock.now();
    this.#store.transaction(() => {
      this.#store.requestDelete(now);
      for (const { standing, ...identity } of remains)
        this.#store.saveLease(stoppingFrom(identity, now, policy), standing);
      this.#ports.alarm.set(now + overdueAlarmMs);
    });
    this.#adopt(this.#store.load());
    this.#changed();
  }

  /** The delete intent, in any mode. In `unreadable` it lets the teardown of live leases begin. */
  requestDelete(): void {
    this.#store.transaction(() => {
      this.#store.requestDelete(this.#ports.clock.now());
      this.#ports.alarm.set(this.alarmAt(this.#session));
    });
    if (this.#mode.type === "unreadable") this.#adopt(this.#store.load());
    this.#changed();
  }

  #arm(session: Session): void {
    this.#ports.alarm.set(this.alarmAt(session));
  }

  /** Arms for what is due next. Also called when nothing was written: by the alarm handler, and when a chore changed. */
  rearm(): void {
    if (this.#mode.type === "absent") return;
    this.#ports.alarm.set(this.alarmAt(this.#session));
  }

  /** The alarm's time for a state. Never null: even a finished one is looked at when its rows are to go. */
  alarmAt(session: Session | null): number {
    const { clock, policy } = this.#ports;
    const now = clock.now();
    const due: number[] = [];
    if (this.#mode.type === "newer") due.push(now + policy.newerRetryMs);
    if (this.#mode.type === "unreadable") due.push(now + policy.unreadableRetryMs);
    const deadline = session === null ? null : nextDeadline(session, policy);
    if (deadline !== null && deadline > now) due.push(deadline);
    // Due already, or without a date of its own: under way, or resting after it came to nothing.
    if (session !== null && ((deadline !== null && deadline <= now) || owed(session))) due.push(this.retryAt(now));
    const chores = this.chores();
    if (chores !== null) due.push(Math.max(chores, now + 1));
    return due.length === 0 ? now + policy.unreadableRetryMs : Math.min(...due);
  }

  /** The rows are gone. */
  erased(): void {
    this.#mode = { type: "absent" };
    this.#session = null;
    this.#changed();
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Something beside the machine changed (a job, say): whoever waits should look. */
  touched(): void {
    this.#changed();
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

/** What is to be given back or deleted has no date: it is simply not done yet. */
function owed(session: Session): boolean {
  return session.cancellations.length > 0 || session.discarded.length > 0;
}

/** What can be torn down of a session whose spec cannot be read: stops under way, and everything once a delete was asked for. */
function salvage(plain: PlainSession, leases: readonly Lease[], ports: SessionPorts): Session | null {
  const now = ports.clock.now();
  const asked = plain.deleteRequestedAt !== null;
  const open = leases.filter(
    (lease): lease is OpenLease => lease.phase === "stopping" || (asked && lease.phase !== "closed"),
  );
  const stopping = open.map((lease): Stopping => beginStop(lease, "terminated", now, ports.policy));
  const newest = stopping.at(-1) ?? leases.findLast((lease) => lease.phase === "closed") ?? null;
  if (newest === null || (stopping.length === 0 && !asked)) return null;
  const at = plain.deleteRequestedAt ?? (newest.phase === "closed" ? newest.receipt.requestedAt : newest.requestedAt);
  const endedAt = newest.phase === "closed" ? Math.max(at, newest.receipt.verifiedAbsentAt) : null;
  return {
    ...blank(plain, newest.provider),
    nextGeneration: (newest.generation + 1) as Session["nextGeneration"],
    desired: { type: "terminated", reason: "failed", at, endedAt, failure: null },
    newest,
    ghosts: stopping.slice(0, -1),
  };
}

/** Nothing of it may be acted on: it stands there for reports alone, with the newest lease that can be read. */
function standIn(plain: PlainSession, leases: readonly Lease[]): Session | null {
  const newest = leases.at(-1) ?? null;
  const provider = newest?.provider ?? plain.provider;
  if (provider === null) return null;
  return {
    ...blank(plain, provider),
    nextGeneration: ((newest?.generation ?? 0) + 1) as Session["nextGeneration"],
    desired: { type: "running", provision: null },
    newest,
    ghosts: [],
  };
}

type Decided = "nextGeneration" | "desired" | "newest" | "ghosts";

/** What the plain columns say of a session, and nothing for the rest. */
function blank(plain: PlainSession, provider: Session["provider"]): Omit<Session, Decided> {
  return {
    id: plain.id,
    tenant: plain.tenant,
    provider,
    isolation: "session",
    createdAt: plain.createdAt,
    limits: { timeoutMs: 0, idleTimeoutMs: null, maxLifetimeMs: 0 },
    lifecycle: { onTimeout: "kill", onLoss: "hold" },
    profile: { labels: {}, agentType: null, taskId: null, critical: false, autoResume: false },
    endAt: plain.createdAt,
    startedAt: null,
    refreshedAt: null,
    activity: { lastAt: plain.createdAt, activeJobs: 0, reportedAt: plain.createdAt },
    alive: { totalMs: 0, since: null },
    relaunches: 0,
    warnedOfPause: null,
    snapshot: null,
    discarded: [],
    cancellations: [],
  };
}
