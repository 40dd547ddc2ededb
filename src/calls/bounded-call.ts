/**
 * The one way to wait for somebody else: the caller keeps a bound, whatever the callee does.
 *
 * Owns the race between an answer and the time, and nothing else. What a missing answer means (nothing happened, or nobody
 * knows) is for each caller to say.
 */
import type { Clock } from "../runtime/clock-ids-logger.ts";

/** What a callee is told about its time. It may ignore both: the caller stops waiting all the same. */
export interface CallBound {
  readonly timeoutMs: number;
  /** Aborted when the caller gives up; never because an answer came, so that an answered stream lives on. */
  readonly signal: AbortSignal;
}

/** In the place of an answer: none came in time, or `outer` was aborted. The call may still have its effect. */
export const timedOut = Symbol("timed out");

/** A ready reason for aborts: without one each abort makes an exception with its stack, and most only call off a timer. */
export const over = "over";

/** Rejects only as the call rejects. `outer`: the bound of the caller's own caller, which ends this wait as well. */
export async function bounded<T>(
  clock: Pick<Clock, "sleep">,
  timeoutMs: number,
  call: (bound: CallBound) => Promise<T>,
  outer?: AbortSignal,
): Promise<T | typeof timedOut> {
  const givenUp = new AbortController();
  const settled = new AbortController();
  const joined = (signal: AbortSignal): AbortSignal =>
    outer === undefined ? signal : AbortSignal.any([outer, signal]);
  const timer = clock.sleep(timeoutMs, joined(settled.signal)).then((): typeof timedOut => timedOut);
  try {
    const answer = await Promise.race([call({ timeoutMs, signal: joined(givenUp.signal) }), timer]);
    if (answer === timedOut) givenUp.abort(over);
    return answer;
  } finally {
    settled.abort(over);
  }
}
