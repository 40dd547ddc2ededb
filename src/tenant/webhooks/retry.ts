/** When a delivery is tried again, and when an endpoint is left alone for a while. Pure: jitter comes in, in [0, 1). */

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;

/** After the first, second, … failed attempt. Together three days: an outage over a weekend loses nothing. */
const delays = [
  5 * second,
  30 * second,
  2 * minute,
  10 * minute,
  30 * minute,
  2 * hour,
  5 * hour,
  10 * hour,
  14 * hour,
  20 * hour,
  24 * hour,
] as const;

/** One attempt more than there are delays. */
export const attemptsAtMost = delays.length + 1;
/** Longer than this a receiver's own `Retry-After` is not believed. */
const askedAtMost = hour;

/** ms until the next attempt after `attempts` that failed; null: it is given up. `asked`: the receiver's own wish, ms. */
export function nextAttemptIn(attempts: number, asked: number | null, jitter: number): number | null {
  const plain = delays[attempts - 1];
  if (plain === undefined) return null;
  // Up to a fifth later, never earlier: many deliveries of one outage must not come back as one wave.
  const spread = Math.round(plain * (1 + jitter / 5));
  return Math.max(spread, Math.min(asked ?? 0, askedAtMost));
}

/** Failures in a row, over all deliveries, before an endpoint is taken for down. One bad event alone must not hold up the others. */
const cooldownFrom = 3;
const cooldownCap = 5 * minute;

/** ms for which nothing is sent to an endpoint after so many failures in a row: a long queue must not become a flood. */
export function cooldownAfter(failuresInRow: number): number {
  return failuresInRow < cooldownFrom
    ? 0
    : Math.min(cooldownCap, second * 2 ** Math.min(30, failuresInRow - cooldownFrom));
}

/** An answer within this long costs nobody anything. */
const slowFromMs = second;
const slowCooldownCap = 5 * second;

/** Whether an answer took so long that its receiver gets one delivery at a time. */
export function isSlow(tookMs: number): boolean {
  return tookMs >= slowFromMs;
}

/** ms for which nothing is sent after a slow success: a slow receiver is busy at most half of the time. */
export function cooldownAfterSlow(tookMs: number): number {
  return isSlow(tookMs) ? Math.min(tookMs, slowCooldownCap) : 0;
}
