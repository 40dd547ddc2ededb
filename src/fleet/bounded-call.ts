/** One call to another object, of which nothing is known: it may fail, or never answer. */
import type { Clock } from "../session/ambient.ts";

export type CallOutcome<T> =
  | { readonly type: "answered"; readonly value: T }
  | { readonly type: "failed"; readonly message: string }
  /** No answer within the bound. It may still come and have its effect; nobody listens any more. */
  | { readonly type: "hung" };

/** Never rejects. Object RPC cannot be cancelled, so the bound ends the waiting, not the call. */
export async function boundedCall<T>(clock: Clock, boundMs: number, call: () => Promise<T>): Promise<CallOutcome<T>> {
  const settled = new AbortController();
  try {
    return await Promise.race<CallOutcome<T>>([
      start(call).then(
        (value) => ({ type: "answered", value }),
        (error: unknown) => ({ type: "failed", message: error instanceof Error ? error.message : String(error) }),
      ),
      clock.sleep(boundMs, settled.signal).then(() => ({ type: "hung" })),
    ]);
  } finally {
    // With a reason at hand: without one each abort makes an exception with its stack, only to call off a timer.
    settled.abort("settled");
  }
}

/** A call that throws before it has begun has failed like any other. */
async function start<T>(call: () => Promise<T>): Promise<T> {
  return await call();
}

/** In the order of the items, at most `concurrency` under way. `body` never rejects. */
export async function eachBounded<T, R>(
  items: readonly T[],
  concurrency: number,
  body: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const queue = items.entries();
  const worker = async () => {
    // One iterator for all workers: each takes the next item that nobody has.
    for (const [index, item] of queue) results[index] = await body(item);
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, items.length) }, worker));
  return results;
}
