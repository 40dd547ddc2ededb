/** Erasing a session: its last report, then its rows. */
import type { SessionPorts } from "../../ports.ts";
import type { SessionState } from "../../session-state.ts";
import type { StepContext } from "../step-context.ts";

/**
 * The last report comes first: once the rows are gone, nothing knows that it was still to be sent. Whatever happened while it was
 * on its way (a stop that an operator asked for once more has ended) is told as well, and may take its place: then the next wake
 * says again that this is the end.
 */
export async function erase({ ports, state, reporter }: StepContext): Promise<void> {
  const { version } = state;
  if ((await reporter.send(true)) && state.version === version) await eraseRows(ports, state);
}

/** Also undoes a create that got no quota: it launched and reported nothing. */
export async function eraseRows(ports: SessionPorts, state: SessionState): Promise<void> {
  await ports.eraseStorage();
  state.erased();
  // An alarm that was set while the rows were deleted would wake an object that has nothing to do.
  ports.alarm.clear();
}
