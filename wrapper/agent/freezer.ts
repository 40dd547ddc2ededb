/**
 * Holds the whole sandbox still while a snapshot of it is taken, and lets it go on afterwards.
 *
 * Nothing is ended and no connection is cut: a process is stopped where it is (SIGSTOP), new requests wait, and no job is taken. It ends
 * by itself, because the caller may be gone: a session that runs must never stay frozen. A drain ends it too: jobs must run to end.
 */
import type { JobTable } from "./jobs/job-table.ts";
import type { ServiceProcess } from "./traffic/service-process.ts";
import type { Traffic } from "./traffic/traffic.ts";

export interface FreezerDependencies {
  readonly jobs: Pick<JobTable, "draining" | "hold">;
  readonly services: Pick<ServiceProcess, "hold">;
  readonly traffic: Pick<Traffic, "standStill" | "goOn">;
  readonly mayAct: () => boolean;
}

/** A process that could not be let go on is tried again after that. */
const againMs = 1_000;

export class Freezer {
  readonly #dependencies: FreezerDependencies;
  #timer: NodeJS.Timeout | null = null;
  /** The snapshot for which everything stands still. null: an older controller does not say. */
  #snapshot: string | null = null;
  /** A drain was asked for and not taken back. */
  #drains = false;
  /** A freeze and a thaw run one after the other, in the order in which they were asked for. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(dependencies: FreezerDependencies) {
    this.#dependencies = dependencies;
  }

  /** Something stands still, or is about to. */
  get holds(): boolean {
    return this.#timer !== null;
  }

  /** "still": everything stands still. Otherwise nothing does: a drain is under way, or not every process could be stopped. */
  async freeze(snapshot: string | null, forMs: number): Promise<"still" | "draining" | "moving"> {
    if (this.#drains) return "draining";
    this.#snapshot = snapshot;
    this.#arm(forMs);
    const still = await this.#next(async () => {
      const { jobs, traffic } = this.#dependencies;
      jobs.draining = true;
      traffic.standStill();
      return this.#hold(true);
    });
    if (still) return this.#drains ? "draining" : "still";
    await this.thaw(snapshot);
    return "moving";
  }

  /**
   * Thaws that snapshot's freeze; null: any. Does nothing when nothing is frozen, or another snapshot froze it: a thaw may come late.
   * false: not every process could be continued. It is tried again by itself.
   */
  async thaw(snapshot: string | null): Promise<boolean> {
    const isOfAnother = snapshot !== null && this.#snapshot !== null && snapshot !== this.#snapshot;
    if (this.#timer === null || isOfAnother) {
      await this.#turn;
      return true;
    }
    this.#arm(null);
    return this.#next(async () => {
      const { jobs, traffic, mayAct } = this.#dependencies;
      const goesOn = await this.#hold(false);
      // A freeze that was asked for meanwhile has its own end.
      if (!goesOn && this.#timer === null) this.#arm(againMs);
      // An instance that ends takes no job any more.
      if (mayAct()) jobs.draining = this.#drains;
      traffic.goOn();
      return goesOn;
    });
  }

  /** Before a drain: what stands still goes on, and nothing is stopped for a snapshot until `admit`. false: as for `thaw`. */
  drain(): Promise<boolean> {
    this.#drains = true;
    return this.thaw(null);
  }

  admit(): void {
    this.#drains = false;
  }

  async #hold(held: boolean): Promise<boolean> {
    const { jobs, services } = this.#dependencies;
    const done = await Promise.all([jobs.hold(held), services.hold(held)]);
    return done.every(Boolean);
  }

  #arm(ms: number | null): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = ms === null ? null : setTimeout(() => void this.thaw(null), ms);
  }

  #next<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work, work);
    this.#turn = done;
    return done;
  }
}
