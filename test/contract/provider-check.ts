/** All checks of the kit, and how one is run. */
import { insideChecks } from "./checks/inside-checks.ts";
import { launchChecks } from "./checks/launch-checks.ts";
import { observeChecks } from "./checks/observe-checks.ts";
import { reportChecks } from "./checks/report-checks.ts";
import { sharedChecks } from "./checks/shared-checks.ts";
import { snapshotChecks } from "./checks/snapshot-checks.ts";
import { spaceChecks } from "./checks/space-checks.ts";
import { stopChecks } from "./checks/stop-checks.ts";
import { trafficChecks } from "./checks/traffic-checks.ts";
import { workspaceChecks } from "./checks/workspace-checks.ts";
import { wrapperChecks } from "./checks/wrapper-checks.ts";
import type { ProviderCheck, ProviderHarness } from "./provider-harness.ts";

export const providerChecks: readonly ProviderCheck[] = [
  ...launchChecks,
  ...observeChecks,
  ...stopChecks,
  ...wrapperChecks,
  ...workspaceChecks,
  ...snapshotChecks,
  ...spaceChecks,
  ...sharedChecks,
  ...reportChecks,
  ...trafficChecks,
  ...insideChecks,
];

/** Runs one check in a world of its own, which is ended whatever comes. Throws what the check throws. */
export async function runCheck(check: ProviderCheck, harness: ProviderHarness): Promise<"kept" | "not checked"> {
  const world = await harness.open();
  try {
    if (check.needs.some((power) => world.can[power] === undefined)) return "not checked";
    await check.run(world);
    return "kept";
  } finally {
    await world.close();
  }
}
