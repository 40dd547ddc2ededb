/** An operator who looks at what is stuck and does something about it, rightly or not (LEA-20): the exits must be safe even then. */
import { openOf } from "../oracle/model.ts";
import type { SeededRandom } from "../../support/seeded-random.ts";
import { phasesOfSession, type Coverage, type CoveredPhase } from "../coverage.ts";
import type { SessionWatch } from "../checks/session-watch.ts";
import type { SimNet } from "./sim-net.ts";
import type { Trace } from "./trace.ts";

export interface OperatorDependencies {
  readonly random: SeededRandom;
  readonly net: SimNet;
  readonly trace: Trace;
  readonly coverage: Coverage;
  readonly watches: () => Iterable<SessionWatch>;
}

export class SimOperator {
  readonly #world: OperatorDependencies;
  #asserted = 0;

  constructor(world: OperatorDependencies) {
    this.#world = world;
  }

  /** How often an assertion was accepted: what is seen alive after one is reserved again, past the cap if need be. */
  get asserted(): number {
    return this.#asserted;
  }

  /** One round over everything that did not stop at the first attempt: also before anything may be said about it. */
  async look(): Promise<void> {
    for (const watch of this.#world.watches()) {
      const stuck =
        watch.session !== null &&
        openOf(watch.session).some((lease) => lease.phase === "stopping" && lease.attempts.length > 0);
      if (stuck && this.#world.random.chance(0.5)) await this.#resolve(watch).catch(() => {});
    }
  }

  async #resolve(watch: SessionWatch): Promise<void> {
    const { random, net, trace, coverage } = this.#world;
    const { object, id } = watch;
    const phases = phasesOfSession(watch.session);
    const seen = await net.call("operator inspect", id, () => object.call((api) => api.inspect()));
    if (!seen.ok) return;
    const action = random.pick(["retry_stop", "retry_stop", "assert_absent", "abandon"] as const);
    const operator = { by: "sim", requestId: "sim" };
    // It may arrive although its answer does not.
    if (action === "retry_stop") watch.retryAsked();
    const reply = await net.call("operator resolve", id, () =>
      object.call((api) => api.resolve(operator, { action, reason: "a guess" }, seen.value.etag)),
    );
    trace.note(
      "operator",
      () => `${action} of ${object.name}: ${reply.ok ? "ok" : `${reply.problem.code}: ${reply.problem.detail}`}`,
    );
    if (reply.ok) coverage.count(`operator_${action}`, phases.filter(isStop));
    if (reply.ok && action !== "retry_stop") this.#asserted += 1;
  }
}

/** What it acted on: the stop of the newest, of a ghost, or both. */
function isStop(phase: CoveredPhase): boolean {
  return phase === "stopping" || phase === "parked" || phase === "ghost";
}
