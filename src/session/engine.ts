/**
 * Drives one session: after every change and every alarm it asks reconcile for the next steps and runs them, one at a
 * time in each lane. Requests and the alarm share the engine, so the same step never runs twice at once.
 *
 * The alarm means "look again", never "do X". Its handler arms the next one before anything else and catches everything:
 * the platform's own retries give up after minutes, silently.
 */
import { nextDeadline, hasPendingRegistryCalls, quietWakeEnds, reconcile } from "../domain/rules/reconcile.ts";
import { clockHasGoneBack } from "../domain/machine/lifetime/on-clock-back.ts";
import { timeRules } from "../domain/machine/lifetime/on-time.ts";
import { bounded } from "../calls/bounded-call.ts";
import { Lanes } from "./lanes.ts";
import type { WatchedClock } from "./watched-clock.ts";
import type { SessionPorts } from "./ports.ts";
import type { JobDelivery } from "./jobs/job-delivery.ts";
import type { Reporter } from "./reports/reporter.ts";
import type { SessionSecrets } from "./records/secrets.ts";
import type { PendingWork } from "./alarm-date.ts";
import { mayBeErased } from "./record-mode.ts";
import type { SessionState } from "./session-state.ts";
import { laneOf, runStep, stepBoundMs } from "./steps/step-table.ts";
import type { StepContext } from "./steps/step-context.ts";
import { interruptedLaunch } from "./steps/open/interrupted-launch.ts";
import type { Actor } from "./records/history.ts";

/** A wake that fails as a whole is repeated after this long. */
const failedWakeMs = 10_000;
/** The alarm looks again this soon at work under way, in case the object is evicted. */
const underWayMs = 2_000;
/** Clocks are routinely set back by this much: an alarm that is late by it does no harm. */
const clockStepMs = 1_000;
/** These lanes keep their own retry times, unless their work throws. */
const selfPaced: ReadonlySet<string> = new Set(["jobs", "report", "secrets"]);
/** The lane of the rules that only time decides: a rule that could not be stored is tried again after a cooldown. */
const timeLane = "time";
/** An alarm overdue by more than this may be lost, not just late: the next request then wakes the session. */
const overdueAlarmMs = 10_000;

export class SessionEngine implements PendingWork {
  readonly #ports: SessionPorts;
  readonly #state: SessionState;
  readonly #steps: StepContext;
  readonly #jobs: JobDelivery;
  readonly #reporter: Reporter;
  readonly #secrets: SessionSecrets;
  readonly #lanes = new Lanes();
  readonly #clock: WatchedClock;
  #pumping = false;
  /** The clock at the last tick or request. */
  #lastNow = 0;

  constructor(
    ports: SessionPorts,
    state: SessionState,
    steps: StepContext,
    jobs: JobDelivery,
    reporter: Reporter,
    secrets: SessionSecrets,
    clock: WatchedClock,
  ) {
    this.#clock = clock;
    this.#ports = ports;
    this.#state = state;
    this.#steps = steps;
    this.#jobs = jobs;
    this.#reporter = reporter;
    this.#secrets = secrets;
    state.onChange(() => this.pump());
  }

  reset(): void {
    this.#lanes.forgetCooldowns();
    this.#jobs.reset();
    this.#reporter.reset();
    this.#secrets.reset();
  }

