/** A bound that the caller keeps, whatever the callee does: the answer, or `timedOut` at the bound and an aborted signal. */
import type { CallBound } from "../sandbox/agent-sandbox.ts";
import type { Clock } from "./ambient.ts";

/** A reason at hand: without one each abort makes an exception with its stack, and most aborts only call off a timer. */
export const over = "over";

export const timedOut = Symbol("timed out");

export async function bounded<T>(
  clock: Clock,
  timeoutMs: number,
  call: (bound: CallBound) => Promise<T>,
): Promise<T | typeof timedOut> {
  const givenUp = new AbortController();
  const settled = new AbortController();
  const timer = clock.sleep(timeoutMs, settled.signal).then((): typeof timedOut => timedOut);
  try {
    const answer = await Promise.race([call({ timeoutMs, signal: givenUp.signal }), timer]);
    if (answer === timedOut) givenUp.abort(over);
    return answer;
  } finally {
    settled.abort(over);
  }
}
