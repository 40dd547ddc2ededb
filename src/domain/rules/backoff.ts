/** How long to wait after a failure: twice as long after each, up to a cap. */
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
