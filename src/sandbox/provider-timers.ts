/** What each provider promises about time, as data: config checks it before any adapter exists. Adapters declare the same values. */
import type { ProviderTimers } from "../domain/rules/policy.ts";
import type { ProviderName } from "../domain/state/provider-names.ts";

const second = 1_000;

export const providerTimers = {
  // One launch: 35 s for the container, 15 s for the wrapper, 4 s to end what did not come up. The platform itself leaves a container 5 s.
  "sandbox-sdk": { launchRetriesMs: 54 * second, stopGraceMs: 5 * second },
  cloudflare: { launchRetriesMs: 54 * second, stopGraceMs: 5 * second },
  // One launch: the host waits 15 s for a wrapper and needs up to 3 s to clear one that did not come up.
  local: { launchRetriesMs: 20 * second, stopGraceMs: 60 * second },
  memory: { launchRetriesMs: 0, stopGraceMs: 30 * second },
} as const satisfies Record<ProviderName, ProviderTimers>;
