/**
 * Owns the stored session. The only way to change it is to `dispatch` an event: the state machine's decision, the history,
 * the job effects and the alarm are written in one transaction, before anything acts on the change. The copy in memory
 * changes only after the write.
 */
import type { Effect, Note, SessionEvent } from "../domain/machine/events.ts";
import { moveViolations, stateViolations } from "../domain/machine/invariants.ts";
import type { Closed } from "../domain/state/lease.ts";
import { stoppingFrom } from "../domain/machine/stop/begin-stop.ts";
import type { Outcome } from "../domain/machine/outcome.ts";
import { afterReload, sendIsCovered } from "../domain/machine/lifetime/on-renewal.ts";
import { nextDeadline, owes } from "../domain/rules/reconcile.ts";
import type { Session } from "../domain/state/session.ts";
import { transition } from "../domain/machine/transition.ts";
import type { JobStore } from "./jobs/job-store.ts";
import type { SessionPorts } from "./ports.ts";
import { reportOnlySession, salvage, savedLeft } from "./records/salvage.ts";
import type { LeaseRemains, PlainSession } from "./records/row-codec.ts";
import type { Actor, Happening } from "./records/history.ts";
import type { StoredActivity } from "./records/activity.ts";
import type { Loaded } from "./records/load.ts";
import { firstVersion, type SessionStore } from "./records/store.ts";

export type Mode =
  | { readonly type: "absent" }
  | { readonly type: "readable" }
  /** Newer code wrote the rows: this code writes nothing but a delete intent. */
  | { readonly type: "newer"; readonly plain: PlainSession }
  /** The record cannot be read. Readable leases are stopped if they were stopping already, or if a delete was requested. */
  | {
      readonly type: "unreadable";
      readonly plain: PlainSession;
      readonly remains: readonly LeaseRemains[];
      readonly why: string;
      /** The saved files that were to be deleted when it was loaded. */
      readonly toDelete: readonly string[];
    };

/**
 * What the alarm must cover besides the state machine's deadlines. The engine answers it; it is built on this state, so it is
 * asked only once both exist.
 */
export interface PendingWork {
  /** When reports or waiting jobs are due, for this row version. Epoch ms; null: nothing waits. */
  dueAt(version: number): number | null;
  /** When work that is due already is tried again. Epoch ms, after `now`. */
  retryAt(now: number): number;
  /** Another session begins in this object, or its rows are gone: forget everything about the old one. */
  reset(): void;
}

/**
 * A write that belongs to an event, in its transaction. Gets the activity as the event leaves it, or null when the event changes
 * nothing, and answers whether it stored that with a job: the session's row then need not be written for it.
 */
export type ExtraWrite = (activity: StoredActivity | null) => boolean;

/** Overdue work is under way or about to be: the alarm is its safety net, and must not fire in a tight loop. */
const overdueAlarmMs = 2_000;
/** If the object is evicted during a launch call, the instance waits for its first renewal: the next incarnation looks this soon. */
const launchLookMs = 10_000;
/** How much of an error message a view shows. */
const maxTroubleChars = 300;

/** Stored as the confirmed version: the last report said that this session cannot be read. */
const reportedAsUnreadable = -1;

export class SessionState {
  readonly #ports: SessionPorts;
  readonly #store: SessionStore;
  readonly #jobs: JobStore;
  readonly #listeners = new Set<() => void>();
  #mode: Mode = { type: "absent" };
  #session: Session | null = null;
  #version = 0;
  #deleteAsked = false;
  #reportOnly: Session | null = null;
  #announced = false;
  /** What went wrong in steps that threw at their last try: a defect, or failing storage. In memory: the next try says it again. */
  readonly #thrown = new Map<string, string>();
  readonly #pendingWork: PendingWork;

  constructor(ports: SessionPorts, store: SessionStore, jobs: JobStore, pendingWork: PendingWork) {
    this.#pendingWork = pendingWork;
    this.#ports = ports;
    this.#store = store;
    this.#jobs = jobs;
    this.#adopt(store.load());
  }

