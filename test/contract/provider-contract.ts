/**
 * The conformance kit: every provider must pass it.
 *
 * Write a `ProviderHarness` (provider-harness.ts says what it must provide and what is optional) and call
 * `describeProviderContract("name", harness)` in a `*.test.ts`. Each check gets a world of its own; one that needs a
 * power the harness lacks is skipped by name. The checks themselves are plain functions (provider-check.ts), so that a
 * broken provider can be shown to fail them (faulty-provider.test.ts).
 */
import { describe, it } from "vitest";
import { providerChecks, runCheck } from "./provider-check.ts";
import type { ProviderCheck, ProviderHarness } from "./provider-harness.ts";

/** More than any check needs: its own bounds say what it waited for, and this one would not. */
const checkMs = 180_000;

export interface ContractOptions {
  /** Absent: all. */
  readonly checks?: readonly ProviderCheck[];
  /** Several at a time, as many as vitest's `maxConcurrency` says: most of a check is waiting. */
  readonly concurrent?: true;
}

export function describeProviderContract(name: string, harness: ProviderHarness, options: ContractOptions = {}): void {
  const { checks = providerChecks, concurrent = false } = options;
  describe(`the ${name} provider keeps the port's contract`, { concurrent }, () => {
    for (const check of checks) {
      it(check.name, { timeout: checkMs }, async (context) => {
        if ((await runCheck(check, harness)) === "not checked") context.skip(`needs ${check.needs.join(", ")}`);
      });
    }
  });
}
