/**
 * One fetch inside a `CallBound`: gives up at the bound even when the fetch ignores its signal, and says what is
 * certain about a call that brought no answer. Shared by every adapter that speaks HTTP.
 */
import { failed, succeeded, type ProviderResult } from "../domain/state/failure.ts";
import { bounded, timedOut } from "../calls/bounded-call.ts";
import type { Clock } from "../runtime/clock-ids-logger.ts";
import type { CallBound } from "./agent-sandbox.ts";

/** Thrown by a transport when the request certainly never left, so nothing can have happened. */
export class NotSent extends Error {}

/** The caller gave up before the call was sent: nothing can have happened. */
export const givenUp = failed("timed_out", "The call was given up before it was sent.", "none");

/** `changes`: whether the call may have an effect there. A read never has. */
export async function httpCall<T>(
  clock: Clock,
  bound: CallBound,
  changes: boolean,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<ProviderResult<T>> {
  const effect = changes ? "unknown" : "none";
  if (bound.signal.aborted) return givenUp;
  try {
    const answer = await bounded(clock, bound.timeoutMs, ({ signal }) => call(signal), bound.signal);
    if (answer !== timedOut) return succeeded(answer);
    return failed("timed_out", `No answer within ${bound.timeoutMs} ms, or the caller gave up.`, effect);
  } catch (error) {
    return failed("unavailable", words(error), neverSent(error) ? "none" : effect);
  }
}

/** Only a refused connection proves it, and only Node says so; workerd has one message for every loss. */
function neverSent(error: unknown): boolean {
  if (error instanceof NotSent) return true;
  const cause = error instanceof Error ? error.cause : null;
  return cause instanceof Error && "code" in cause && cause.code === "ECONNREFUSED";
}

function words(error: unknown): string {
  if (!(error instanceof Error)) return `The call failed with ${String(error)}.`;
  return error.cause instanceof Error && error.cause.message !== ""
    ? `${error.message}: ${error.cause.message}`
    : error.message;
}
