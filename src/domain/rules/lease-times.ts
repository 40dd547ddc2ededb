/**
 * The instants of a lease: how long its wrapper may still act, when it fences itself, when it is taken for lost or replaced.
 * An instance keeps the terms that it was told at its launch; a row that older code wrote has none, and then today's policy is taken.
 */
import type { Held, Launching, LeaseIdentity, LeaseTerms, Renewals, Stopping } from "../state/lease.ts";
import type { Policy } from "./policy.ts";
import type { ProviderName } from "../state/provider-names.ts";

/**
 * When no wrapper of this lease can still be alive by its own clock: nothing extends it once it is stopping.
 *
 * A wrapper measures a renewal from its send only once it has learned what a quick one takes (lease-clock.ts). One that was
 * frozen since its start reads its first renewal as late as its own TTL allows, takes that delay for the distance between the
 * two clocks, and adds it to every later one. As long as none was accepted in time, that has to be waited for as well.
 */
export function certainExpiry(lease: Launching | Held, policy: Policy): number {
  const { launchNotAfter, openedAt, renewals } = lease;
  const { lastSentAt, sendsUntil } = renewals;
  const unrenewed = launchNotAfter + (lease.terms?.ttlMs ?? policy.leaseTtlMs);
  if (lastSentAt === null) return unrenewed;
  const longestDelay = lease.phase === "launching" ? unrenewed - openedAt : 0;
  return Math.max(unrenewed, Math.max(lastSentAt, sendsUntil ?? 0) + longestDelay + sentTtl(renewals, policy));
}

function sentTtl(renewals: Renewals, policy: Policy): number {
  return renewals.ttlMs ?? policy.leaseTtlMs;
}

/** What `Renewals.ttlMs` is once a renewal was sent at `sentAt`: an earlier and longer TTL may have more left than this one gives. */
export function ttlAfterSend(before: Renewals, sentAt: number, policy: Policy): number {
  const { lastSentAt } = before;
  const left = lastSentAt === null ? 0 : lastSentAt + sentTtl(before, policy) - sentAt;
  return Math.max(policy.leaseTtlMs, left);
}

/** When its wrapper fences itself, unless it is renewed. */
export function leaseEndsAt(lease: Held, policy: Policy): number {
  return lease.acceptedSentAt + (lease.acceptedTtlMs ?? policy.leaseTtlMs);
}

/** Held, and not renewed since: from here on it is taken for lost. */
export function lapsesAt(lease: Held, policy: Policy): number {
  return leaseEndsAt(lease, policy) + stopGraceOf(lease, policy);
}

/** The terms of a launch under this policy, when it may be the repeat of one under another. */
export function launchTerms(before: LeaseTerms | undefined, policy: Policy, provider: ProviderName): LeaseTerms {
  const price = before === undefined ? policy.prices.nanosPerSecond[provider] : before.nanosPerSecond;
  return {
    ...(price === undefined ? {} : { nanosPerSecond: price }),
    ttlMs: Math.max(before?.ttlMs ?? 0, policy.leaseTtlMs),
    stopGraceMs: Math.max(before?.stopGraceMs ?? 0, policy.stopGraceMs),
  };
}

/** A stopping lease may be replaced before it is proven gone only from here on. */
export function ghostFrom(lease: Stopping, policy: Policy): number {
  return lease.certainExpiry + stopGraceOf(lease, policy) + policy.alarmSlipMs;
}

function stopGraceOf(lease: LeaseIdentity, policy: Policy): number {
  return lease.terms?.stopGraceMs ?? policy.stopGraceMs;
}
