/** A stack for one test file: its own directory and ports, clocks for a busy machine, gone afterwards with everything it started. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { varsOf } from "../../scripts/demo/story.ts";
import { Stack, type StackOrder } from "../../scripts/stack/stack.ts";

/**
 * Renewals come often, so that a test hears soon of what a sandbox reports. Nothing here may run out on a machine that stands still for
 * a minute: no lease is lost, and a stop attempt has more than a minute. A test that waits for the end of a lease says so with a
 * LEASE_TTL_SECONDS of its own.
 */
export const calmVars: Readonly<Record<string, string>> = {
  ...varsOf({ leaseSeconds: 300, renewSeconds: 2, lookSeconds: 20 }),
  STOP_ATTEMPT_SECONDS: "90",
};

export interface TemporaryStack {
  readonly stack: Stack;
  readonly order: StackOrder;
  stop(): Promise<void>;
}

export async function temporaryStack(overrides: Partial<StackOrder> = {}): Promise<TemporaryStack> {
  const directory = mkdtempSync(join(tmpdir(), "mooring-e2e-"));
  // `npm test` has built once for all; a single file that is run by hand builds.
  const built = process.env["MOORING_TEST_BUILT"];
  const order: StackOrder = {
    stateDirectory: directory,
    secretsFile: join(directory, "secrets"),
    port: 0,
    vars: calmVars,
    faults: false,
    reload: false,
    cronSeconds: null,
    endSandboxes: true,
    ...(built === undefined ? {} : { built }),
    ...overrides,
  };
  const stack = await Stack.start(order).catch((error: unknown) => {
    rmSync(directory, { recursive: true, force: true });
    throw error;
  });
  return {
    stack,
    order,
    stop: async () => {
      await stack.stop();
      rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
