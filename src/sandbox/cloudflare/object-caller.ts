/** One call to the Sandbox object of a sandbox id: inside the caller's bound, its failures mapped, its answer parsed before it is believed. */
import { failed, type ProviderFailure, type ProviderResult } from "../../domain/failure.ts";
import type { InstanceId } from "../../domain/ids.ts";
import type { Observation } from "../../domain/observation.ts";
import { objectAnswer, objectLook } from "../../protocol/sandbox-object.ts";
import type { Clock } from "../../session/ambient.ts";
import type { CallBound, Target } from "../agent-sandbox.ts";
import { shaped, type Shape } from "../http-reply.ts";
import { limited } from "./limited-call.ts";
import type { ObjectAim, SandboxObjectApi } from "./object-api.ts";

/** What the object gets less than the caller, so that what it says is back in time; never more than a tenth. */
const returnMs = 500;

export function aimOf({ sessionId, sandboxId, generation, instanceId }: ObjectAim): ObjectAim {
  return { sessionId, sandboxId, generation, instanceId };
}

export class ObjectCaller {
  readonly #object: (sandboxId: string) => SandboxObjectApi;
  readonly #clock: Clock;

  constructor(object: (sandboxId: string) => SandboxObjectApi, clock: Clock) {
    this.#object = object;
    this.#clock = clock;
  }

  async ask<T>(
    target: Target,
    shape: Shape<T>,
    bound: CallBound,
    changes: boolean,
    call: (object: SandboxObjectApi, timeoutMs: number) => Promise<ProviderResult<unknown>>,
  ): Promise<ProviderResult<T>> {
    const sent = await this.#send(target, bound, changes, call);
    if (!sent.ok) return sent;
    const effect = changes ? "unknown" : "none";
    const answer = shaped(objectAnswer, sent.value, effect);
    if (!answer.ok) return answer;
    if (!answer.value.ok) return { ok: false, failure: toldFailure(answer.value.failure) };
    return shaped(shape, answer.value.value, effect);
  }

  async look(target: Target, beganAt: number, bound: CallBound): Promise<Observation> {
    const about = {
      provider: "cloudflare",
      sandboxId: target.sandboxId,
      generation: target.generation,
      beganAt,
    } as const;
    const sent = await this.#send(target, bound, false, (object, ms) => object.look(aimOf(target), ms));
    const seen = sent.ok ? shaped(objectLook, sent.value, "none") : sent;
    if (!seen.ok) {
      const detail = `${seen.failure.code}: ${seen.failure.message}`;
      return { ...about, answer: "unknown", host: null, boot: null, residue: [], detail };
    }
    const { host, boot, answer, detail } = seen.value;
    const residue = seen.value.residue.map((one) => ({ ...one, instanceId: one.instanceId as InstanceId | null }));
    const told = { ...about, host, boot, residue };
    if (target.host !== null && target.host !== host) {
      return { ...told, answer: "unknown", detail: `Object ${host} answered; the lease is on ${target.host}.` };
    }
    // It must not contradict itself.
    if ((answer === "present") !== residue.length > 0) {
      return {
        ...told,
        answer: "unknown",
        detail: `It says ${answer} and shows ${residue.length} processes. ${detail}`,
      };
    }
    return { ...told, answer, detail };
  }

  async #send<T>(
    target: Target,
    bound: CallBound,
    changes: boolean,
    call: (object: SandboxObjectApi, timeoutMs: number) => Promise<T>,
  ): Promise<ProviderResult<T>> {
    if (bound.signal.aborted) return failed("timed_out", "The call was given up before it was sent.", "none");
    const { timeoutMs } = bound;
    const forObject = timeoutMs - Math.min(returnMs, timeoutMs / 10);
    return limited(this.#clock, timeoutMs, changes, () => call(this.#object(target.sandboxId), forObject));
  }
}

/** Without the member that zod leaves as undefined. */
function toldFailure(
  told: Omit<ProviderFailure, "retryAfterMs"> & { retryAfterMs?: number | undefined },
): ProviderFailure {
  const { retryAfterMs, ...failure } = told;
  return retryAfterMs === undefined ? failure : { ...failure, retryAfterMs };
}
