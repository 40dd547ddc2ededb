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
import type { ProviderHarness } from "./provider-harness.ts";

export function describeProviderContract(name: string, harness: ProviderHarness): void {
  describe(`the ${name} provider keeps the port's contract`, () => {
    for (const check of providerChecks) {
      it(check.name, async (context) => {
        if ((await runCheck(check, harness)) === "not checked") context.skip(`needs ${check.needs.join(", ")}`);
      });
    }
  });
}
