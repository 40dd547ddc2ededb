/** Clocks that fit together, TTL ≥ 3 × renew + slip + observe, for a test that waits for the end of a lease. */
export const shortLeases = {
  LEASE_TTL_SECONDS: "20",
  LEASE_RENEW_SECONDS: "4",
  LEASE_RETRY_SECONDS: "2",
  OBSERVE_TIMEOUT_SECONDS: "5",
  ALARM_SLIP_SECONDS: "2",
} as const;

/** For one that waits for renewals only: its leases outlive a machine that is busy with something else. */
export const calmLeases = { ...shortLeases, LEASE_TTL_SECONDS: "180", OBSERVE_TIMEOUT_SECONDS: "10" } as const;
