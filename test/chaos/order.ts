/** What a chaos run is told, and the clocks it runs on: short, and obeying the same rules as the defaults. */

export interface ChaosOrder {
  /** Decides what is done to whom and in which order. Real processes decide the rest. */
  readonly seed: number;
  /** The rounds end when either is reached. */
  readonly rounds: number;
  readonly minutes: number;
  /** Sessions alive at once, about: each is two Node processes and its jobs. */
  readonly sessions: number;
  /** Whether twenty sessions at once are measured first. */
  readonly figures: boolean;
  /** Faults that hold a session up for a minute or more (a launch that never answers). */
  readonly slowFaults: boolean;
  /** A line for each event. */
  readonly verbose: boolean;
}

/** workerd takes 3 to 11 s to come back where this is run: a lease must outlive that, or no session ever could. */
export const ttlMs = 20_000;
export const renewMs = 2_000;
export const observeMs = 2_000;
export const jobGraceMs = 1_000;
export const stopGraceMs = 3_000;
const stopAttemptMs = 15_000;

export const chaosVars = {
  LEASE_TTL_SECONDS: String(ttlMs / 1_000),
  LEASE_RENEW_SECONDS: String(renewMs / 1_000),
  OBSERVE_TIMEOUT_SECONDS: String(observeMs / 1_000),
  ALARM_SLIP_SECONDS: "0",
  JOB_GRACE_SECONDS: String(jobGraceMs / 1_000),
  STOP_GRACE_SECONDS: String(stopGraceMs / 1_000),
  STOP_ATTEMPT_SECONDS: String(stopAttemptMs / 1_000),
} as const;

/** After this a sandbox whose lease nobody renews has ended itself, whoever is left. */
export const fencedMs = ttlMs + stopGraceMs;
/**
 * From the end of the faults to the last receipt: what a stop may still have before it. Three failed attempts leave a
 * backoff of 20 s (± 20 %), then comes one whole attempt.
 */
export const settledMs = fencedMs + 24_000 + stopAttemptMs;
/** A launch call that hangs is given up after a minute (no var shortens that), and only then confirmed or tried again. */
export const slowSettledMs = settledMs + 150_000;
