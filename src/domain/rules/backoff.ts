/** How long to wait after a failure: twice as long after each, up to a cap. `jitter` is in [0, 1). */
import type { ProviderFailure } from "../state/failure.ts";
import type { Stopping } from "../state/lease.ts";
import type { Policy } from "./policy.ts";

export interface Backoff {
  readonly baseMs: number;
  readonly capMs: number;
}

/** After the `failures`-th failure in a row, from 1. */
export function backoffAfter(failures: number, { baseMs, capMs }: Backoff): number {
  return Math.min(capMs, baseMs * 2 ** (failures - 1));
}

/** Spread evenly by `share` of it to both sides, so that many do not come back at once. `jitter` in [0, 1). */
export function spread(ms: number, share: number, jitter: number): number {
  return Math.round(ms * (1 + share * (2 * jitter - 1)));
}

/** The delay after the `count`-th failed stop attempt. */
export function stopBackoff(count: number, jitter: number, policy: Policy): number {
  const plain = backoffAfter(count, { baseMs: policy.stopBackoffBaseMs, capMs: policy.stopBackoffCapMs });
  return spread(plain, policy.stopBackoffJitter, jitter);
}

/** The delay after the `failures`-th failed deletion of one snapshot. */
export function deleteBackoff(failures: number, jitter: number, policy: Policy): number {
  const plain = backoffAfter(failures, { baseMs: policy.deleteBackoffBaseMs, capMs: policy.deleteBackoffCapMs });
  return spread(plain, policy.stopBackoffJitter, jitter);
}

/** The delay after the `tries`-th failed save of a session whose clock asks for a pause. */
export function pauseBackoff(tries: number, policy: Policy): number {
  return backoffAfter(tries, { baseMs: policy.pauseBackoffBaseMs, capMs: policy.pauseBackoffCapMs });
}

/**
 * The delay after the `count`-th failed launch or opening. `failure`: with `retryAfterMs`, the delay is never shorter than that, and spread
 * beyond it: the tenant's breaker tells all sessions that it holds the same instant, and launches that come back together fail together.
 */
export function launchBackoff(
  count: number,
  jitter: number,
  failure: Pick<ProviderFailure, "retryAfterMs"> | null,
  policy: Policy,
): number {
  const plain = backoffAfter(count, { baseMs: policy.launchBackoffBaseMs, capMs: policy.launchBackoffCapMs });
  const told = Math.round((failure?.retryAfterMs ?? 0) * (1 + policy.stopBackoffJitter * jitter));
  return Math.max(spread(plain, policy.stopBackoffJitter, jitter), told);
}

/** When to probe next a lease parked `since`, after a probe at `now`. */
export function nextProbe(lease: Stopping, since: number, now: number, policy: Policy): number {
  if (lease.assertion !== null) return now + policy.assertedProbeMs;
  return now + (now - since < policy.parkedProbeSlowAfterMs ? policy.parkedProbeMs : policy.parkedProbeSlowMs);
}