  dueAt(version: number): number | null {
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
        if (step.type === "erase" && !mayBeErased(this.#state.mode)) continue;
        this.#run(laneOf(step), stepBoundMs(step, this.#ports.policy), () => runStep(this.#steps, step));
      }
      if (this.#jobs.due(now)) this.#runRound("jobs", () => this.#jobs.deliver());
      if (this.#reporter.due(now)) this.#runRound("report", async () => void (await this.#reporter.send()));
    } catch (error) {
      // The change that caused this look is stored, so its caller must not see this error. The alarm looks again.
      this.#ports.logger.error("could not look for work", { error: String(error) });
    } finally {
      this.#pumping = false;
    }
  }

  #runRound(lane: string, work: () => Promise<void>): void {
    const { observeMs, jobGraceMs } = this.#ports.policy;
    this.#run(lane, 10 * observeMs + jobGraceMs, work);
  }

  #run(lane: string, boundMs: number, work: () => Promise<void>): void {
    const startedAt = this.#ports.clock.now();
    if (this.#lanes.isBusy(lane, startedAt) || this.#lanes.coolsUntil(lane, startedAt) !== null) return;
    const before = this.#state.session;
    let failed = false;
    // Never synchronously: a step that changes the state would be running inside the change that caused it.
    const running = Promise.resolve()
      .then(work)
      .catch((error: unknown) => {
        failed = true;
        const words = error instanceof Error ? error.message : String(error);
        this.#ports.logger.error("a step failed", { lane, error: words });
        this.#state.trouble.threw(lane, words);
      });
    this.#lanes.hold(lane, boundMs, startedAt, running, () => {
      const idle = this.#state.session === before && !selfPaced.has(lane);
      if (failed || idle) this.#lanes.coolDown(lane, this.#ports.clock.now());
      else this.#lanes.clearCooldown(lane);
      if (!failed) this.#state.trouble.wentWell(lane);
      // No date depends on the secrets. They are looked at in the first wake of each incarnation, whose renewal is under way then.
      if (failed || lane !== "secrets") this.#rearmQuietly();
      this.pump();
    });
  }

  /** When work that is due already is tried: after the cooldown of its lane, or soon. */
  retryAt(now: number): number {
    const session = this.#state.session;
    if (session === null) return now + underWayMs;
    const steps = reconcile(session, now, this.#ports.policy);
    // Rows that must not be erased yet wait for an operator, not for a time.
    if (steps.length > 0 && steps.every((step) => step.type === "erase") && !mayBeErased(this.#state.mode)) {
      return now + this.#ports.policy.unreadableRetryMs;
    }
    const lanes = steps.length === 0 ? [timeLane] : steps.map(laneOf);
    return Math.min(...lanes.map((lane) => Math.max(now + underWayMs, this.#lanes.coolsUntil(lane, now) ?? 0)));
  }

  /**
   * Applies the rules that only time decides. Each is a write of its own: a rule that cannot be stored holds up neither the
   * other rules nor the steps that are due. Never throws.
   */
  tick(actor: Actor): void {
    const { clock, ids } = this.#ports;
    this.#lastNow = clock.now();
    this.#wakeOverdue();
    const jitter = ids.random();
    const stored = [
      this.#attempt("delete", () => this.#state.applyStoredDelete(actor)),
      this.#attempt("unreadable", () => this.#state.announceUnreadable()),
      this.#attempt("readable", () => this.#state.announceReadable()),
      ...timeRules.map((rule) =>
        this.#attempt(rule, () => void this.#state.dispatch({ type: "timePassed", jitter, rule }, actor)),
      ),
    ];
    if (stored.every(Boolean)) this.#lanes.clearCooldown(timeLane);
    else this.#lanes.coolDown(timeLane, clock.now());
    if (this.#secrets.due) this.#runRound("secrets", async () => void (await this.#secrets.renew()));
    this.pump();
  }

  /** false: the decision could not be stored. */
  #attempt(rule: string, decide: () => void): boolean {
    try {
      decide();
      return true;
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error);
      this.#ports.logger.error("a rule of time could not be stored", { rule, error: words });
      return false;
    }
  }

  /**
   * The alarm in case this wake dies halfway. When only a renewal is due, the next renewal makes up for a lost one well within
   * the lease, and when nothing is due there is nothing to make up for: the alarm is then set once, for the time where this wake
   * ends anyway.
   */
  #safetyAt(): number {
    const { session, version, mode } = this.#state;
    const now = this.#ports.clock.now();
    const soon = now + failedWakeMs;
    try {
      // Reports and waiting jobs do not wait for a renewal.
      if (session === null || mode.type !== "readable" || this.dueAt(version) !== null) return soon;
      const next = nextDeadline(session, this.#ports.policy);
      if (next !== null && next > now && !hasPendingRegistryCalls(session)) return this.#state.alarmAt(session);
      return quietWakeEnds(session, now, this.#ports.policy) ?? soon;
    } catch {
      // Storage cannot be read. The wake will fail and say so; the alarm is set first all the same.
      return soon;
    }
  }

  /**
   * On each load from storage: a clock that was set back since the last incarnation leaves the alarm and the deadlines far
   * ahead. Never throws, and writes only when the alarm would come too late.
   */
  async noticeAlarm(): Promise<void> {
    const loaded = this.#state.session?.newest ?? null;
    try {
      const armed = await this.#ports.alarm.inherited();
      this.#attempt("delete", () => this.#state.applyStoredDelete("alarm"));
      const interrupted = interruptedLaunch(loaded, this.#ports.ids);
      if (interrupted !== null) this.#state.dispatch(interrupted, "alarm");
      // The alarm was set since the load: the session was looked at already.
      if (armed === undefined || this.#state.mode.type === "absent") return;
      if (armed === null || armed > this.#state.alarmAt(this.#state.session)) this.#state.rearm();
      const { session } = this.#state;
      const { clock, policy } = this.#ports;
      if (session !== null && clockHasGoneBack(session, { now: clock.now(), policy })) this.#lookAgain();
    } catch (error) {
      this.#ports.logger.error("could not check the alarm", { error: String(error) });
    }
  }

  /**
   * Called with each request and each change: the clock may have been set back since the last one, or timers and the alarm may
   * have stalled. Never throws.
   */
  noticeClock(): void {
    const { alarm, clock } = this.#ports;
    const now = clock.now();
    this.#wakeOverdue();
    const wentBack = now < this.#lastNow - clockStepMs;
    this.#lastNow = now;
    const armed = alarm.armedFor();
    const overdue = armed !== null && now > armed + overdueAlarmMs;
    if ((wentBack || overdue) && this.#state.mode.type !== "absent") this.#lookAgain();
  }

  /** An alarm that was armed while the timers stalled is as late as they are. */
  #wakeOverdue(): void {
    if (this.#clock.wakeOverdue()) this.#ports.alarm.doubt();
  }

  /** The alarm still holds an old deadline. Set it first: repairing the deadlines may fail. */
  #lookAgain(): void {
    try {
      this.#ports.alarm.set(this.#ports.clock.now() + failedWakeMs);
      this.tick("alarm");
    } catch (error) {
      this.#ports.logger.error("could not look again", { error: String(error) });
    }
  }

  /** One wake. Never throws. Resolves when its steps are done or the next deadline comes, whichever is first. */
  async wake(actor: Actor): Promise<void> {
    const before = this.#state.session;
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
      // A wake that changed nothing leaves its safety alarm to nobody: it would be followed by the like of it for ever.
      this.#rearmQuietly(this.#state.session === before);
    }
  }

  #rearmQuietly(exactly = false): void {
    try {
      this.#state.rearm(exactly);
    } catch (error) {
      this.#ports.logger.error("could not arm the alarm", { error: String(error) });
    }
  }

  /** Resolves when no lane is busy, or at the next deadline: a wake must not sleep past a deadline. */
  async settled(): Promise<void> {
    const { clock } = this.#ports;
    const untilNext = Math.max(0, this.#state.alarmAt(this.#state.session) - clock.now());
    await bounded(clock, untilNext, async () => {
      while (this.#lanes.busy.length > 0) await Promise.race(this.#lanes.busy);
    });
  }
}
