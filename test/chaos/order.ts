/** What a chaos run is told, and the clocks it runs on: short, and obeying the same rules as the defaults. */

import type { Scene } from "./faults/fault.ts";

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
  readonly ttlMs: number;
  /** These rounds and no others: the name of a fault and what clients are doing then. null: the seed draws them. */
  readonly script: readonly (readonly [fault: string, scene: Scene])[] | null;
}

/** workerd takes 3 to 11 s to come back where this is run: a lease must outlive that, or no session ever could. */
export const usualTtlMs = 20_000;
export const renewMs = 2_000;
export const observeMs = 2_000;
export const jobGraceMs = 1_000;
export const stopGraceMs = 3_000;
const stopAttemptMs = 15_000;

export const chaosVars = (ttlMs: number): Readonly<Record<string, string>> => ({
  LEASE_TTL_SECONDS: String(ttlMs / 1_000),
  LEASE_RENEW_SECONDS: String(renewMs / 1_000),
  OBSERVE_TIMEOUT_SECONDS: String(observeMs / 1_000),
  ALARM_SLIP_SECONDS: "0",
  JOB_GRACE_SECONDS: String(jobGraceMs / 1_000),
  STOP_GRACE_SECONDS: String(stopGraceMs / 1_000),
  STOP_ATTEMPT_SECONDS: String(stopAttemptMs / 1_000),
});

/** After this a sandbox whose lease nobody renews has ended itself, whoever is left. */
export const fencedMs = (ttlMs: number): number => ttlMs + stopGraceMs;
/**
 * From the end of the faults to the last receipt: what a launch and a stop may still have before it. Three failed attempts leave a
 * backoff of 20 s (± 20 %), then comes one whole attempt.
 */
export const settledMs = (order: Pick<ChaosOrder, "ttlMs" | "slowFaults">): number =>
  lostLaunchMs + fencedMs(order.ttlMs) + 24_000 + stopAttemptMs + (order.slowFaults ? hungLaunchMs : 0);
/**
 * The host was killed in the middle of a launch, before it had started anything: what was sent may still land within the minute that a
 * launch call has (no var shortens that), and until then nothing else is tried.
 */
const lostLaunchMs = 60_000;
/** A launch call that hangs is given up after that minute, and only then confirmed or tried again. */
const hungLaunchMs = 90_000;