  get mode(): Mode {
    return this.#mode;
  }

  /** null: absent or newer. In mode `unreadable` it holds only what can still be stopped, and is never stored as a whole. */
  get session(): Session | null {
    return this.#session;
  }

  get version(): number {
    return this.#version;
  }

  /** What the last step that threw said; null: none is in trouble. */
  get trouble(): string | null {
    const [lane, words] = [...this.#thrown].at(-1) ?? [null, ""];
    return lane === null ? null : `A step of Mooring's own failed and is tried again (${lane}): ${words}`;
  }

  stepThrew(lane: string, words: string): void {
    this.#thrown.delete(lane);
    this.#thrown.set(lane, words.slice(0, maxTroubleChars));
  }

  stepWentWell(lane: string): void {
    this.#thrown.delete(lane);
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
        this.#session = salvage(loaded.plain, loaded.leases, this.#ports);
        this.#mode = {
          type: "unreadable",
          plain: loaded.plain,
          remains: loaded.remains,
          why: loaded.why,
          toDelete: this.#session?.discarded.map(({ id }) => id) ?? [],
        };
        this.#reportOnly = this.#session ?? reportOnlySession(loaded.plain, loaded.leases);
        this.#version = loaded.plain.version;
        break;
    }
  }

  /** false while a lease row cannot be read, or it is not known what was saved: a sandbox or saved files may exist that nobody else knows. */
  get mayBeErased(): boolean {
    const mode = this.#mode;
    return (
      mode.type === "readable" || (mode.type === "unreadable" && mode.remains.length === 0 && !this.savedIsUnknown)
    );
  }

  create(session: Session, requestHash: string | null, secrets: string): void {
    const labels = Object.keys(session.profile.labels).length;
    const created: Note = { type: "created", cause: "asked for", generation: null, facts: { labels } };
    this.#store.migrate();
    this.#thrown.clear();
    this.#inTransaction(() => {
      this.#store.create(session, requestHash, secrets, [created], "client");
      this.#ports.alarm.by(this.alarmAt(session));
    });
    this.#jobs.forget();
    this.#pendingWork.reset();
    this.#mode = { type: "readable" };
    this.#session = session;
    this.#version = firstVersion;
    this.#changed();
  }

  /**
   * Throws only when the write fails (nothing has changed then) or an invariant would break (a bug: not stored).
   * `extraWrite` runs in the same transaction, also when the event changes nothing.
   */
  dispatch(event: SessionEvent, actor: Actor, extraWrite?: ExtraWrite): Outcome {
    const before = this.#session;
    if (before === null) return { type: "ignored", why: "there is no session" };
    const now = this.#ports.clock.now();
    const { policy } = this.#ports;
    const outcome = transition(before, event, { now, policy });
    if (outcome.type === "rejected") return outcome;
    if (outcome.type === "ignored") {
      if (extraWrite !== undefined) this.writeWithAlarm(() => void extraWrite(null));
      return outcome;
    }
    const after = outcome.session;
    // The stored state already covers this send, so a renewal writes only once, when it is accepted.
    if (event.type === "renewalStarted" && extraWrite === undefined && sendIsCovered(before, now, policy)) {
      this.#session = after;
      return outcome;
    }
    this.#refuseDefects(event.type, before, after);
    this.#version = this.#inTransaction(() => {
      const isStored = extraWrite !== undefined && this.#store.withActivity(after, extraWrite);
      const version = this.#write({ before, after, actor, now }, outcome.effects, isStored);
      // Use the new version, so that the alarm for the report is set in this same write.
      this.#ports.alarm.by(this.alarmAt(after, version));
      return version;
    });
    this.#session = after;
    this.#changed();
    return outcome;
  }

  /** A write that is no event (a job handed over, for example), together with the alarm that it may need. */
  writeWithAlarm(write: () => void): void {
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
      this.#store.forget();
      this.#ports.alarm.doubt();
      throw error;
    }
  }

  /** Refuses only what this event would break: a state that was inconsistent before must not be stuck for ever. */
  #refuseDefects(event: string, before: Session, after: Session): void {
    if (this.#mode.type !== "readable") return;
    const { policy } = this.#ports;
    const odd = new Set(stateViolations(before, policy));
    const broken = [
      ...stateViolations(after, policy).filter((each) => !odd.has(each)),
      ...moveViolations(before, after, policy),
    ];
    if (broken.length > 0) throw new Error(`${event} would break: ${broken.join("; ")}`);
    if (odd.size > 0) this.#ports.logger.error("an inconsistent state changed", { event, odd: [...odd].join("; ") });
  }

  #write(
    { before, after, actor, now }: Omit<Happening, "notes"> & { readonly before: Session },
    effects: readonly Effect[],
    activityIsStored: boolean,
  ): number {
    const receipts: Closed[] = [];
    for (const effect of effects) {
      if (effect.type === "settleJobs") this.#jobs.settleHanded(effect.generation, effect.as, now);
      if (effect.type === "dropQueue") this.#jobs.dropQueue(now);
      if (effect.type === "storeReceipt") receipts.push(effect.lease);
    }
    const notes = effects.flatMap((effect) => (effect.type === "note" ? [effect.note] : []));
    if (this.#mode.type === "readable") {
      return this.#store.save({ before, after, notes, actor, now }, receipts, activityIsStored);
    }
    // Unreadable: write lease rows, and what is left of its saved files. The record stays as it is, for code that can read it.
    if (after.newest !== null && after.newest !== before.newest) this.#store.saveLease(after.newest, "newest");
    for (const ghost of after.ghosts) if (!before.ghosts.includes(ghost)) this.#store.saveLease(ghost, "ghost");
    for (const receipt of receipts) this.#store.saveLease(receipt, "past");
    if (this.#mode.type === "unreadable" && before.discarded !== after.discarded) {
      const left = savedLeft(this.#mode, after);
      if (left !== null) this.#store.saveFiles(left);
    }
    this.#store.addNotes({ before, after, notes, actor, now });
    return this.#store.bumpVersion();
  }

  /** What a report can be made of: the session, or the readable part of an unreadable one. */
  get reportable(): Session | null {
    return this.#session ?? (this.#mode.type === "unreadable" ? this.#reportOnly : null);
  }

  /** Makes a report that the record cannot be read: once in each incarnation, because nothing else raises the version. */
  announceUnreadable(): void {
    if (this.#mode.type !== "unreadable" || this.#announced) return;
    this.#version = this.#store.bumpVersion();
    this.#store.confirmReport(reportedAsUnreadable, 0);
    this.#announced = true;
  }

  /** The registry and the index hold the report that the record cannot be read: a higher version replaces it. */
  announceReadable(): void {
    if (this.#mode.type !== "readable" || this.#announced) return;
    this.#announced = true;
    if (this.#store.reported().version !== reportedAsUnreadable) return;
    this.#version = this.#store.bumpVersion();
    this.#store.confirmReport(0, 0);
  }

  /** A receiver holds a version that the row never reached, and ignores every lower one: the row continues above it. */
  raiseVersion(above: number): void {
    this.#version = this.#inTransaction(() => {
      const version = this.#store.raiseVersion(above);
      this.#ports.alarm.by(this.alarmAt(this.#session, version));
      return version;
    });
  }

  /**
   * Carries out a delete that was stored while the record could not be read. Called before anything else is done with the session:
   * its leases were stopped for the delete already, so as a running session it would have nothing on the way. Throws when the write fails.
   */
  applyStoredDelete(actor: Actor): void {
    if (!this.#deleteAsked || this.#mode.type !== "readable") return;
    this.dispatch({ type: "terminateRequested", reason: "requested", failure: null }, actor);
    this.#deleteAsked = false;
  }

  /**
   * For an operator, on an unreadable record: leases whose plain columns alone can be read begin to stop. Their records are
   * rewritten, so they are torn down like any other lease from here on.
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
      this.#ports.alarm.by(now + overdueAlarmMs);
    });
    this.#adopt(this.#store.load());
    this.#changed();
  }

  /** Its record cannot be read, and nothing else says what it saved: its rows cannot go. */
  get savedIsUnknown(): boolean {
    return this.#mode.type === "unreadable" && this.#mode.plain.saved === null;
  }

  /** An operator gives up what may have been saved, where nobody knows it. */
  giveUpUnknownSaved(): void {
    this.#inTransaction(() => {
      this.#store.saveFiles({ files: [], settled: [] });
      this.#ports.alarm.set(this.#ports.clock.now() + overdueAlarmMs);
    });
    this.#adopt(this.#store.load());
    this.#changed();
  }

  /** Stores a delete intent, in any mode. In `unreadable`, live leases may then be stopped. */
  requestDelete(): void {
    this.#inTransaction(() => {
      this.#store.requestDelete(this.#ports.clock.now());
      this.#ports.alarm.by(this.alarmAt(this.#session));
    });
    if (this.#mode.type === "unreadable") this.#adopt(this.#store.load());
    this.#changed();
  }

  /** Sees to it that the alarm covers what is due next. Also called when nothing was written: when pending work changed, for example. */
  rearm(): void {
    if (this.#mode.type === "absent") return;
    this.#ports.alarm.by(this.alarmAt(this.#session));
  }

  /** Sets the alarm for what is due next, later than it stands too. */
  rearmExactly(): void {
    if (this.#mode.type === "absent") return;
    this.#ports.alarm.set(this.alarmAt(this.#session));
  }

  /** When the alarm is due for a state. Never null: a finished session still has rows to erase. */
  alarmAt(session: Session | null, version: number = this.#version): number {
    const { clock, policy } = this.#ports;
    const now = clock.now();
    const due: number[] = [];
    if (this.#mode.type === "newer") due.push(now + policy.newerRetryMs);
    if (this.#mode.type === "unreadable") due.push(now + policy.unreadableRetryMs);
    const deadline = session === null ? null : nextDeadline(session, policy);
    // Something overdue may be cooling down: it must not hide the next deadline.
    const ahead = session === null ? null : nextDeadline(session, policy, now);
    if (ahead !== null) due.push(ahead);
    const newest = session?.newest;
    if (newest?.phase === "launching" && newest.step.type === "acting") due.push(now + launchLookMs);
    // Due already, or without a date: it is under way, or cooling down after it changed nothing.
    if (session !== null && ((deadline !== null && deadline <= now) || owes(session)))
      due.push(this.#pendingWork.retryAt(now));
    const pendingAt = this.#pendingWork.dueAt(version);
    if (pendingAt !== null) due.push(Math.max(pendingAt, now + 1));
    if (this.#deleteAsked && this.#mode.type === "readable") due.push(this.#pendingWork.retryAt(now));
    return due.length === 0 ? now + policy.unreadableRetryMs : Math.min(...due);
  }

  /** The rows are gone. */
  erased(): void {
    this.#mode = { type: "absent" };
    this.#session = null;
    this.#deleteAsked = false;
    this.#jobs.forget();
    this.#pendingWork.reset();
    this.#changed();
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** After a write that is no event (a job, for example): sets the alarm and notifies the listeners. */
  rearmAndNotify(): void {
    try {
      this.rearm();
    } catch (error) {
      // The write succeeded, so the caller must not be told that it failed.
      this.#ports.logger.error("could not set the alarm after a write", { error: String(error) });
    }
    this.#changed();
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener();
      } catch (error) {
        // A listener that fails must not keep the others from being called.
        this.#ports.logger.error("a listener failed", {
          error: error instanceof Error ? error.message : String(error),
        });
      }
    }
  }
}
