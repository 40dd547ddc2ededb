/**
 * The session as it is stored, and the only way to change it: `dispatch` an event, and what the machine decides is written
 * in one transaction together with its history, its job effects and the alarm (I1), before anybody acts on it.
 * The copy in memory moves on only when the write is through.
 */
import type { Effect, Note, SessionEvent } from "../domain/events.ts";
import { moveViolations, stateViolations } from "../domain/invariants.ts";
import { stoppingFrom, type Closed } from "../domain/lease.ts";
import type { Outcome } from "../domain/outcome.ts";
import { afterReload, sendIsCovered } from "../domain/on-renewal.ts";
import { nextDeadline, owes } from "../domain/reconcile.ts";
import type { Session } from "../domain/session.ts";
import { transition } from "../domain/transition.ts";
import type { JobStore } from "./job-store.ts";
import type { SessionPorts } from "./ports.ts";
import { salvage, standIn } from "./salvage.ts";
import type { LeaseRemains, PlainSession } from "./row-codec.ts";
import type { Actor } from "./history.ts";
import type { Loaded, SessionStore } from "./store.ts";

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
  /** Another session begins in this object, or this one's rows are gone: nothing of the old may be remembered. */
  onReset: () => void = () => undefined;
  /** With the row version given: when something beside the machine (reports, waiting jobs) wants to be looked at; null: nothing does. */
  chores: (version: number) => number | null = () => null;
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
        this.#session = afterReload(loaded.session);
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

  create(session: Session, requestHash: string | null, secrets: string): void {
    const labels = Object.keys(session.profile.labels).length;
    const created: Note = { type: "created", cause: "asked for", generation: null, facts: { labels } };
    this.#store.migrate();
    this.#inTransaction(() => {
      this.#store.create(session, requestHash, secrets, [created], "client");
      this.#ports.alarm.set(this.alarmAt(session));
    });
    this.#jobs.forget();
    this.onReset();
    this.#mode = { type: "readable" };
    this.#session = session;
    this.#version = 1;
    this.#changed();
  }

  /**
   * Throws only when the write fails (nothing has changed then) or an invariant would break (a bug: not stored).
   * `alongside` joins the transaction, whether the event moves anything or not.
   */
  dispatch(event: SessionEvent, actor: Actor, alongside?: () => void): Outcome {
    const before = this.#session;
    if (before === null) return { type: "ignored", why: "there is no session" };
    const now = this.#ports.clock.now();
    const { policy } = this.#ports;
    const outcome = transition(before, event, { now, policy });
    if (outcome.type === "rejected") return outcome;
    if (outcome.type === "ignored") {
      if (alongside !== undefined) this.alongside(alongside);
      return outcome;
    }
    const after = outcome.session;
    // What is stored covers it (I1): a renewal then writes once, when it was accepted.
    if (event.type === "renewalStarted" && alongside === undefined && sendIsCovered(before, now)) {
      this.#session = after;
      return outcome;
    }
    this.#refuseDefects(event.type, before, after);
    this.#version = this.#inTransaction(() => {
      alongside?.();
      const version = this.#write(before, after, outcome.effects, actor, now);
      // By the version that it has from here on: what has just become news is armed for before anybody is told (CAP-6).
      this.#ports.alarm.set(this.alarmAt(after, version));
      return version;
    });
    this.#session = after;
    this.#changed();
    return outcome;
  }

  /** A write beside the machine (a job handed over, say), with the alarm it may need. */
  alongside(write: () => void): void {
    this.#inTransaction(() => {
      write();
      this.rearm();
    });
    this.#changed();
  }

  #inTransaction<T>(body: () => T): T {
    try {
      return this.#store.transaction(body);
    } catch (error) {
      this.#jobs.forget();
      this.#ports.alarm.rolledBack();
      throw error;
    }
  }

  /** Only what this very move would break: a state that was odd before must not be stuck in it for ever. */
  #refuseDefects(event: string, before: Session, after: Session): void {
    if (this.#mode.type !== "readable") return;
    const { policy } = this.#ports;
    const odd = new Set(stateViolations(before, policy));
    const broken = [
      ...stateViolations(after, policy).filter((each) => !odd.has(each)),
      ...moveViolations(before, after, policy),
    ];
    if (broken.length > 0) throw new Error(`${event} would break: ${broken.join("; ")}`);
    if (odd.size > 0) this.#ports.logger.error("an odd state moves on", { event, odd: [...odd].join("; ") });
  }

  #write(before: Session, after: Session, effects: readonly Effect[], actor: Actor, now: number): number {
    const receipts: Closed[] = [];
    for (const effect of effects) {
      if (effect.type === "settleJobs") this.#jobs.settleHanded(effect.generation, effect.as, now);
      if (effect.type === "dropQueue") this.#jobs.dropQueue(now);
      if (effect.type === "storeReceipt") receipts.push(effect.lease);
    }
    const notes = effects.flatMap((effect) => (effect.type === "note" ? [effect.note] : []));
    if (this.#mode.type === "readable") {
      return this.#store.save(before, after, receipts, notes, actor, now);
    }
    // Unreadable: lease rows only. The record stays as it was found, for whoever can still read it.
    if (after.newest !== null && after.newest !== before.newest) this.#store.saveLease(after.newest, "newest");
    for (const ghost of after.ghosts) if (!before.ghosts.includes(ghost)) this.#store.saveLease(ghost, "ghost");
    for (const receipt of receipts) this.#store.saveLease(receipt, "past");
    this.#store.addNotes(before, after, notes, actor, now);
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
    this.#inTransaction(() => {
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
    this.#inTransaction(() => {
      this.#store.requestDelete(this.#ports.clock.now());
      this.#ports.alarm.set(this.alarmAt(this.#session));
    });
    if (this.#mode.type === "unreadable") this.#adopt(this.#store.load());
    this.#changed();
  }

  /** Arms for what is due next. Also called when nothing was written: by the alarm handler, and when a chore changed. */
  rearm(): void {
    if (this.#mode.type === "absent") return;
    this.#ports.alarm.set(this.alarmAt(this.#session));
  }

  /** The alarm's time for a state. Never null: even a finished one is looked at when its rows are to go. */
  alarmAt(session: Session | null, version: number = this.#version): number {
    const { clock, policy } = this.#ports;
    const now = clock.now();
    const due: number[] = [];
    if (this.#mode.type === "newer") due.push(now + policy.newerRetryMs);
    if (this.#mode.type === "unreadable") due.push(now + policy.unreadableRetryMs);
    const deadline = session === null ? null : nextDeadline(session, policy);
    if (deadline !== null && deadline > now) due.push(deadline);
    // Due already, or without a date of its own: under way, or resting after it came to nothing.
    if (session !== null && ((deadline !== null && deadline <= now) || owes(session))) due.push(this.retryAt(now));
    const chores = this.chores(version);
    if (chores !== null) due.push(Math.max(chores, now + 1));
    return due.length === 0 ? now + policy.unreadableRetryMs : Math.min(...due);
  }

  /** The rows are gone. */
  erased(): void {
    this.#mode = { type: "absent" };
    this.#session = null;
    this.#deleteAsked = false;
    this.#jobs.forget();
    this.onReset();
    this.#changed();
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Something beside the machine was written (a job, say): it is armed for, and whoever waits should look. */
  touched(): void {
    try {
      this.rearm();
    } catch (error) {
      // What was written stands: the caller must not be told that it failed.
      this.#ports.logger.error("could not arm for what was written", { error: String(error) });
    }
    this.#changed();
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener();
      } catch (error) {
        // One that fails must not keep the others from hearing of it.
        this.#ports.logger.error("a listener failed", {
          error: error instanceof Error ? error.message : String(error),
        });
      }
    }
  }
}
