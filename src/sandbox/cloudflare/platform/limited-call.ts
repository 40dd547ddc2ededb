/**
 * One call to the platform with a time limit. It gives up by itself, because no call of the SDK ever does. Never
 * rejects.
 */
import { failed, succeeded, type ProviderResult } from "../../../domain/state/failure.ts";
import { bounded, timedOut } from "../../../calls/bounded-call.ts";
import type { Clock } from "../../../runtime/clock-ids-logger.ts";
import { nativeFailure } from "../native/native-failure.ts";
import { sdkFailure } from "../sdk/sdk-failure.ts";

/** The time that is left for one order, shared by several calls. */
export interface Deadline {
  /** ms; 0 when the time is over. */
  left(): number;
}

export function deadlineIn(clock: Clock, ms: number): Deadline {
  const at = clock.now() + ms;
  return { left: () => Math.max(0, at - clock.now()) };
}

/** `changes`: whether the call may have an effect on the platform. */
export async function limited<T>(
  clock: Clock,
  ms: number,
  changes: boolean,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<ProviderResult<T>> {
  if (ms <= 0)
    return failed("timed_out", "Earlier steps took all the time of the call, so this one was not tried.", "none");
  try {
    const answer = await bounded(clock, ms, ({ signal }) => call(signal));
    if (answer !== timedOut) return succeeded(answer);
    const words = `The platform did not answer within ${Math.round(ms)} ms.`;
    return failed("timed_out", words, changes ? "unknown" : "none");
  } catch (error) {
    return { ok: false, failure: nativeFailure(error, changes) ?? sdkFailure(error, changes) };
  }
}
