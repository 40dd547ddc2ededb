/**
 * One call to the memory world under one fault. The effect is a synchronous change of the world, so it either happened or
 * did not, and a late one lands by the world's own clock: whether the caller gave up, or died, makes no difference to it.
 */
import { failed, type ProviderResult } from "../../src/domain/state/failure.ts";
import type { SandboxId } from "../../src/domain/state/ids.ts";
import type { CallBound } from "../../src/sandbox/agent-sandbox.ts";
import type { Call, Fault, FaultPlan, Op } from "./fault-plan.ts";
import type { MemoryWorld } from "./memory-world.ts";
import { waitFor } from "./wait-for.ts";

/** Time that passes for a caller. Resolves after `ms` or at once when aborted; never rejects. */
export interface Sleeper {
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export interface FaultyCallDependencies {
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
  at: FaultyCallDependencies,
  call: Omit<Call, "now">,
  bound: CallBound,
  body: CallBody<Effect, Value>,
): Promise<ProviderResult<Value>> {
  if (bound.signal.aborted) return failed("timed_out", "the caller gave up before it was sent", "none");
  const patience = new Patience(at.clock, bound);
  try {
    return await underFault(at, call, patience.signal, body);
  } finally {
    patience.end();
  }
}

async function underFault<Effect, Value>(
  { world, clock, faults }: FaultyCallDependencies,
  call: Omit<Call, "now">,
  signal: AbortSignal,
  body: CallBody<Effect, Value>,
): Promise<ProviderResult<Value>> {
  const doubt = reads.has(call.op) ? "none" : "unknown";
  const timedOut = failed("timed_out", "no answer within the bound", doubt);
  const fault = faults.decide({ ...call, now: world.advance() });
  befall(world, call.sandboxId, fault);
  switch (fault.type) {
    case "fail_before":
      return failed("unavailable", "the request got lost", fault.effect);
    case "foreign_instance":
      return failed("foreign_instance", "another instance answered", "none");
    case "hang":
      await (fault.deaf ? neverSettles() : abortOf(signal));
      return timedOut;
    case "late_effect": {
      let landed: { readonly effect: Effect } | null = null;
      world.schedule(fault.ms, () => (landed = { effect: body.effect(fault) }));
      if (fault.reply === "error") return failed("unavailable", "the connection was cut", doubt);
      const heard = await waitFor({ world, clock }, () => fault.reply === "result" && landed !== null, signal);
      return heard && landed !== null ? answer((landed as { readonly effect: Effect }).effect) : timedOut;
    }
    case "lost_reply":
      body.effect(fault);
      return failed("unavailable", "the reply got lost", doubt);
    case "slow": {
      const effect = body.effect(fault);
      await clock.sleep(fault.ms, signal);
      return answer(effect);
    }
    case "duplicate": {
      const effect = body.effect(fault);
      world.schedule(fault.afterMs, () => void body.effect(fault));
      return answer(effect);
    }
    case "none":
    case "stale_read":
    case "disappear":
    case "kill_wrapper":
    case "freeze":
    case "host_restart":
    case "host_reboot":
      return answer(body.effect(fault));
  }

  async function answer(effect: Effect): Promise<ProviderResult<Value>> {
    if (signal.aborted) return timedOut;
    const reply = await body.reply(effect, signal);
    return signal.aborted ? timedOut : reply;
  }
}

/** What happens to the world itself, just before the call arrives. */
function befall(world: MemoryWorld, sandboxId: SandboxId | null, fault: Fault): void {
  const { mischief } = world;
  if (fault.type === "host_restart") mischief.restartHost(mischief.hostOf(sandboxId), fault.scanMs);
  if (fault.type === "host_reboot") mischief.rebootHost(mischief.hostOf(sandboxId), fault.scanMs);
  if (sandboxId === null) return;
  if (fault.type === "disappear") mischief.disappear(sandboxId);
  if (fault.type === "kill_wrapper") mischief.killWrappers(sandboxId);
  if (fault.type === "freeze") mischief.freeze(sandboxId, fault.what, fault.ms);
}

/** Ends at the caller's abort or at the bound, whichever comes first: the port asks a provider to keep both. */
class Patience {
  readonly #over = new AbortController();
  readonly #ended = new AbortController();
  readonly #callers: AbortSignal;
  readonly #giveUp = () => this.#over.abort(over);

  constructor(clock: Sleeper, { timeoutMs, signal }: CallBound) {
    this.#callers = signal;
    signal.addEventListener("abort", this.#giveUp, { once: true });
    void clock.sleep(timeoutMs, this.#ended.signal).then(() => {
      if (!this.#ended.signal.aborted) this.#giveUp();
    });
  }

  get signal(): AbortSignal {
    return this.#over.signal;
  }

  end(): void {
    this.#ended.abort(over);
    this.#callers.removeEventListener("abort", this.#giveUp);
  }
}

/** A reason of our own: the DOMException that is made without one costs more than the rest of a call. */
const over = Symbol("over");

/** Whatever became of them, nothing happened. */
const reads: ReadonlySet<Op> = new Set([
  "observe",
  "enumerate",
  "readLogs",
  "readResources",
  "inspectCapacity",
  "observeContainer",
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
