/** Where the agent that travels with the Worker keeps its things in a container. The Worker's loader and the agent agree on it. */
const run = "/run/mooring";

export const agentPlaces = {
  /** Root's, and gone with the container. */
  run,
  wrapper: `${run}/wrapper.js`,
  toolbox: `${run}/toolbox.js`,
  /** Second of the machine's uptime at which PID 1 ends the container. Replaced by rename, so that it is never read half written. */
  deadline: `${run}/deadline`,
} as const;

/**
 * How Node is started for an agent: small, because one idles beside every session.
 * Measured, RSS of guardian and wrapper together: Node 24 117 → 107 MB, Node 20 95 → 91 MB. Without the start-up snapshot less of it
 * is copied (−8 MB, +20 ms); a young generation of 1 MB and lazy compilation give the rest. `--jitless` would save 4 MB more,
 * but prints a warning and takes WebAssembly away.
 */
export const leanNodeFlags: readonly string[] = ["--no-node-snapshot", "--max-semi-space-size=1", "--max-lazy"];
