/**
 * What a clock that was set back means for instants, stored or in memory.
 *
 * An instant that lies further ahead than the longest wait of its kind was set before the clock went back. Waiting for it
 * could outlast a lease, so every wait of Mooring's own is read through these functions. Clocks that clients set
 * (`end_at` and the like) are promises about the calendar and stay where they are: at worst they fire late.
 */

/** Whether to go on waiting for `at`, when no wait of its kind is longer than `longestMs`. */
export function stillAhead(at: number, now: number, longestMs: number): boolean {
  return now < at && at <= now + longestMs;
}

/** A retry time: one that this clock cannot have set is due now. */
export function orDueNow(at: number, now: number, longestMs: number): number {
  return at > now + longestMs ? now : at;
}

/** A deadline: one that this clock cannot have set has its whole length from now on. */
export function orFullLength(at: number, now: number, longestMs: number): number {
  return Math.min(at, now + longestMs);
}

/** Something that has happened: it cannot lie ahead. */
export function orNow(at: number, now: number): number {
  return Math.min(at, now);
}
