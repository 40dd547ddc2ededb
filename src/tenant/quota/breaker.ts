/**
 * The spawn breaker of one tenant: a row of failed launches closes the door for a while, so that a loop of failing
 * launches costs neither money nor other tenants' capacity. Pure; the tenant's core stores its state.
 *
 * closed → open: `threshold` launches in a row failed within `windowMs`, none accepted between.
 * open → half open: at `closesAt` the next order is let through as the probe. Everyone else is told to ask again
 * soon: most probes are decided long before their bound.
 * half open → closed: any launch is accepted. → open again, for twice as long: any launch fails.
 */
export type Breaker =
  | { readonly type: "closed"; readonly failures: readonly number[] }
  | { readonly type: "open"; readonly closesAt: number; readonly trips: number }
  | { readonly type: "halfOpen"; readonly probe: string; readonly until: number; readonly trips: number };

export interface BreakerTerms {
  readonly threshold: number;
  readonly windowMs: number;
  readonly openMs: number;
  readonly openCapMs: number;
  /** A probe of which nothing is heard for this long no longer keeps others out. */
  readonly probeMs: number;
  /** How soon those who wait for a probe ask again. */
  readonly askAgainMs: number;
}

export const newBreaker: Breaker = { type: "closed", failures: [] };

/** null: let through. Else the instant from which asking again makes sense. */
export function heldUntil(
  breaker: Breaker,
  key: string,
  { askAgainMs }: Pick<BreakerTerms, "askAgainMs">,
  now: number,
): number | null {
  switch (breaker.type) {
    case "closed":
      return null;
    case "open":
      return now < breaker.closesAt ? breaker.closesAt : null;
    case "halfOpen":
      return breaker.probe === key || now >= breaker.until ? null : Math.min(breaker.until, now + askAgainMs);
  }
}

/** `key`, which `heldUntil` let through, was granted. */
export function afterGrant(breaker: Breaker, key: string, terms: BreakerTerms, now: number): Breaker {
  if (breaker.type === "closed") return breaker;
  return { type: "halfOpen", probe: key, until: now + terms.probeMs, trips: breaker.trips };
}

export function afterAccepted(): Breaker {
  return newBreaker;
}

/** What never became a launch (given back, or refused elsewhere) tells nothing: the next one may be the probe. */
export function afterGivenBack(breaker: Breaker, key: string, now: number): Breaker {
  if (breaker.type !== "halfOpen" || breaker.probe !== key) return breaker;
  return { type: "open", closesAt: now, trips: breaker.trips };
}

export function afterFailed(breaker: Breaker, terms: BreakerTerms, now: number): Breaker {
  switch (breaker.type) {
    case "closed": {
      const failures = [...breaker.failures.filter((at) => at > now - terms.windowMs), now].slice(-terms.threshold);
      return failures.length < terms.threshold ? { type: "closed", failures } : opened(1, terms, now);
    }
    // Launches that were under way when it opened: they neither lengthen nor shorten it.
    case "open":
      return breaker;
    case "halfOpen":
      return opened(breaker.trips + 1, terms, now);
  }
}

function opened(trips: number, terms: BreakerTerms, now: number): Breaker {
  return { type: "open", trips, closesAt: now + Math.min(terms.openMs * 2 ** (trips - 1), terms.openCapMs) };
}
