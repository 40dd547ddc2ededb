/**
 * One life of a Durable Object's code in memory, and how it ends without a word.
 *
 * Everything an incarnation can touch is handed to it through here. At the crash all of it goes dark: a call to a port is
 * not made and its promise never settles, a promise that was under way never settles either, sleeps are called off, and a
 * write throws (what catches it can only reach other dark ports). JavaScript cannot stop code in the middle, but code that
 * can neither write, call nor wake up again has no effect on anything, which is what a killed process has.
 *
 * `CrashPoints` is asked at every call between the object and the outside, before it and after it: so a crash falls
 * between any persist and its effect, and between any effect and the write of its outcome.
 */
import type { Clock } from "../../src/runtime/clock-ids-logger.ts";
import type { Sql } from "../../src/storage/sql.ts";

/** A reason of our own: making a DOMException for each costs more than everything else of a sleep. */
const crashed = Symbol("crashed");

/** `before`: the call is not made. `after`: it was made, its answer is never heard. */
export type CrashPoint = "before" | "after";
export interface CrashPoints {
  crashesAt(point: CrashPoint, what: string): boolean;
}

export class Crashed extends Error {
  constructor() {
    super("the object was reset");
  }
}

export class Incarnation {
  readonly #points: CrashPoints;
  readonly #onCrash: (what: string) => void;
  readonly #endings = new Set<() => void>();
  #alive = true;

  constructor(points: CrashPoints, onCrash: (what: string) => void) {
    this.#points = points;
    this.#onCrash = onCrash;
  }

  get alive(): boolean {
    return this.#alive;
  }

  crash(what: string): void {
    if (!this.#alive) return;
    this.#alive = false;
    const endings = Array.from(this.#endings);
    this.#endings.clear();
    for (const end of endings) end();
    this.#onCrash(what);
  }

  /** Runs when it crashes. Answers how to take that back. */
  atCrash(end: () => void): () => void {
    this.#endings.add(end);
    return () => this.#endings.delete(end);
  }

  /** An asynchronous port, gone dark at the crash. Objects that it holds or returns (a wrapper client) are treated alike. */
  port<T extends object>(name: string, port: T): T {
    return new Proxy(port, {
      get: (target, key): unknown => {
        const value: unknown = Reflect.get(target, key, target);
        if (typeof value === "object" && value !== null) return this.port(`${name}.${String(key)}`, value);
        // A port within a port (what saves and removes snapshots) goes dark with it.
        if (typeof value === "object" && value !== null) return this.port(`${name}.${String(key)}`, value);
        if (typeof value !== "function") return value;
        return (...args: readonly unknown[]): unknown => {
          const call = () => Reflect.apply(value, target, args) as unknown;
          return this.#pass(`${name}.${String(key)}`, call);
        };
      },
    });
  }

  sql(sql: Sql): Sql {
    const checked = <T>(body: () => T): T => {
      if (!this.#alive) throw new Crashed();
      return body();
    };
    return {
      run: (statement, ...bindings) => {
        // The dead read nothing; only what they would write must not pass for done.
        if (!this.#alive && statement.trimStart().startsWith("SELECT")) return [];
        return checked(() => sql.run(statement, ...bindings));
      },
      transaction: (body) => checked(() => sql.transaction(body)),
    };
  }

  clock(clock: Clock): Clock {
    let diedAt: number | null = null;
    return {
      // For the dead time stands still: code that runs on for a moment finds nothing newly due, and what failed rests for ever.
      now: () => (this.#alive ? clock.now() : (diedAt ??= clock.now())),
      sleep: (ms, signal) => {
        if (!this.#alive || this.#dies("before", "sleep")) return never();
        const over = new AbortController();
        const end = () => over.abort(crashed);
        const takeBack = this.atCrash(end);
        signal?.addEventListener("abort", end, { once: true });
        if (signal?.aborted === true) end();
        return this.#gate(clock.sleep(ms, over.signal)).finally(() => {
          takeBack();
          signal?.removeEventListener("abort", end);
        });
      },
    };
  }

  #pass(what: string, call: () => unknown): unknown {
    if (!this.#alive || this.#dies("before", what)) return never();
    const result = call();
    if (result instanceof Promise) {
      const heard = this.#gate(result);
      this.#dies("after", what);
      return heard;
    }
    return typeof result === "object" && result !== null ? this.port(what, result) : result;
  }

  #dies(point: CrashPoint, what: string): boolean {
    if (!this.#points.crashesAt(point, what)) return false;
    this.crash(`${point} ${what}`);
    return true;
  }

  /** Settles only in this life. */
  #gate<T>(promise: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      promise.then(
        (value) => {
          if (this.#alive) resolve(value);
        },
        (error: unknown) => {
          if (this.#alive) reject(error instanceof Error ? error : new Error(String(error)));
        },
      );
    });
  }
}

function never(): Promise<never> {
  return new Promise(() => {});
}
