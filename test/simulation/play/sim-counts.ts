/** Who was hit, and in which phase it was: between what happens in the simulation and the table of faults by phase. */
import type { Generation, SessionId } from "../../../src/domain/state/ids.ts";
import type { Call } from "../../memory/fault-plan.ts";
import { phaseOfLease, phasesOfSession, type Coverage, type CoveredPhase } from "../coverage.ts";
import type { SessionWatch } from "../checks/session-watch.ts";

export class SimCounts {
  readonly #coverage: Coverage;
  readonly #watches: ReadonlyMap<SessionId, SessionWatch>;

  constructor(coverage: Coverage, watches: ReadonlyMap<SessionId, SessionWatch>) {
    this.#coverage = coverage;
    this.#watches = watches;
  }

  phasesOf(id: SessionId | null): readonly CoveredPhase[] {
    return id === null ? this.#everyPhase() : phasesOfSession(this.#watches.get(id)?.session ?? null);
  }

  phasesOfCall({ sessionId, generation }: Call): readonly CoveredPhase[] {
    if (sessionId === null) return this.#everyPhase();
    return generation === null ? this.phasesOf(sessionId) : [this.#phaseOf(sessionId, generation)];
  }

  /** `to` null: to everybody. */
  happened(fault: string, to: { readonly session: SessionId; readonly generation: Generation } | null): void {
    this.#coverage.count(fault, to === null ? this.#everyPhase() : [this.#phaseOf(to.session, to.generation)]);
  }

  /** To the object of that name; false: no session has it. */
  happenedTo(name: string, fault: string): boolean {
    for (const watch of this.#watches.values()) {
      if (watch.object.name !== name) continue;
      this.#coverage.count(fault, phasesOfSession(watch.session));
      if (fault.startsWith("crash_")) watch.crashed();
      return true;
    }
    return false;
  }

  crashed(name: string, what: string): void {
    const at = what.startsWith("before ") ? "before" : what.startsWith("after ") ? "after" : "any";
    if (this.happenedTo(name, `crash_${at}`)) return;
    // What is no session is the registry.
    this.happened("crash_registry", null);
    for (const watch of this.#watches.values()) watch.unheard();
  }

  #phaseOf(id: SessionId, generation: Generation): CoveredPhase {
    const watch = this.#watches.get(id);
    const stored = watch?.stored.lease(generation) ?? null;
    return phaseOfLease(
      stored?.lease ?? null,
      stored?.standing === "ghost",
      (watch?.session?.snapshot ?? null) !== null,
    );
  }

  #everyPhase(): readonly CoveredPhase[] {
    return Array.from(this.#watches.values(), ({ session }) => phasesOfSession(session)).flat();
  }
}
