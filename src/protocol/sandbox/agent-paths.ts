/** Where the agent that travels with the Worker keeps its things in a container. The Worker's loader and the agent agree on it. */
const run = "/run/mooring";

export const agentPaths = {
  /** Root's, and gone with the container. */
  run,
  wrapper: `${run}/wrapper.js`,
  toolbox: `${run}/toolbox.js`,
  /** Second of the machine's uptime at which PID 1 ends the container. Replaced by rename, so that it is never read half written. */
  deadline: `${run}/deadline`,
} as const;

/**
 * How Node is started for an agent: small, because one idles beside every session. No flag that V8 counts among those that code was
 * compiled for (`--max-lazy`, `--lite-mode`, `--expose-gc`): Node then compiles its own modules anew at every start. Nor without its
 * start-up snapshot, which would take twice the time.
 */
export const leanNodeFlags: readonly string[] = ["--max-semi-space-size=1"];
