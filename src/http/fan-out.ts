/**
 * One question to many objects at once, for what goes over every tenant: all answers, or none. A shard that is silent, or
 * still building its rows, makes the whole a 503: a sum or a page without it would be wrong and look right.
 */
import { bounded, timedOut } from "../calls/bounded-call.ts";
import { inLanes } from "../calls/in-lanes.ts";
import type { Reply } from "../protocol/problem.ts";
import { briefly } from "./backend.ts";
import { refused } from "./answer/problem.ts";
import type { RequestContext } from "./route.ts";

/** A healthy answer takes some ms, a shard that builds its rows some seconds. */
const askMs = 10_000;
/** A Worker may have six connections open. */
const atOnce = 6;

/** In the order of `targets`. Reads only: each is sent once more when it fails. */
export async function askAll<A, T>(
  context: RequestContext,
  targets: readonly A[],
  what: (target: A) => string,
  call: (target: A) => Promise<T>,
): Promise<Reply<readonly T[]>> {
  const answers: T[] = [];
  const silent: string[] = [];
  await inLanes(targets, atOnce, async (target, index) => {
    // One is enough to refuse the whole.
    if (silent.length > 0) return;
    try {
      answers[index] = await inTime(context, () => call(target)).catch(() => inTime(context, () => call(target)));
    } catch (error) {
      silent.push(what(target));
      context.log.warn("fan-out met silence", { target: what(target), error: briefly(error) });
    }
  });
  if (silent.length === 0) return { ok: true, value: answers };
  return refused({
    code: "unavailable",
    detail: `No answer from ${silent.join(", ")}, so there is no answer at all: a part of the fleet would be missing from it. Try again in a moment.`,
  });
}

async function inTime<T>(context: RequestContext, call: () => Promise<T>): Promise<T> {
  const answer = await bounded(context.clock, askMs, call);
  if (answer === timedOut) throw new Error(`one of the objects asked did not answer within ${askMs} ms`);
  return answer;
}
