/** The provider `cloudflare` keeps the port's contract on real containers. What the harness has no power for is skipped by name. */
import { afterAll, beforeAll } from "vitest";
import { describeProviderContract } from "../../contract/provider-contract.ts";
import { describeOnContainers } from "../support/real-containers.ts";
import { RealProvider } from "./real-harness.ts";

describeOnContainers("on real containers", () => {
  const provider = new RealProvider();
  beforeAll(() => provider.start(), 120_000);
  afterAll(() => provider.stop());
  describeProviderContract("cloudflare", provider, { concurrent: true });
});
