/**
 * Ctrl-C. The first one asks the command to undo what it began (end the session that it created, cancel the job that it
 * started); the second one leaves at once. A closed terminal and a SIGTERM count as the first.
 */
import { exitCodes } from "./exit-codes.ts";
import { Interrupted } from "./fault.ts";

export function watchForInterrupts(): AbortSignal {
  const asked = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(name, () => {
      if (asked.signal.aborted) process.exit(exitCodes.interrupted);
      asked.abort(new Interrupted());
    });
  return asked.signal;
}
