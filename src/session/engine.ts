/**
 * Drives one session: after every change and every alarm it asks reconcile for the next steps and runs them, one at a
 * time in each lane. Requests and the alarm share it, so a step never runs twice side by side.
 *
 * The alarm means "look again", never "do X". Its handler arms the next one before anything else and catches everything:
 * the platform's own retries give up after minutes, silently (I5).
 */
import { laneOf, quietWakeEnds, reconcile } from "../domain/reconcile.ts";
import { clockHasGoneBack } from "../domain/on-time.ts";
import { over } from "./bounded.ts";
import type { SessionPorts } from "./ports.ts";
import type { JobRunner } from "./jobs.ts";
import type { Reporter } from "./reporter.ts";
import type { SessionSecrets } from "./secrets.ts";
import type { SessionState } from "./session-state.ts";
import type { StepRunner } from "./steps.ts";
import type { Actor } from "./history.ts";

/** A wake that fails altogether is followed by another after this long. */
const failedWakeMs = 10_000;
/** A step that failed, or changed nothing although it was due, rests this long, doubling up to the cap: without it the pump would spin. */
const restMs = 5_000;
const restCapMs = 300_000;
/** What is under way is looked at again by the alarm this soon, in case the object is gone by then. */
const underWayMs = 2_000;
/** What clocks are set back by in the course of things: an alarm that is late by this does no harm. */
const clockStepMs = 1_000;
/** These keep their own retry times, unless they fail altogether. */
const selfPaced: ReadonlySet<string> = new Set(["jobs", "report", "secrets"]);

export class SessionEngine {
  readonly #ports: SessionPorts;
  readonly #state: SessionState;
  readonly #steps: StepRunner;
  readonly #jobs: JobRunner;
  readonly #reporter: Reporter;
  readonly #secrets: SessionSecrets;
  readonly #lanes = new Map<string, Promise<void>>();
  readonly #rests = new Map<string, { readonly until: number; readonly count: number }>();
  #pumping = false;
  /** When it last looked, or was asked something. */
  #latest = 0;

  constructor(
    ports: SessionPorts,
    state: SessionState,
    steps: StepRunner,
    jobs: JobRunner,
    reporter: Reporter,
    secrets: SessionSecrets,
  ) {
    this.#ports = ports;
    this.#state = state;
    this.#steps = steps;
    this.#jobs = jobs;
    this.#reporter = reporter;
    this.#secrets = secrets;
    state.chores = (version) => this.#choresAt(version);
    state.retryAt = (now) => this.#retryAt(now);
    state.onReset = () => {
      this.#rests.clear();
      jobs.reset();
      reporter.reset();
      secrets.reset();
    };
    state.onChange(() => this.pump());
    steps.onErase = () => this.#erase();
  }

  #choresAt(version: number): number | null {
    const now = this.#ports.clock.now();
    const due = [this.#reporter.wakeAt(now, version), this.#jobs.wakeAt(now)].filter((at) => at !== null);
    return due.length === 0 ? null : Math.min(...due);
  }

