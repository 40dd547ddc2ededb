/** What each provider promises about time, as data: config checks it before any adapter exists. Adapters declare the same values. */
import type { ProviderTimers } from "../domain/policy.ts";
import type { ProviderName } from "../domain/provider-names.ts";

const second = 1_000;

/** null: this build has no adapter of that name, so config refuses to choose it. */
export const providerTimers = {
  cloudflare: null,
  // One launch: the host waits 15 s for a wrapper and needs up to 3 s to clear one that did not come up.
  local: { launchRetriesMs: 20 * second, stopGraceMs: 60 * second },
  memory: { launchRetriesMs: 0, stopGraceMs: 30 * second },
} as const satisfies Record<ProviderName, ProviderTimers | null>;
