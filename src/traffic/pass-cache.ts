/**
 * The passes that this isolate keeps, by session and by who asked for them: a pass that one tenant's request got must not serve
 * another's. Values only: a promise of one request must not be awaited by another.
 */
import type { SessionId, TenantId } from "../domain/state/ids.ts";
import type { Pass } from "../protocol/sandbox/traffic.ts";
import type { Clock } from "../runtime/clock-ids-logger.ts";

/** null: a signed address. `*`: the host name alone, which no tenant can be called. */
export type Holder = TenantId | null | "*";

/** Some hundred bytes each; the oldest go first. */
const passesKept = 1_000;

export class PassCache {
  readonly #clock: Pick<Clock, "now">;
  readonly #passes = new Map<string, Pass>();
  /** When the last one was looked at: a clock that is set back must not make a pass live on. */
  #lastAt = Number.NEGATIVE_INFINITY;

  constructor(clock: Pick<Clock, "now">) {
    this.#clock = clock;
  }

  get(holder: Holder, id: SessionId): Pass | null {
    const now = this.#clock.now();
    if (now < this.#lastAt) this.#passes.clear();
    this.#lastAt = now;
    const pass = this.#passes.get(nameOf(holder, id)) ?? null;
    return pass !== null && now < pass.expiresAt ? pass : null;
  }

  keep(holder: Holder, pass: Pass): void {
    const name = nameOf(holder, pass.sessionId);
    this.#passes.delete(name);
    this.#passes.set(name, pass);
    const [oldest] = this.#passes.keys();
    if (this.#passes.size > passesKept && oldest !== undefined) this.#passes.delete(oldest);
  }

  /** Everybody's pass of that instance: what refused one refuses all. A newer one stays. */
  drop(id: SessionId, { generation }: Pass): void {
    for (const [name, pass] of this.#passes)
      if (pass.sessionId === id && pass.generation <= generation) this.#passes.delete(name);
  }
}

function nameOf(holder: Holder, id: SessionId): string {
  return `${holder ?? ""}/${id}`;
}
