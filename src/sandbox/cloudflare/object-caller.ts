/**
 * One call to the Sandbox object of a container: bounded by the caller's time, its failures mapped, its answer parsed
 * before it is believed.
 */
import type { ProviderFailure, ProviderResult } from "../../domain/state/failure.ts";
import type { ContainerId, InstanceId, SandboxId } from "../../domain/state/ids.ts";
import type { Observation } from "../../domain/state/observation.ts";
import { objectAnswer, objectLook } from "../../protocol/sandbox/sandbox-object.ts";
import type { ProviderName } from "../../domain/state/provider-names.ts";
import type { Clock } from "../../runtime/clock-ids-logger.ts";
import type { CallBound, ContainerTarget, Target } from "../agent-sandbox.ts";
import { givenUp } from "../http-call.ts";
import { shaped, type Shape } from "../http-reply.ts";
import { limited } from "./platform/limited-call.ts";
import type { ObjectAim, ObjectLook, SandboxObjectApi } from "./object-api.ts";

/** The object gets this much less time than the caller, so that its answer is back in time; never more than a tenth. */
const returnMs = 500;

export function aimOf({ sessionId, sandboxId, container, generation, instanceId }: ObjectAim): ObjectAim {
  const aim = { sessionId, sandboxId, generation, instanceId };
  return container === undefined ? aim : { ...aim, container };
}

/** Which container's object is asked. */
export interface Addressed {
  readonly sandboxId: SandboxId;
  readonly container?: ContainerId;
  /** The host that the lease recorded; absent or null before the first answer. */
  readonly host?: string | null;
}

/** Answers a new stub for each call: a stub that failed once stays broken. */
export type ObjectOf = (name: string, host: string | null) => SandboxObjectApi;

export function objectNameOf({ sandboxId, container }: Addressed): string {
  return container ?? sandboxId;
}

export class ObjectCaller {
  readonly #object: ObjectOf;
  readonly #clock: Clock;
  readonly #provider: ProviderName;

  constructor(object: ObjectOf, clock: Clock, provider: ProviderName) {
    this.#object = object;
    this.#clock = clock;
    this.#provider = provider;
  }

  async ask<T>(
    target: Addressed,
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

  look(target: Target, beganAt: number, bound: CallBound): Promise<Observation> {
    return this.#look(target, target, beganAt, bound, (object, ms) => object.look(aimOf(target), ms));
  }

  lookAtContainer({ id, generation, host }: ContainerTarget, beganAt: number, bound: CallBound): Promise<Observation> {
    // The observation of a container has the container's id as `sandboxId` (Containers.observe).
    const about = { sandboxId: id as string as SandboxId, generation, host };
    return this.#look(atContainer(id, host), about, beganAt, bound, (object, ms) => object.lookAtContainer(ms));
  }

  async #look(
    whom: Addressed,
    { sandboxId, generation, host: expected }: Pick<Target, "sandboxId" | "generation" | "host">,
    beganAt: number,
    bound: CallBound,
    call: (object: SandboxObjectApi, timeoutMs: number) => Promise<ObjectLook>,
  ): Promise<Observation> {
    const about = { provider: this.#provider, sandboxId, generation, beganAt } as const;
    const sent = await this.#send(whom, bound, false, call);
    const seen = sent.ok ? shaped(objectLook, sent.value, "none") : sent;
    if (!seen.ok) {
      const detail = `${seen.failure.code}: ${seen.failure.message}`;
      return { ...about, answer: "unknown", host: null, boot: null, residue: [], detail };
    }
    const { host, boot, answer, detail, containment } = seen.value;
    const residue = seen.value.residue.map((one) => ({ ...one, instanceId: one.instanceId as InstanceId | null }));
    const told = { ...about, host, boot, residue };
    if (expected !== null && expected !== host) {
      return {
        ...told,
        answer: "unknown",
        detail: `Object ${host} answered, and the lease is on object ${expected}: only that one can prove anything about it.`,
      };
    }
    // The answer and the list must agree.
    if ((answer === "present") !== residue.length > 0) {
      return {
        ...told,
        answer: "unknown",
        detail: `The object says ${answer} and shows ${residue.length} processes, which do not fit together. ${detail}`,
      };
    }
    return { ...told, answer, detail, ...(containment === undefined ? {} : { containment }) };
  }

  async #send<T>(
    target: Addressed,
    bound: CallBound,
    changes: boolean,
    call: (object: SandboxObjectApi, timeoutMs: number) => Promise<T>,
  ): Promise<ProviderResult<T>> {
    if (bound.signal.aborted) return givenUp;
    const { timeoutMs } = bound;
    const forObject = timeoutMs - Math.min(returnMs, timeoutMs / 10);
    return limited(this.#clock, timeoutMs, changes, () =>
      call(this.#object(objectNameOf(target), target.host ?? null), forObject),
    );
  }
}

export function atContainer(id: ContainerId, host: string | null): Addressed {
  return { sandboxId: id as string as SandboxId, container: id, host };
}

/** Drops the member that zod leaves as undefined. */
function toldFailure(
  told: Omit<ProviderFailure, "retryAfterMs"> & { retryAfterMs?: number | undefined },
): ProviderFailure {
  const { retryAfterMs, ...failure } = told;
  return retryAfterMs === undefined ? failure : { ...failure, retryAfterMs };
}