  /** Starts every step that is due and whose lane is free. Cheap when there is none; safe to call at any time. */
  pump(): void {
    if (this.#pumping) return;
    this.noticeClock();
    this.#pumping = true;
    try {
      const { session } = this.#state;
      const now = this.#ports.clock.now();
      for (const step of session === null ? [] : reconcile(session, now, this.#ports.policy)) {
        if (step.type === "erase" && !this.#state.mayBeErased) continue;
        this.#run(laneOf(step), () => this.#steps.run(step));
      }
      if (this.#jobs.due(now)) this.#run("jobs", () => this.#jobs.deliver());
      if (this.#reporter.due(now)) this.#run("report", () => this.#report());
    } catch (error) {
      // Whoever changed something must not be told that it failed because the next look did: the alarm looks again.
      this.#ports.logger.error("could not look for work", { error: String(error) });
    } finally {
      this.#pumping = false;
    }
  }

  #run(lane: string, work: () => Promise<void>): void {
    if (this.#lanes.has(lane)) return;
    const rest = this.#rests.get(lane);
    if (this.#restsUntil(lane, this.#ports.clock.now()) !== null) return;
    const before = this.#state.session;
    let failed = false;
    // Never synchronously: a step that changes the state would be running inside the change that caused it.
    const running = Promise.resolve()
      .then(work)
      .catch((error: unknown) => {
        failed = true;
        this.#ports.logger.error("a step failed", {
          lane,
          error: error instanceof Error ? error.message : String(error),
        });
      })
      .finally(() => {
        this.#lanes.delete(lane);
        const idle = this.#state.session === before && !selfPaced.has(lane);
        if (failed || idle) this.#rest(lane, (rest?.count ?? 0) + 1);
        else this.#rests.delete(lane);
        this.#rearmQuietly();
        this.pump();
      });
    this.#lanes.set(lane, running);
  }

  /** null: it does not rest. A rest that is longer than any we take was begun before the clock went back. */
  #restsUntil(lane: string, now: number): number | null {
    const until = this.#rests.get(lane)?.until ?? now;
    return now < until && until <= now + restCapMs ? until : null;
  }

  #rest(lane: string, count: number): void {
    const ms = Math.min(restCapMs, restMs * 2 ** (count - 1));
    this.#rests.set(lane, { until: this.#ports.clock.now() + ms, count });
  }

  /** For what is due already: when its lane has rested, or soon. */
  #retryAt(now: number): number {
    const session = this.#state.session;
    if (session === null) return now + underWayMs;
    const steps = reconcile(session, now, this.#ports.policy);
    // Rows that must not be erased yet wait for somebody, not for time.
    if (steps.length > 0 && steps.every((step) => step.type === "erase") && !this.#state.mayBeErased) {
      return now + this.#ports.policy.unreadableRetryMs;
    }
    const times = steps.map((step) => Math.max(now + underWayMs, this.#restsUntil(laneOf(step), now) ?? 0));
    return times.length === 0 ? now + underWayMs : Math.min(...times);
  }

  async #report(): Promise<void> {
    await this.#reporter.send();
  }

  /** Something went by that only time decides. */
  tick(actor: Actor): void {
    this.#latest = this.#ports.clock.now();
    this.#state.honourDelete(actor);
    this.#state.announceUnreadable();
    this.#state.dispatch({ type: "timePassed", jitter: this.#ports.ids.random() }, actor);
    if (this.#secrets.due) this.#run("secrets", async () => void (await this.#secrets.renew()));
    this.pump();
  }

  /**
   * What follows should this wake die halfway. A renewal is made up for by the next one, well within the lease: then that is
   * where the wake ends anyway, and the alarm is set once.
   */
  #safetyAt(): number {
    const { session, version } = this.#state;
    const now = this.#ports.clock.now();
    const soon = now + failedWakeMs;
    try {
      // What is to be told or handed over does not wait for a renewal.
      if (session === null || this.#choresAt(version) !== null) return soon;
      return quietWakeEnds(session, now, this.#ports.policy) ?? soon;
    } catch {
      // Storage that cannot even be read: the wake will say so. It is armed first all the same.
      return soon;
    }
  }

  /**
   * On each load from storage, whoever caused it: a clock that went back while nobody looked leaves the alarm of before far ahead,
   * and deadlines with it (I5, CLK-13). Never throws, and writes only when it comes too late.
   */
  async noticeAlarm(): Promise<void> {
    try {
      const armed = await this.#ports.alarm.inherited();
      // Armed anew since: somebody has looked already.
      if (armed === undefined || this.#state.mode.type === "absent") return;
      if (armed === null || armed > this.#state.alarmAt(this.#state.session)) this.#state.rearm();
      const { session } = this.#state;
      const { clock, policy } = this.#ports;
      if (session !== null && clockHasGoneBack(session, { now: clock.now(), policy })) this.#lookAnew();
    } catch (error) {
      this.#ports.logger.error("could not look at the alarm", { error: String(error) });
    }
  }

  /** With each request and each change: the clock may have gone back since the last one. Never throws. */
  noticeClock(): void {
    const now = this.#ports.clock.now();
    const wentBack = now < this.#latest - clockStepMs;
    this.#latest = now;
    if (wentBack && this.#state.mode.type !== "absent") this.#lookAnew();
  }

  /** What was armed for are the deadlines of before, so the alarm comes first: they may not be mended now. */
  #lookAnew(): void {
    try {
      this.#ports.alarm.set(this.#ports.clock.now() + failedWakeMs);
      this.tick("alarm");
    } catch (error) {
      this.#ports.logger.error("could not look anew", { error: String(error) });
    }
  }

  /** One wake. Never throws. Resolves when its steps are done, or when the next deadline comes before that. */
  async wake(actor: Actor): Promise<void> {
    try {
      this.#ports.alarm.set(this.#safetyAt());
      if (this.#state.mode.type === "absent") {
        this.#ports.alarm.clear();
        return;
      }
      this.tick(actor);
      await this.settled();
      this.tick(actor);
    } catch (error) {
      this.#ports.logger.error("a wake failed", { error: error instanceof Error ? error.message : String(error) });
    } finally {
      this.#rearmQuietly();
    }
  }

  #rearmQuietly(): void {
    try {
      this.#state.rearm();
    } catch (error) {
      this.#ports.logger.error("could not arm the alarm", { error: String(error) });
    }
  }

  /** When no lane is busy, or at the next deadline: a wake must not sleep through one. */
  async settled(): Promise<void> {
    const done = new AbortController();
    const { clock } = this.#ports;
    const untilNext = Math.max(0, this.#state.alarmAt(this.#state.session) - clock.now());
    const idle = (async () => {
      while (this.#lanes.size > 0) await Promise.race([...this.#lanes.values()]);
    })();
    try {
      await Promise.race([idle, clock.sleep(untilNext, done.signal)]);
    } finally {
      done.abort(over);
    }
  }

  /** The index is told before the rows go: afterwards nobody would know to tell it. */
  async #erase(): Promise<void> {
    if (!(await this.#reporter.send(true))) return;
    await this.#gone();
  }

  /** Undoes a create that got no quota: nothing was launched, nothing was told. */
  async forget(): Promise<void> {
    await this.#gone();
  }

  async #gone(): Promise<void> {
    await this.#ports.eraseStorage();
    this.#state.erased();
    // Whatever was armed while the rows went: nobody is left to be woken (DEL-5).
    this.#ports.alarm.clear();
  }
}
