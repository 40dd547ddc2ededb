/** The part of the program that serves an instance (program-parts.ts), by role. */
import { runOneProcessAgent } from "./one-process-agent.ts";
import { runWrapper } from "./wrapper.ts";

export const agent = runOneProcessAgent;
export const wrapper = runWrapper;
