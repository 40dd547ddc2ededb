/** How Node is started for a guardian, a wrapper and the service process. */
export { leanNodeFlags } from "../../src/protocol/sandbox/agent-paths.ts";
