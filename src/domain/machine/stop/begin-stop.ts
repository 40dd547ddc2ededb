/** How a lease begins to stop: the first record of a teardown, of which nothing has been tried yet. */
import { certainExpiry } from "../../rules/lease-times.ts";
import type { Policy } from "../../rules/policy.ts";
import { identityOf, type LeaseIdentity, type OpenLease, type Stopping } from "../../state/lease.ts";
import type { StopReason } from "../../state/reasons.ts";

/** Any open lease begins to stop. A lease that is stopping already keeps its reason, attempts and backoff. */
export function beginStop(lease: OpenLease, reason: StopReason, now: number, policy: Policy): Stopping {
  if (lease.phase === "stopping") return lease;
  const heldAt = lease.phase === "held" ? { heldAt: lease.heldAt } : {};
  return { ...untried(identityOf(lease), reason, now, certainExpiry(lease, policy)), ...heldAt };
}

/**
 * A teardown of which nothing is known but the identity. Its launch may have been sent a moment ago, its first renewal as
 * well, and that may have been read with the longest delay there is (`certainExpiry`).
 */
export function stoppingFrom(identity: LeaseIdentity, now: number, policy: Policy): Stopping {
  const lastLaunch = Math.min(now, identity.openedAt + policy.provisionMs) + policy.launchCallMs;
  const longestDelay = lastLaunch + policy.leaseTtlMs - identity.openedAt;
  return untried(identity, "terminated", now, now + longestDelay + policy.leaseTtlMs);
}

function untried(identity: LeaseIdentity, reason: StopReason, now: number, expiry: number): Stopping {
  return {
    ...identity,
    phase: "stopping",
    reason,
    requestedAt: now,
    certainExpiry: expiry,
    step: { type: "waiting", nextAttemptAt: now },
    attempts: [],
    earlierAttempts: 0,
    retired: null,
    observations: [],
    lastError: null,
    assertion: null,
  };
}
