/**
 * Owns the stored session. The only way to change it is to `dispatch` an event: the state machine's decision, the history,
 * the job effects and the alarm are written in one transaction, before anything acts on the change. The copy in memory
 * changes only after the write.
 */
import type { Effect, Note, SessionEvent } from "../domain/machine/events.ts";
import { newViolations } from "../domain/machine/invariants.ts";
import type { Closed } from "../domain/state/lease.ts";
import { stoppingFrom } from "../domain/machine/stop/begin-stop.ts";
import type { Outcome } from "../domain/machine/outcome.ts";
import { sendIsCovered } from "../domain/machine/lifetime/on-renewal.ts";
import type { Session } from "../domain/state/session.ts";
import { transition } from "../domain/machine/transition.ts";
import type { JobStore } from "./jobs/job-store.ts";
import type { SessionPorts } from "./ports.ts";
import { saveUnreadable } from "./records/salvage.ts";
import type { Actor, Happening } from "./records/history.ts";
import type { StoredActivity } from "./records/activity.ts";
import type { Loaded } from "./records/load.ts";
import { firstVersion, type SessionStore } from "./records/store.ts";
import { alarmDate, type PendingWork } from "./alarm-date.ts";
import { adopted, type RecordMode } from "./record-mode.ts";
import { ChangeListeners } from "./change-listeners.ts";
import { StepTrouble } from "./step-trouble.ts";

/**
 * A write that belongs to an event, in its transaction. Gets the activity as the event leaves it, or null when the event changes
 * nothing, and answers whether it stored that with a job: the session's row then need not be written for it.
 */
export type ExtraWrite = (activity: StoredActivity | null) => boolean;

/** Overdue work is under way or about to be: the alarm is its safety net, and must not fire in a tight loop. */
const overdueAlarmMs = 2_000;
/** Stored as the confirmed version: the last report said that this session cannot be read. */
const reportedAsUnreadable = -1;

export class SessionState {
  readonly #ports: SessionPorts;
  readonly #store: SessionStore;
  readonly #jobs: JobStore;
  readonly #listeners: ChangeListeners;
  #mode: RecordMode = { type: "absent" };
  #session: Session | null = null;
  #version = 0;
  #deleteAsked = false;
  #reportOnly: Session | null = null;
  #announced = false;
  readonly trouble = new StepTrouble();
  readonly #pendingWork: PendingWork;

  constructor(ports: SessionPorts, store: SessionStore, jobs: JobStore, pendingWork: PendingWork) {
    this.#pendingWork = pendingWork;
    this.#ports = ports;
    this.#listeners = new ChangeListeners(ports.logger);
    this.#store = store;
    this.#jobs = jobs;
    this.#adopt(store.load());
  }

  get mode(): RecordMode {
    return this.#mode;
  }

  /** null: absent or newer. In mode `unreadable` it holds only what can still be stopped, and is never stored as a whole. */
  get session(): Session | null {
    return this.#session;
  }

  get version(): number {
    return this.#version;
  }

  #adopt(loaded: Loaded): void {
    const { mode, session, version, deleteAsked, reportOnly } = adopted(loaded, this.#ports);
    this.#mode = mode;
    this.#session = session;
    if (version !== undefined) this.#version = version;
    if (deleteAsked !== undefined) this.#deleteAsked = deleteAsked;
    if (reportOnly !== undefined) this.#reportOnly = reportOnly;
  }

  create(session: Session, requestHash: string | null, secrets: string): void {
    const labels = Object.keys(session.profile.labels).length;
    const created: Note = { type: "created", cause: "asked for", generation: null, facts: { labels } };
    this.#store.migrate();
    this.trouble.forget();
    this.#inTransaction(() => {
      this.#store.create(session, requestHash, secrets, [created], "client");
      this.#ports.alarm.by(this.alarmAt(session));
    });
    this.#jobs.forget();
    this.#pendingWork.reset();
    this.#mode = { type: "readable" };
    this.#session = session;
    this.#version = firstVersion;
    this.#listeners.call();
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
    this.#listeners.call();
    return outcome;
  }

  /** A write that is no event (a job handed over, for example), together with the alarm that it may need. */
  writeWithAlarm(write: () => void): void {
    this.#inTransaction(() => {
      write();
      this.rearm();
    });
    this.#listeners.call();
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
    const { odd, broken } = newViolations(before, after, policy);
    if (broken.length > 0) throw new Error(`${event} would break: ${broken.join("; ")}`);
    if (odd.length > 0) this.#ports.logger.error("an inconsistent state changed", { event, odd: odd.join("; ") });
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
    const unreadable = this.#mode.type === "unreadable" ? this.#mode : null;
    return saveUnreadable(this.#store, unreadable, { before, after, notes, actor, now }, receipts);
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
    this.#listeners.call();
  }

  /** An operator gives up what may have been saved, where nobody knows it. */
  giveUpUnknownSaved(): void {
    this.#inTransaction(() => {
      this.#store.saveFiles({ files: [], settled: [] });
      this.#ports.alarm.set(this.#ports.clock.now() + overdueAlarmMs);
    });
    this.#adopt(this.#store.load());
    this.#listeners.call();
  }

  /** Stores a delete intent, in any mode. In `unreadable`, live leases may then be stopped. */
  requestDelete(): void {
    this.#inTransaction(() => {
      this.#store.requestDelete(this.#ports.clock.now());
      this.#ports.alarm.by(this.alarmAt(this.#session));
    });
    if (this.#mode.type === "unreadable") this.#adopt(this.#store.load());
    this.#listeners.call();
  }

  /** Makes the alarm cover what is due next, after a change of pending work too. `exactly`: an alarm that is set earlier moves later. */
  rearm(exactly = false): void {
    if (this.#mode.type === "absent") return;
    const at = this.alarmAt(this.#session);
    if (exactly) this.#ports.alarm.set(at);
    else this.#ports.alarm.by(at);
  }

  /** When the alarm is due for a state. Never null: a finished session still has rows to erase. */
  alarmAt(session: Session | null, version: number = this.#version): number {
    const { clock, policy } = this.#ports;
    const stored = { mode: this.#mode.type, session, version, deleteAsked: this.#deleteAsked };
    return alarmDate(stored, this.#pendingWork, clock.now(), policy);
  }

  /** The rows are gone. */
  erased(): void {
    this.#mode = { type: "absent" };
    this.#session = null;
    this.#deleteAsked = false;
    this.#jobs.forget();
    this.#pendingWork.reset();
    this.#listeners.call();
  }

  onChange(listener: () => void): () => void {
    return this.#listeners.add(listener);
  }

  /** After a write that is no event (a job, for example): sets the alarm and notifies the listeners. */
  rearmAndNotify(): void {
    try {
      this.rearm();
    } catch (error) {
      // The write succeeded, so the caller must not be told that it failed.
      this.#ports.logger.error("could not set the alarm after a write", { error: String(error) });
    }
    this.#listeners.call();
  }
}
