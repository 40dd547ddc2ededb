import { expect, it } from "vitest";
import { readConfig } from "../../../src/config/config.ts";
import { policyViolations } from "../../../src/domain/rules/policy.ts";
import { providerNames } from "../../../src/domain/state/provider-names.ts";
import { cloudflareSandbox } from "../../../src/sandbox/cloudflare/cloudflare-sandbox.ts";
import { localSandbox } from "../../../src/sandbox/local/local-sandbox.ts";
import { memoryCapabilities } from "../../memory/memory-sandbox.ts";
import { providerTimers } from "../../../src/sandbox/provider-timers.ts";
import { systemClock, systemIds } from "../../../src/wiring/system.ts";

const local = localSandbox({
  url: "http://127.0.0.1:1",
  token: "unused",
  fetch,
  clock: systemClock,
  ids: systemIds,
  controlPlane: async () => null,
});
const nowhere = (): never => {
  throw new Error("no object is asked");
};
const onPlatform = (name: "cloudflare" | "sandbox-sdk") =>
  cloudflareSandbox({ name, sharing: "none", object: nowhere, bucket: null, clock: systemClock, ids: systemIds });

it.each([
  ["cloudflare", providerTimers.cloudflare, onPlatform("cloudflare").capabilities],
  ["sandbox-sdk", providerTimers["sandbox-sdk"], onPlatform("sandbox-sdk").capabilities],
  ["local", providerTimers.local, local.capabilities],
  ["memory", providerTimers.memory, memoryCapabilities],
] as const)("config checks %s against what its adapter declares [LEA-24]", (_name, checked, declared) => {
  expect(checked).toEqual({ launchRetriesMs: declared.launchRetriesMs, stopGraceMs: declared.stopGraceMs });
});

it.each(providerNames)("the default timers fit the provider %s [LEA-24]", (name) => {
  const reading = readConfig({ SANDBOX_PROVIDER: name }, providerNames);
  expect(reading.ok && policyViolations(reading.config.policy, providerTimers[name])).toEqual([]);
});
