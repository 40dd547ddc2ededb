/** What each provider promises about time, as data: config checks it before any adapter exists. Adapters declare the same values. */
import type { ProviderTimers } from "../domain/policy.ts";
import type { ProviderName } from "../domain/provider-names.ts";

const second = 1_000;

/** null: this build has no adapter of that name, so config refuses to choose it. */
export const providerTimers = {
  cloudflare: null,
  // The host never retries a launch by itself, and waits as long between TERM and KILL as it is told, up to 30 s.
  local: { launchRetriesMs: 0, stopGraceMs: 30 * second },
  memory: { launchRetriesMs: 0, stopGraceMs: 30 * second },
} as const satisfies Record<ProviderName, ProviderTimers | null>;
