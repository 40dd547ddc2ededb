/** One call to another object, of which nothing is known: it may fail, or never answer. */
import { bounded, type CallBound, timedOut } from "./bounded-call.ts";
import type { Clock } from "../runtime/clock-ids-logger.ts";

export type CallOutcome<T> =
  | { readonly type: "answered"; readonly value: T }
  | { readonly type: "failed"; readonly message: string }
  /** No answer within the bound. It may still come and have its effect; nobody listens any more. */
  | { readonly type: "hung" };

/** Never rejects. Object RPC cannot be cancelled, so there the bound ends the waiting, not the call. A provider takes the bound and gives up. */
export async function outcomeWithin<T>(
  clock: Clock,
  boundMs: number,
  call: (bound: CallBound) => Promise<T>,
): Promise<CallOutcome<T>> {
  try {
    const answer = await bounded(clock, boundMs, call);
    return answer === timedOut ? { type: "hung" } : { type: "answered", value: answer };
  } catch (error) {
    return { type: "failed", message: error instanceof Error ? error.message : String(error) };
  }
}
