/**
 * A wrapper client that reports failed calls: a wrapper that does not answer a call about a job may be gone, and a renewal
 * finds that out at once instead of later. `renew` itself is not watched: the state machine judges a failed renewal.
 */
import type { CallBound, WrapperClient } from "../../sandbox/agent-sandbox.ts";
import type { ProviderResult } from "../../domain/state/failure.ts";

/** Failures after which the wrapper may be gone. Every other failure is an answer of a running wrapper. */
const mayBeGone: ReadonlySet<string> = new Set(["unavailable", "timed_out", "foreign_instance"]);

export function watchedWrapper(wrapper: WrapperClient, failed: () => void): WrapperClient {
  async function watched<T>(bound: CallBound, call: Promise<ProviderResult<T>>): Promise<ProviderResult<T>> {
    // The caller gives up at its bound, whether or not the call ever returns.
    bound.signal.addEventListener("abort", failed, { once: true });
    try {
      const result = await call;
      if (!result.ok && mayBeGone.has(result.failure.code)) failed();
      return result;
    } finally {
      bound.signal.removeEventListener("abort", failed);
    }
  }
  return {
    health: (bound) => watched(bound, wrapper.health(bound)),
    renew: (request, bound) => wrapper.renew(request, bound),
    prepare: (request, bound) => watched(bound, wrapper.prepare(request, bound)),
    startJob: (order, bound) => watched(bound, wrapper.startJob(order, bound)),
    job: (id, tail, bound, waitMs) => watched(bound, wrapper.job(id, tail, bound, waitMs)),
    output: (id, offset, bound) => watched(bound, wrapper.output(id, offset, bound)),
    endJob: (id, as, bound) => watched(bound, wrapper.endJob(id, as, bound)),
    writeStdin: (id, bytes, end, bound) => watched(bound, wrapper.writeStdin(id, bytes, end, bound)),
    drain: (bound) => watched(bound, wrapper.drain(bound)),
    cutTraffic: (bound) => watched(bound, wrapper.cutTraffic(bound)),
    admit: (bound) => watched(bound, wrapper.admit(bound)),
    freeze: (snapshotId, forMs, bound) => watched(bound, wrapper.freeze(snapshotId, forMs, bound)),
    thaw: (snapshotId, bound) => watched(bound, wrapper.thaw(snapshotId, bound)),
  };
}
