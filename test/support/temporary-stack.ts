/** A stack for one test file: its own directory and ports, short clocks, gone afterwards with everything it started. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { demoVars } from "../../scripts/demo/story.ts";
import { Stack, type StackOrder } from "../../scripts/stack/stack.ts";

export interface TemporaryStack {
  readonly stack: Stack;
  readonly order: StackOrder;
  stop(): Promise<void>;
}

export async function temporaryStack(overrides: Partial<StackOrder> = {}): Promise<TemporaryStack> {
  const directory = mkdtempSync(join(tmpdir(), "mooring-e2e-"));
  const order: StackOrder = {
    stateDirectory: directory,
    secretsFile: join(directory, "secrets"),
    port: 0,
    vars: demoVars,
    faults: false,
    reload: false,
    cronSeconds: null,
    endSandboxes: true,
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
