import { expect, it } from "vitest";
import { readConfig } from "../../src/config.ts";
import { policyMisfits } from "../../src/domain/policy.ts";
import { cloudflareSandbox } from "../../src/sandbox/cloudflare/cloudflare-sandbox.ts";
import { localSandbox } from "../../src/sandbox/local/local-sandbox.ts";
import { memoryCapabilities } from "../../src/sandbox/memory/memory-sandbox.ts";
import { providerTimers } from "../../src/sandbox/provider-timers.ts";
import { systemClock, systemIds } from "../../src/system.ts";

const local = localSandbox({ url: "http://127.0.0.1:1", token: "unused", fetch, clock: systemClock, ids: systemIds });
const nowhere = (): never => {
  throw new Error("no object is asked");
};
const cloudflare = cloudflareSandbox({ object: nowhere, bucket: null, clock: systemClock, ids: systemIds });

it.each([
  ["cloudflare", providerTimers.cloudflare, cloudflare.capabilities],
  ["local", providerTimers.local, local.capabilities],
  ["memory", providerTimers.memory, memoryCapabilities],
] as const)("config checks %s against what its adapter declares [LEA-24]", (_name, checked, declared) => {
  expect(checked).toEqual({ launchRetriesMs: declared.launchRetriesMs, stopGraceMs: declared.stopGraceMs });
});

it.each(["cloudflare", "local", "memory"] as const)("the default timers fit the provider %s [LEA-24]", (name) => {
  const reading = readConfig({ SANDBOX_PROVIDER: name });
  expect(reading.ok && policyMisfits(reading.config.policy, providerTimers[name])).toEqual([]);
});
