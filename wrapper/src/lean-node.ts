/**
 * How Node is started for a guardian or a wrapper: small, because two of them idle beside every session.
 * Measured, RSS of both together: Node 24 117 → 107 MB, Node 20 95 → 91 MB. Without the start-up snapshot less of it
 * is copied (−8 MB, +20 ms); a young generation of 1 MB and lazy compilation give the rest. `--jitless` would save 4 MB more,
 * but prints a warning and takes WebAssembly away.
 */
export const leanNodeFlags: readonly string[] = ["--no-node-snapshot", "--max-semi-space-size=1", "--max-lazy"];

/** The guardian only looks and waits: it can do without optimised code as well (−3 MB). */
export const guardianNodeFlags: readonly string[] = [...leanNodeFlags, "--lite-mode"];
