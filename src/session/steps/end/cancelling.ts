/**
 * Giving back a reservation for which no lease was opened.
 *
 * The cancellations are stored with the session, and its rows stay until they are all given back. The wait between two tries is
 * the lane's cooldown, in memory only: after an eviction the first try comes at once. That is one call more for each incarnation,
 * and the registry answers a repeated one the same, so the wait is not worth a write for each failed try.
 */
import { bounded, timedOut } from "../../../calls/bounded-call.ts";
import type { Generation } from "../../../domain/state/ids.ts";
import type { StepContext } from "../step-context.ts";

export async function cancelReservation({ ports, calls }: StepContext, generation: Generation): Promise<void> {
  const session = calls.session();
  try {
    const answer = await bounded(ports.clock, ports.policy.observeMs, () =>
      ports.tenant(session.tenant).cancelReservation(session.id, generation),
    );
    if (answer !== timedOut) calls.dispatch({ type: "reservationCancelled", generation });
  } catch (error) {
    ports.logger.warn("could not cancel a reservation", { error: String(error) });
  }
}

/**
 * For a create that is undone before anything was launched. Tried once: if it fails, the registry finds the reservation
 * without a session and gives it back itself.
 */
export async function cancelCandidate(context: StepContext): Promise<void> {
  const { desired } = context.calls.session();
  const candidate = desired.type === "running" ? desired.provision?.candidate : null;
  if (candidate != null) await cancelReservation(context, candidate.generation);
}
