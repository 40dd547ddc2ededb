/** How Node is started for a guardian or a wrapper. */
import { leanNodeFlags } from "../../src/protocol/sandbox/agent-places.ts";

export { leanNodeFlags };

/** The guardian only looks and waits: it can do without optimised code as well (−3 MB). */
export const guardianNodeFlags: readonly string[] = [...leanNodeFlags, "--lite-mode"];
