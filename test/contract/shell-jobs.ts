/** The kit's jobs where they run in a POSIX shell. */
import type { JobCommands } from "./provider-harness.ts";

export const shellJobs: JobCommands = {
  echo: (text) => `echo '${text}'`,
  exit: (code) => `exit ${code}`,
  sleep: "sleep 300",
  ignoreTerm: "trap '' TERM; sleep 300",
  fork: `setsid sh -c "trap '' TERM; sleep 300" & sleep 300`,
  cat: "cat",
};
