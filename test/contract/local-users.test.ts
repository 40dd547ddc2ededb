/** The checks of the kit that a user for each sandbox could make fail: what lies on disk, what hides, what is beside each other. */
import { describe, it } from "vitest";
import { localHarnessWithUsers } from "./local-harness.ts";
import { providerChecks, runCheck } from "./provider-check.ts";

const concerned = new Set<string>(["snapshots", "containers", "hiding", "workspaces"]);

describe.runIf(process.getuid?.() === 0)(
  "the local provider with a user for each sandbox keeps the port's contract",
  { concurrent: true },
  () => {
    for (const check of providerChecks.filter(({ needs }) => needs.some((power) => concerned.has(power)))) {
      it(check.name, async (context) => {
        if ((await runCheck(check, localHarnessWithUsers)) === "not checked")
          context.skip(`needs ${check.needs.join(", ")}`);
      });
    }
  },
);
