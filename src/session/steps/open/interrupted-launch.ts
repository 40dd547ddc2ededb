/** A launch call that was under way when the session's object was evicted. */
import type { EventOf } from "../../../domain/machine/events.ts";
import type { Lease } from "../../../domain/state/lease.ts";
import type { Ids } from "../../../runtime/clock-ids-logger.ts";

/**
 * Nothing receives the answer of that call any more, so it counts as failed with an unknown effect, and the session asks the
 * instance itself at once. Waiting for the bound of the call would lose a running sandbox, because nothing renews it meanwhile.
 * null: no launch was interrupted.
 */
export function interruptedLaunch(loaded: Lease | null, ids: Pick<Ids, "random">): EventOf<"launchFailed"> | null {
  if (loaded?.phase !== "launching" || loaded.step.type !== "acting") return null;
  const message = "The session's object was restarted in the middle of the launch.";
  return {
    type: "launchFailed",
    generation: loaded.generation,
    attemptId: loaded.step.attemptId,
    failure: { code: "unavailable", message, effect: "unknown" },
    jitter: ids.random(),
  };
}
