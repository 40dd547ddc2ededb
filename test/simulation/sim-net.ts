/** Calls between objects, and from clients to them: they get lost, come late, come twice, or never come back. */
import type { SessionId } from "../../src/domain/ids.ts";
import type { SeededRandom } from "../support/seeded-random.ts";
import type { VirtualTime } from "../support/virtual-time.ts";
import { netTroubles, type Coverage, type CoveredPhase } from "./coverage.ts";
import type { SimPlan } from "./sim-plan.ts";
import type { Trace } from "./trace.ts";

export class SimNet {
  readonly #time: VirtualTime;
  readonly #plan: SimPlan;
  readonly #random: SeededRandom;
  readonly #coverage: Coverage;
  readonly #trace: Trace;
  /** In which phase a session is, as it is stored. */
  readonly #phasesOf: (id: SessionId) => readonly CoveredPhase[];
  #on = true;

  constructor(
    time: VirtualTime,
    plan: SimPlan,
    random: SeededRandom,
    coverage: Coverage,
    trace: Trace,
    phasesOf: (id: SessionId) => readonly CoveredPhase[],
  ) {
    this.#phasesOf = phasesOf;
    this.#time = time;
    this.#plan = plan;
    this.#random = random;
    this.#coverage = coverage;
    this.#trace = trace;
  }

  end(): void {
    this.#on = false;
  }

  /** About the session `id`. `send` has its effect when it is called; it may be called twice, or long after the caller has given up. */
  async call<T>(what: string, id: SessionId, send: () => Promise<T>): Promise<T> {
    await this.#pass(this.#random.chance(0.7) ? 0 : this.#random.int(1, 50));
    if (!this.#on || !this.#random.chance(this.#plan.netFaultRate)) return send();
    const { unitMs } = this.#plan;
    const kind = this.#random.pick(netTroubles);
    this.#coverage.count(`rpc_${kind}`, this.#phasesOf(id));
    this.#trace.note("net", () => `${what}: ${kind}`);
    switch (kind) {
      case "lost_request":
        throw new Error(`${what}: the network is down`);
      case "lost_reply":
        await send();
        throw new Error(`${what}: the reply got lost`);
      case "late_request": {
        const delay = this.#random.pick([this.#random.int(1, unitMs / 12), this.#random.int(1, 5 * unitMs)]);
        this.#time.schedule(delay, () => void send().catch(() => {}));
        throw new Error(`${what}: the connection was cut`);
      }
      case "late_reply": {
        const answer = await send();
        await this.#pass(this.#random.int(1, unitMs / 2));
        return answer;
      }
      case "twice": {
        const answer = await send();
        this.#time.schedule(this.#random.int(1, unitMs), () => void send().catch(() => {}));
        return answer;
      }
      case "hang":
        return new Promise(() => {});
    }
  }

  #pass(ms: number): Promise<void> {
    return ms === 0 ? Promise.resolve() : new Promise((resolve) => void this.#time.schedule(ms, resolve));
  }
}
