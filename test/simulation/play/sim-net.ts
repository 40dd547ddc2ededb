/** Calls between objects, and from clients to them: they get lost, come late, come twice, or never come back. */
import type { SessionId } from "../../../src/domain/state/ids.ts";
import type { SeededRandom } from "../../support/seeded-random.ts";
import type { VirtualTime } from "../../support/virtual-time.ts";
import { netTroubles, type Coverage, type CoveredPhase } from "../coverage.ts";
import type { SimPlan } from "./sim-plan.ts";
import type { Trace } from "./trace.ts";

export class SimNet {
  readonly #time: VirtualTime;
  readonly #plan: SimPlan;
  readonly #random: SeededRandom;
  readonly #coverage: Coverage;
  readonly #trace: Trace;
  /** In which phase a session is, as it is stored; null: about none in particular. */
  readonly #phasesOf: (id: SessionId | null) => readonly CoveredPhase[];
  /** A call about that session came to nothing, or came late. */
  readonly #onTrouble: (id: SessionId | null) => void;
  #on = true;
  #healed = false;

  constructor(
    time: VirtualTime,
    plan: SimPlan,
    random: SeededRandom,
    coverage: Coverage,
    trace: Trace,
    phasesOf: (id: SessionId | null) => readonly CoveredPhase[],
    onTrouble: (id: SessionId | null) => void,
  ) {
    this.#onTrouble = onTrouble;
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

  /** What never ends has an end after all. */
  heal(): void {
    this.#healed = true;
  }

  /** The registry, or the index, never answers again. */
  #isDead(what: string): boolean {
    const { neverEnds } = this.#plan;
    if (this.#on || this.#healed) return false;
    if (neverEnds === "index") return what.startsWith("index");
    return neverEnds === "registry" && what.startsWith("tenant");
  }

  /** About the session `id`. `send` has its effect when it is called; it may be called twice, or long after the caller has given up. */
  async call<T>(what: string, id: SessionId | null, send: () => Promise<T>): Promise<T> {
    await this.#pass(this.#random.chance(0.7) ? 0 : this.#random.int(1, 50));
    if (this.#isDead(what)) {
      this.#onTrouble(id);
      this.#coverage.count(`endless_${String(this.#plan.neverEnds)}`, this.#phasesOf(id));
      throw new Error(`${what}: the network is down`);
    }
    if (!this.#on || !this.#random.chance(this.#plan.netFaultRate)) return send();
    const { unitMs } = this.#plan;
    const kind = this.#random.pick(netTroubles);
    this.#coverage.count(`rpc_${kind}`, this.#phasesOf(id));
    this.#trace.note("net", () => `${what}: ${kind}`);
    this.#onTrouble(id);
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
