/**
 * One call to the memory world under one fault. The effect is a synchronous change of the world, so it either happened or
 * did not, and a late one lands by the world's own clock: whether the caller gave up, or died, makes no difference to it.
 */
import { failed, type ProviderResult } from "../../domain/failure.ts";
import type { CallBound } from "../agent-sandbox.ts";
import type { Call, Fault, FaultPlan, Op } from "./fault-plan.ts";
import type { MemoryWorld } from "./memory-world.ts";

/** Time that passes for a caller. Resolves after `ms` or at once when aborted; never rejects. */
export interface Sleeper {
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export interface Surroundings {
  readonly world: MemoryWorld;
  readonly clock: Sleeper;
  readonly faults: FaultPlan;
}

export interface CallBody<Effect, Value> {
  /** Runs when the request arrives; twice when it was duplicated. The first run's result is the one replied. */
  readonly effect: (fault: Fault) => Effect;
  /** From the effect to the answer; may wait. */
  readonly reply: (effect: Effect, signal: AbortSignal) => ProviderResult<Value> | Promise<ProviderResult<Value>>;
}

export async function faultyCall<Effect, Value>(
  { world, clock, faults }: Surroundings,
  call: Omit<Call, "now">,
  bound: CallBound,
  body: CallBody<Effect, Value>,
): Promise<ProviderResult<Value>> {
  const timedOut = failed("timed_out", "the caller gave up", reads.has(call.op) ? "none" : "unknown");
  if (bound.signal.aborted) return failed("timed_out", "the caller gave up before it was sent", "none");
  const fault = faults.decide({ ...call, now: world.advance() });
  switch (fault.type) {
    case "fail_before":
      return failed("unavailable", "the request got lost", fault.effect);
    case "foreign_instance":
      return failed("foreign_instance", "another instance answered", "none");
    case "hang":
      if (fault.deaf) await neverSettles();
      await abortOf(bound.signal);
      return timedOut;
    case "late_effect":
      world.schedule(fault.ms, () => void body.effect(fault));
      if (fault.reply === "error") return failed("unavailable", "the connection was cut", timedOut.failure.effect);
      await abortOf(bound.signal);
      return timedOut;
    case "lost_reply":
      body.effect(fault);
      return failed("unavailable", "the reply got lost", timedOut.failure.effect);
    case "slow": {
      const effect = body.effect(fault);
      await clock.sleep(fault.ms, bound.signal);
      return answer(effect);
    }
    case "duplicate": {
      const effect = body.effect(fault);
      world.schedule(fault.afterMs, () => void body.effect(fault));
      return answer(effect);
    }
    case "disappear":
      if (call.sandboxId !== null) world.mischief.disappear(call.sandboxId);
      return answer(body.effect(fault));
    case "kill_wrapper":
      if (call.sandboxId !== null) world.mischief.killWrappers(call.sandboxId);
      return answer(body.effect(fault));
    case "freeze":
      if (call.sandboxId !== null) world.mischief.freeze(call.sandboxId, fault.what, fault.ms);
      return answer(body.effect(fault));
    case "host_restart":
      world.mischief.restartHost(world.mischief.hostOf(call.sandboxId), fault.scanMs);
      return answer(body.effect(fault));
    case "host_reboot":
      world.mischief.rebootHost(world.mischief.hostOf(call.sandboxId), fault.scanMs);
      return answer(body.effect(fault));
    case "none":
    case "stale_read":
      return answer(body.effect(fault));
  }

  async function answer(effect: Effect): Promise<ProviderResult<Value>> {
    if (bound.signal.aborted) return timedOut;
    const reply = await body.reply(effect, bound.signal);
    return bound.signal.aborted ? timedOut : reply;
  }
}

/** Whatever became of them, nothing happened. */
const reads: ReadonlySet<Op> = new Set([
  "observe",
  "enumerate",
  "readLogs",
  "readResources",
  "health",
  "job",
  "output",
]);

async function abortOf(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
}

function neverSettles(): Promise<never> {
  return new Promise(() => {});
}
