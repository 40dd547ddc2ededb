/** The part of the program that serves an instance (program-parts.ts), by role. */
import { runAlone } from "./alone.ts";
import { runWrapper } from "./wrapper.ts";

export const agent = runAlone;
export const wrapper = runWrapper;
