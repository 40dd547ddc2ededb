/** Short clocks that fit together: TTL ≥ 3 × renew + slip + observe. */
export const shortLeases = {
  LEASE_TTL_SECONDS: "20",
  LEASE_RENEW_SECONDS: "4",
  LEASE_RETRY_SECONDS: "2",
  OBSERVE_TIMEOUT_SECONDS: "5",
  ALARM_SLIP_SECONDS: "2",
} as const;
