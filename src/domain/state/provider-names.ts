/**
 * Every provider a lease may record. The name is stored: renaming one would strand its leases.
 * `cloudflare` stands on the platform's container API, `sandbox-sdk` on the SDK 0.x.
 */
export const providerNames = ["cloudflare", "sandbox-sdk", "local", "memory"] as const;
export type ProviderName = (typeof providerNames)[number];
