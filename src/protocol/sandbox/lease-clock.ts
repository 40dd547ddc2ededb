/**
 * When a wrapper must have ended itself, told on its own monotonic clock but measured from the controller's send.
 *
 * The two clocks share no origin. Of all renewals received, the smallest `arrival - sentAt` is the best upper bound of
 * the offset between them, because a transit only ever adds. A renewal that was held up for minutes therefore does
 * not extend the lease by those minutes, and one that is overtaken by a later one is stale by its sequence.
 * A controller whose clock jumped back shows a higher sequence with an earlier `sentAt`: the offset is learned anew.
 * docs/decisions/0003 has the rejected options.
 */

export interface LeaseClock {
  /** 0 before the first renewal. */
  readonly sequence: number;
  readonly lastSentAt: number;
  /** Smallest seen (arrival on our monotonic clock) − (send on the controller's clock), ms. */
  readonly offsetMs: number;
  /** On our monotonic clock, ms. */
  readonly deadline: number;
}

/** A wrapper that was just started lives one TTL without a renewal. `startedAt` on its monotonic clock, ms. */
export function newLeaseClock(startedAt: number, ttlMs: number): LeaseClock {
  return {
    sequence: 0,
    lastSentAt: Number.NEGATIVE_INFINITY,
    offsetMs: Number.POSITIVE_INFINITY,
    deadline: startedAt + ttlMs,
  };
}

/** null: the renewal is stale and changes nothing. */
export function acceptRenewal(
  clock: LeaseClock,
  renewal: { readonly sequence: number; readonly sentAt: number; readonly ttlMs: number },
  arrivedAt: number,
): LeaseClock | null {
  if (renewal.sequence <= clock.sequence) return null;
  const sample = arrivedAt - renewal.sentAt;
  const jumpedBack = renewal.sentAt < clock.lastSentAt;
  const offsetMs = jumpedBack ? sample : Math.min(clock.offsetMs, sample);
  return {
    sequence: renewal.sequence,
    lastSentAt: renewal.sentAt,
    offsetMs,
    deadline: renewal.sentAt + offsetMs + renewal.ttlMs,
  };
}
