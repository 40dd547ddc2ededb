/** The kit's jobs where they run in a POSIX shell. */
import type { JobCommands } from "./provider-harness.ts";

/**
 * Starts a program that no mark, group or parent connects with its job, says `hidden` once that is so, and goes on. Run in a directory
 * that it may write to. A process that nobody reaps is gone all the same.
 */
export function hidingCommand(program: string): string {
  const isGone = `{ [ ! -e "/proc/$l" ] || grep -q ') Z ' "/proc/$l/stat"; }`;
  return [
    `(env -i setsid sh -c 'echo $$ > .leader; ${program} & exit' &)`,
    `until l=$(cat .leader 2>/dev/null) && [ -n "$l" ] && ${isGone}; do sleep 0.05; done`,
    "echo hidden; sleep 300",
  ].join("; ");
}

export const shellJobs: JobCommands = {
  echo: (text) => `echo '${text}'`,
  exit: (code) => `exit ${code}`,
  sleep: "sleep 300",
  ignoreTerm: "trap '' TERM; sleep 300",
  fork: `setsid sh -c "trap '' TERM; sleep 300" & sleep 300`,
  cat: "cat",
};
