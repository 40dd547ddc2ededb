/** What `npm run test:containers` tells its tests: the engine's image and environment, or why there are no containers here. */
import { describe } from "vitest";

export const localImage = process.env["MOORING_LOCAL_IMAGE"] ?? "";

/** A figure for docs/containers.md, in the run's output. */
export function say(figure: string): void {
  process.stdout.write(`${figure}\n`);
}

export async function timed<T>(of: () => Promise<T>): Promise<{ readonly value: T; readonly ms: number }> {
  const began = performance.now();
  const value = await of();
  return { value, ms: performance.now() - began };
}

/** A shell line for a container. The brackets keep the shell that runs it from finding itself. */
export const killAgent = "kill -KILL $(pgrep -f '[w]rapper.js agent')";
export const freezeAgent = "kill -STOP $(pgrep -f '[w]rapper.js agent')";

/** Set by scripts/containers/test-containers.ts. A run by hand without it has no engine either. */
const whyNone =
  process.env["MOORING_NO_CONTAINERS"] ??
  (localImage === "" ? "run `npm run test:containers` instead of vitest" : null);

/** Skipped by name where containers cannot run: a test that did not run never counts as passed. */
export const describeOnContainers = whyNone === null ? describe : describe.skip;
