/** Vars so that no cap, breaker or alert gets in the way of a measure. */
export const roomy = {
  FLEET_SHARDS: "1",
  TENANT_MAX_SANDBOXES: "100000",
  GLOBAL_MAX_SANDBOXES: "1000000",
  RATE_LIMIT_READS: "off",
  RATE_LIMIT_WRITES: "off",
  RATE_LIMIT_TRAFFIC: "off",
} as const;

export const onMemory = { ...roomy, SANDBOX_PROVIDER: "memory" } as const;
