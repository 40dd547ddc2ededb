/** Erasing a session: its last report, then its rows. */
import type { SessionPorts } from "../ports.ts";
import type { SessionState } from "../session-state.ts";
import type { StepContext } from "./step-context.ts";

/** The last report comes first: once the rows are gone, nothing knows that it was still to be sent. */
export async function erase({ ports, state, reporter }: StepContext): Promise<void> {
  if (await reporter.send(true)) await eraseRows(ports, state);
}

/** Also undoes a create that got no quota: it launched and reported nothing. */
export async function eraseRows(ports: SessionPorts, state: SessionState): Promise<void> {
  await ports.eraseStorage();
  state.erased();
  // An alarm that was set while the rows were deleted would wake an object that has nothing to do.
  ports.alarm.clear();
}
