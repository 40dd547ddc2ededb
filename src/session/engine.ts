/**
 * Drives one session: after every change and every alarm it asks reconcile for the next steps and runs them, one at a
 * time in each lane. Requests and the alarm share it, so a step never runs twice side by side.
 *
 * The alarm means "look again", never "do X". Its handler arms the next one before anything else and catches everything:
 * the platform's own retries give up after minutes, silently (I5).
 */
import { laneOf, reconcile } from "../domain/reconcile.ts";
import type { SessionPorts } from "./ports.ts";
import type { JobRunner } from "./jobs.ts";
import type { Reporter } from "./reporter.ts";
import type { SessionState } from "./session-state.ts";
import type { StepRunner } from "./steps.ts";
import type { Actor } from "./store.ts";

/** A wake that fails altogether is followed by another after this long. */
const failedWakeMs = 10_000;
/** A step that failed, or changed nothing although it was due, rests this long: without it the pump would spin. */
const idleLaneMs = 5_000;
/** These keep their own retry times, unless they fail altogether. */
const selfPaced: ReadonlySet<string> = new Set(["jobs", "report"]);

export class SessionEngine {
  readonly #ports: SessionPorts;
  readonly #state: SessionState;
  readonly #steps: StepRunner;
  readonly #jobs: JobRunner;
  readonly #reporter: Reporter;
  readonly #lanes = new Map<string, Promise<void>>();
  readonly #restingUntil = new Map<string, number>();
  #pumping = false;

  constructor(ports: SessionPorts, state: SessionState, steps: StepRunner, jobs: JobRunner, reporter: Reporter) {
    this.#ports = ports;
    this.#state = state;
    this.#steps = steps;
    this.#jobs = jobs;
    this.#reporter = reporter;
    state.chores = () => this.#choresAt();
    state.onChange(() => this.pump());
    steps.onErase = () => this.#erase();
  }

  #choresAt(): number | null {
    const now = this.#ports.clock.now();
    const due = [this.#reporter.wakeAt(now), this.#jobs.wakeAt(now)].filter((at) => at !== null);
    return due.length === 0 ? null : Math.min(...due);
  }

  /** Starts every step that is due and whose lane is free. Cheap when there is none; safe to call at any time. */
  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      const session = this.#state.session;
      if (session === null) return;
      const now = this.#ports.clock.now();
      for (const step of reconcile(session, now, this.#ports.policy)) {
        if (step.type === "erase" && !this.#state.mayBeErased) continue;
        this.#run(laneOf(step), () => this.#steps.run(step));
      }
      if (this.#jobs.due(now)) this.#run("jobs", () => this.#jobs.deliver());
      if (this.#reporter.due(now)) this.#run("report", () => this.#report());
    } finally {
      this.#pumping = false;
    }
  }

  #run(lane: string, work: () => Promise<void>): void {
    if (this.#lanes.has(lane)) return;
    if (this.#ports.clock.now() < (this.#restingUntil.get(lane) ?? 0)) return;
    this.#restingUntil.delete(lane);
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
        if (failed || (this.#state.session === before && !selfPaced.has(lane)))
          this.#restingUntil.set(lane, this.#ports.clock.now() + idleLaneMs);
        this.#rearmQuietly();
        this.pump();
      });
    this.#lanes.set(lane, running);
  }

  async #report(): Promise<void> {
    await this.#reporter.send();
  }

  /** Something went by that only time decides. */
  tick(actor: Actor): void {
    this.#state.honourDelete(actor);
    this.#state.dispatch({ type: "timePassed", jitter: this.#ports.ids.random() }, actor);
    this.pump();
  }

  /** One wake. Never throws. Resolves when its steps are done, or when the next deadline comes before that. */
  async wake(actor: Actor): Promise<void> {
    try {
      this.#ports.alarm.set(this.#ports.clock.now() + failedWakeMs);
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
      done.abort();
    }
  }

  /** The index is told before the rows go: afterwards nobody would know to tell it. */
  async #erase(): Promise<void> {
    if (!(await this.#reporter.send(true))) return;
    await this.#ports.eraseStorage();
    this.#state.erased();
  }

  /** Undoes a create that got no quota: nothing was launched, nothing was told. */
  async forget(): Promise<void> {
    await this.#ports.eraseStorage();
    this.#state.erased();
  }
}
