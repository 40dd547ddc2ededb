/** One call to the platform inside a time: gives up by itself, because no call of the SDK ever does. Never rejects. */
import { failed, succeeded, type ProviderResult } from "../../domain/failure.ts";
import type { Clock } from "../../session/ambient.ts";
import { sdkFailure } from "./sdk-failure.ts";

/** What is left of the time of one order; several calls share it. */
export interface Deadline {
  /** ms; 0 when it is over. */
  left(): number;
}

export function deadlineIn(clock: Clock, ms: number): Deadline {
  const at = clock.now() + ms;
  return { left: () => Math.max(0, at - clock.now()) };
}

/** `changes`: whether the call may have an effect there. */
export async function limited<T>(
  clock: Clock,
  ms: number,
  changes: boolean,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<ProviderResult<T>> {
  if (ms <= 0) return failed("timed_out", "There was no time left for the call.", "none");
  const over = new AbortController();
  const settled = new AbortController();
  const late = clock.sleep(ms, settled.signal).then(() => {
    if (!settled.signal.aborted) over.abort();
    return failed(
      "timed_out",
      `The platform did not answer within ${Math.round(ms)} ms.`,
      changes ? "unknown" : "none",
    );
  });
  // A late rejection of what was given up must not be unhandled.
  const answered = invoke(call, over.signal).then(
    (value) => succeeded(value),
    (error: unknown) => ({ ok: false as const, failure: sdkFailure(error, changes) }),
  );
  try {
    return await Promise.race([late, answered]);
  } finally {
    settled.abort();
  }
}

/** The SDK throws from the call itself, too. */
async function invoke<T>(call: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
  return call(signal);
}
