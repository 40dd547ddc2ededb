/**
 * A Durable Object of the simulation: storage that stays, code that comes and goes. It is constructed by the first call or
 * alarm that needs it, lives until it crashes or is evicted, and fires its alarm as the platform does: at least once, late
 * at times, retried six times when the handler fails, and then dropped in silence.
 */
import type { Clock } from "../../../src/runtime/clock-ids-logger.ts";
import { Incarnation, type CrashPoints } from "../../support/incarnation.ts";
import type { VirtualTime } from "../../support/virtual-time.ts";
import type { SimStorage } from "./sim-storage.ts";
import type { Trace } from "../play/trace.ts";

export interface ObjectBody<Api> {
  readonly api: Api;
  /** The alarm handler. */
  alarm(): Promise<void>;
}

export interface ObjectDependencies {
  readonly time: VirtualTime;
  /** The controllers' clock: it may jump, and alarms follow it. */
  readonly clock: Clock & { readonly stands: boolean };
  readonly trace: Trace;
  readonly points: CrashPoints;
  /** How late this firing is, ms. */
  readonly alarmSlip: () => number;
  readonly onCrash: (name: string, what: string) => void;
  /** Its alarm fires after its time. */
  readonly onLateAlarm: (name: string) => void;
}

/** The platform's. */
const alarmRetries = 6;
const firstRetryMs = 2_000;

export class SimObject<Api> {
  readonly name: string;
  readonly storage: SimStorage;
  readonly #world: ObjectDependencies;
  readonly #make: (storage: SimStorage, life: Incarnation) => ObjectBody<Api>;
  #life: Incarnation | null = null;
  #body: ObjectBody<Api> | null = null;
  #callOffAlarm: () => void = () => {};
  #failures = 0;

  constructor(
    name: string,
    storage: SimStorage,
    world: ObjectDependencies,
    make: (storage: SimStorage, life: Incarnation) => ObjectBody<Api>,
  ) {
    this.name = name;
    this.storage = storage;
    this.#world = world;
    this.#make = make;
    this.storage.onAlarmMoved = () => this.armTimer();
  }

  /** What is in memory now; null: nothing is. */
  get api(): Api | null {
    return this.#body?.api ?? null;
  }

  /** Rejects when the object crashes meanwhile, as its stub would. */
  async call<T>(method: (api: Api) => Promise<T>): Promise<T> {
    const { life, body } = this.#awake();
    return new Promise<T>((resolve, reject) => {
      const takeBack = life.atCrash(() => reject(new Error("the object was reset")));
      method(body.api).then(resolve, reject).finally(takeBack);
    });
  }

  /** Its code is gone in the middle of whatever it did. What is stored stays. */
  crash(what: string): void {
    this.#life?.crash(what);
  }

  /** To be called when the clock was set: alarms are due by what it shows. */
  armTimer(): void {
    this.#callOffAlarm();
    const at = this.storage.alarmAt;
    if (at === null) return;
    const { time, clock } = this.#world;
    const slip = this.#world.alarmSlip();
    this.#callOffAlarm = time.schedule(Math.max(0, at - clock.now()) + slip, () => void this.#fire());
  }

  async #fire(): Promise<void> {
    const { time, clock, trace } = this.#world;
    const at = this.storage.alarmAt;
    if (at === null) return;
    // While the clock stands nothing comes due: everybody is armed anew when it goes on.
    if (clock.now() < at) return clock.stands ? undefined : this.armTimer();
    trace.note(this.name, () => "alarm fires");
    if (clock.now() > at) this.#world.onLateAlarm(this.name);
    // Inside its handler an alarm is not set any more.
    this.storage.setAlarm(null);
    try {
      const { life, body } = this.#awake();
      await new Promise<void>((resolve, reject) => {
        const takeBack = life.atCrash(() => reject(new Error("the object was reset")));
        body.alarm().then(resolve, reject).finally(takeBack);
      });
      this.#failures = 0;
    } catch {
      // An alarm that was set before the failure replaces the retry.
      if (this.storage.alarmAt !== null) return;
      this.#failures += 1;
      if (this.#failures > alarmRetries) {
        trace.note(this.name, () => "alarm dropped by the platform");
        this.#failures = 0;
        return;
      }
      const retryAt = clock.now();
      time.schedule(firstRetryMs * 2 ** (this.#failures - 1), () => {
        if (this.storage.alarmAt === null) this.storage.setAlarm(retryAt);
      });
    }
  }

  #awake(): { readonly life: Incarnation; readonly body: ObjectBody<Api> } {
    if (this.#life !== null && this.#body !== null) return { life: this.#life, body: this.#body };
    const life = new Incarnation(this.#world.points, (what) => this.#crashed(what));
    const body = this.#make(this.storage, life);
    this.#life = life;
    this.#body = body;
    return { life, body };
  }

  #crashed(what: string): void {
    this.#world.trace.note(this.name, () => `CRASH ${what}`);
    this.#life = null;
    this.#body = null;
    this.#world.onCrash(this.name, what);
  }
}
