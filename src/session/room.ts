/**
 * Room for a workspace, on the cold path only: measured, made by reclaiming what is stale, measured again; each step told as
 * an event of the session. Decides nothing (domain/cold-admission.ts does) and removes nothing itself.
 */
import { admitCold, type ColdStep, type Measured, type ReclaimOutcome } from "../domain/cold-admission.ts";
import type { OpeningFailure } from "../domain/events.ts";
import type { AttemptId } from "../domain/ids.ts";
import type { Candidate } from "../domain/lease.ts";
import type { Place, Space } from "../sandbox/agent-sandbox.ts";
import type { SessionPorts } from "./ports.ts";
import type { ProviderCalls } from "./provider-calls.ts";

export class Room {
  readonly #ports: SessionPorts;
  readonly #calls: ProviderCalls;

  constructor(ports: SessionPorts, calls: ProviderCalls) {
    this.#ports = ports;
    this.#calls = calls;
  }

  /** null: there is room, or the provider can tell only by launching. Ends early once the attempt is over. */
  async make(candidate: Candidate, attemptId: AttemptId): Promise<OpeningFailure | null> {
    const space = this.#calls.provider(candidate)?.space;
    if (space === undefined) return null;
    const { sandboxId, container } = candidate;
    const sessionId = this.#calls.session().id;
    const place: Place = container === undefined ? { sessionId, sandboxId } : { sessionId, sandboxId, container };
    let reclaimed: ReclaimOutcome | null = null;
    for (;;) {
      const step = await this.#measure(space, place, attemptId, reclaimed);
      if (step.type === "admit") return null;
      if (step.type === "refuse")
        return { code: step.code, message: step.words, ...(container === undefined ? {} : { container }) };
      if (step.type === "ask_later")
        return { code: "unavailable", message: `Room could not be measured: ${step.words}` };
      const told = await this.#reclaim(space, place, attemptId);
      if (told === null) return { code: "unavailable", message: "Another opening took over." };
      reclaimed = told;
    }
  }

  async #measure(
    space: Space,
    place: Place,
    attemptId: AttemptId,
    reclaimed: ReclaimOutcome | null,
  ): Promise<ColdStep> {
    const { policy } = this.#ports;
    const neededBytes = policy.workspaceMinFreeBytes;
    const result = await this.#calls.call(policy.observeMs, "inspectCapacity", (bound) =>
      space.inspectCapacity(place, bound),
    );
    if (result.ok) this.#calls.dispatch({ type: "roomMeasured", attemptId, ...result.value, neededBytes });
    const measured: Measured = result.ok
      ? { type: "room", ...result.value }
      : { type: "failed", failure: result.failure };
    return admitCold(measured, reclaimed, neededBytes);
  }

  /** null: the session went on without this opening; what is removed then is not its business any more. */
  async #reclaim(space: Space, place: Place, attemptId: AttemptId): Promise<ReclaimOutcome | null> {
    const result = await this.#calls.call(this.#ports.policy.reclaimMs, "reclaim", (bound) =>
      space.reclaim(place, bound),
    );
    const outcome: ReclaimOutcome & { readonly kept: number } = result.ok
      ? {
          removed: result.value.removed.length,
          freedBytes: result.value.freedBytes,
          kept: result.value.kept.length,
          failed: null,
        }
      : { removed: 0, freedBytes: 0, kept: 0, failed: `${result.failure.code}: ${result.failure.message}` };
    const told = this.#calls.dispatch({ type: "roomReclaimed", attemptId, ...outcome });
    return told.type === "moved" ? outcome : null;
  }
}
