/** Every provider a lease may record. The name is stored: renaming one would strand its leases. */
export const providerNames = ["cloudflare", "local", "memory"] as const;
export type ProviderName = (typeof providerNames)[number];
