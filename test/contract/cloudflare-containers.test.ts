/**
 * The provider `cloudflare` over the fake of the container API: the whole kit as deployed, and what starts and ends containers as locally.
 * The same kit runs on real containers in test/containers/provider. Skipped by name where processes cannot have namespaces of their own.
 */
import { describe } from "vitest";
import { canBox } from "../support/cloudflare/boxed-processes.ts";
import { launchChecks } from "./checks/launch-checks.ts";
import { observeChecks } from "./checks/observe-checks.ts";
import { stopChecks } from "./checks/stop-checks.ts";
import { containerHarness } from "./container-harness.ts";
import { describeProviderContract } from "./provider-contract.ts";

describe.skipIf(!canBox)("over the fake of the container API, deployed", () => {
  describeProviderContract("cloudflare", containerHarness("deployed"));
});

describe.skipIf(!canBox)("over the fake of the container API, local", () => {
  const checks = [...launchChecks, ...observeChecks, ...stopChecks];
  describeProviderContract("cloudflare", containerHarness("local"), { checks });
});
