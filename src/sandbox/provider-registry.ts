/**
 * Finds the adapter that a lease names. The name stored in the lease decides, whatever the config says now; an adapter
 * that is not wired in this deployment is null, and its leases are blocked, never taken for gone.
 */
import { providerNames, type ProviderName } from "../domain/state/provider-names.ts";
import type { AgentSandbox } from "./agent-sandbox.ts";

export type ProviderFactories = { readonly [Name in ProviderName]?: () => AgentSandbox };

export interface ProviderRegistry {
  /** null: not wired here. The same adapter each time. */
  get(name: ProviderName): AgentSandbox | null;
  readonly wired: readonly ProviderName[];
}

export function providerRegistry(factories: ProviderFactories): ProviderRegistry {
  const made = new Map<ProviderName, AgentSandbox>();
  return {
    wired: providerNames.filter((name) => factories[name] !== undefined),
    get(name) {
      const adapter = made.get(name) ?? factories[name]?.() ?? null;
      if (adapter !== null) made.set(name, adapter);
      return adapter;
    },
  };
}
