/**
 * The provider `cloudflare` over the fake of the container API: the whole kit as deployed, and what starts and ends containers as locally.
 * The same kit runs on real containers in test/containers/provider. Skipped by name where processes cannot have namespaces of their own.
 */
import { describe, expect, it } from "vitest";
import { canBox } from "../support/cloudflare/boxed-processes.ts";
import { launchChecks } from "./checks/launch-checks.ts";
import { observeChecks } from "./checks/observe-checks.ts";
import { stopChecks } from "./checks/stop-checks.ts";
import { containerHarness } from "./container-harness.ts";
import { bound, ContractSession, valueOf } from "./contract-session.ts";
import { describeProviderContract } from "./provider-contract.ts";

describe.skipIf(!canBox)("over the fake of the container API, deployed", () => {
  describeProviderContract("cloudflare", containerHarness("deployed"), { concurrent: true });
});

describe.skipIf(!canBox)("over the fake of the container API, local", () => {
  const checks = [...launchChecks, ...observeChecks, ...stopChecks];
  describeProviderContract("cloudflare", containerHarness("local"), { checks, concurrent: true });
});

describe.skipIf(!canBox)("over the fake of the container API, the home of a sandbox's user", () => {
  it("is the workspace: what a program writes below /home/user is what a pause keeps [TRA-13]", async () => {
    const world = await containerHarness("deployed").open();
    try {
      const session = new ContractSession(world);
      const wrapper = await session.held();
      const id = await session.startJob("writes", "echo kept > /home/user/in-home && cat in-home && echo $HOME");
      const look = async () => valueOf(await wrapper.job(id, 1_000, bound()), "job");
      const ended = await session.becomes("ended", look, ({ state }) => state !== "running");
      expect(atob(ended.tail_base64)).toBe("kept\n/home/user\n");
    } finally {
      await world.close();
    }
  });
});
