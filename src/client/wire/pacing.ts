/** How long to wait between tries, and waiting itself. */

export interface RetryTerms {
  /** Tries in all, the first included. */
  readonly attempts: number;
  /** The first pause is up to this long, ms; each further one up to twice the one before. */
  readonly baseMs: number;
  /** No pause is longer, ms. A server that asks for more is not waited for: the caller hears it at once. */
  readonly maxMs: number;
}

export const usualRetry: RetryTerms = { attempts: 5, baseMs: 250, maxMs: 10_000 };

/**
 * Full jitter: anything from nothing to the doubled pause, so that clients that failed together do not come back together.
 * What the server asked for is a floor, with the jitter on top.
 */
export function pauseMs(failures: number, terms: RetryTerms, askedMs = 0, random: () => number = Math.random): number {
  const ceiling = Math.min(terms.maxMs, terms.baseMs * 2 ** (failures - 1));
  return askedMs + Math.floor(random() * ceiling);
}

/** Rejects with the signal's reason as soon as it is aborted. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason as Error);
      return;
    }
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
