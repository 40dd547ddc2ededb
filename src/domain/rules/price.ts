/** What a sandbox costs: whole billionths (nanos) of the operator's currency, by the second, from the moment it is held until its stop begins. */
import type { ProviderName } from "../state/provider-names.ts";
import type { Charge } from "../state/lease.ts";
import type { Session } from "../state/session.ts";

export interface PriceTable {
  /** As the operator writes it; never computed with. */
  readonly currency: string;
  /** Nanos per second. A provider without a price costs nothing and knows no budget. */
  readonly nanosPerSecond: Readonly<Partial<Record<ProviderName, number>>>;
}

export const noPrices: PriceTable = { currency: "USD", nanosPerSecond: {} };

export const nanosPerUnit = 1_000_000_000;

/** Rounded down, so that the sum over many leases never charges for time that was not had. */
export function chargeFor(ms: number, nanosPerSecond: number): number {
  return Math.floor((Math.max(0, ms) * nanosPerSecond) / 1_000);
}

/** The lease that costs something now; null: none does. */
function runningCharge({
  newest,
}: Session): { readonly since: number; readonly endsBy: number; readonly nanosPerSecond: number } | null {
  if (newest?.phase !== "held" || newest.terms === undefined) return null;
  const { heldAt: since, acceptedSentAt, acceptedTtlMs, terms } = newest;
  const { nanosPerSecond, ttlMs } = terms;
  if (nanosPerSecond === undefined) return null;
  return { since, endsBy: acceptedSentAt + (acceptedTtlMs ?? ttlMs), nanosPerSecond };
}

/**
 * What the held sandbox has cost up to `now`; null: none is held, or it has no price. A save that a used-up budget asked for is not
 * charged: the client could not have had less of it. Nor is any time past what its last renewal gave: by then it has ended itself,
 * and a session that was kept from looking (an outage) learns of that late. So no budget is overrun by more than one renewal's worth.
 */
export function chargeOf(session: Session, now: number): Charge | null {
  const running = runningCharge(session);
  if (running === null) return null;
  const { desired, budget } = session;
  const saving = desired.type === "suspended" && desired.by === "clock:budget" ? budget.pausedAt : null;
  const ms = Math.max(0, Math.min(now, saving ?? now, running.endsBy) - running.since);
  return { ms, nanosPerSecond: running.nanosPerSecond, nanos: chargeFor(ms, running.nanosPerSecond) };
}

/** What the session has cost up to `now`. */
export function spentBy(session: Session, now: number): number {
  return session.budget.spentNanos + (chargeOf(session, now)?.nanos ?? 0);
}

/** When its sandbox will have cost this much in all; null: it costs nothing at the moment. */
export function costReachedAt(session: Session, nanos: number): number | null {
  const running = runningCharge(session);
  if (running === null || running.nanosPerSecond === 0) return null;
  const left = Math.max(0, nanos - session.budget.spentNanos);
  return running.since + Math.ceil((left * 1_000) / running.nanosPerSecond);
}

/** No budget is left to start a sandbox with. */
export function budgetIsUsedUp({ budget }: Session): boolean {
  return budget.maxNanos !== null && budget.spentNanos >= budget.maxNanos;
}
