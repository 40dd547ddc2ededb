/**
 * Object RPC, and what it may do to a caller: what crosses is cloned, errors lose their class and getters, a reply may be lost after its
 * effect, and an object may be reset under its caller.
 */
import type { SandboxObjectApi } from "../../../src/sandbox/cloudflare/object-api.ts";
import type { Clock } from "../../../src/runtime/clock-ids-logger.ts";
import type { FaultyCall } from "../../contract/provider-harness.ts";

export type ObjectCall = keyof SandboxObjectApi;
export type ObjectFault = "hang" | "error" | "lost_reply" | "malformed" | { readonly lateByMs: number };

/** `remove` goes to the bucket, where no object is asked. */
export const objectCallsOf: { readonly [Call in Exclude<FaultyCall, "remove">]: readonly ObjectCall[] } = {
  launch: ["launch", "launchMember"],
  retire: ["retire", "retireContainer"],
  observe: ["look", "lookAtContainer"],
  stop: ["stopInstance"],
  save: ["save"],
  reclaim: ["reclaim"],
};

export class ObjectRpc {
  /** Every call cannot be delivered any more. */
  down = false;
  /** Until then objects are being reset, as in a deploy. */
  resettingUntil = 0;
  readonly #clock: Clock;
  readonly #object: (name: string) => SandboxObjectApi;
  readonly #faults: { readonly calls: readonly ObjectCall[]; readonly fault: ObjectFault }[] = [];

  constructor(clock: Clock, object: (name: string) => SandboxObjectApi) {
    this.#clock = clock;
    this.#object = object;
  }

  stub(name: string): SandboxObjectApi {
    return new Proxy({} as SandboxObjectApi, {
      get:
        (_, method) =>
        (...args: unknown[]) =>
          this.#call(name, method as ObjectCall, args),
    });
  }

  /** What the next of these calls meets. */
  disturb(calls: readonly ObjectCall[], fault: ObjectFault): void {
    this.#faults.push({ calls, fault });
  }

  async #call(name: string, call: ObjectCall, args: readonly unknown[]): Promise<unknown> {
    // A class instance or a function does not cross, and neither does a signal; a request of the platform does, as it is.
    const sent = call === "fetch" ? args : structuredClone(args);
    if (this.down) throw lostOverRpc("Network connection lost.", { retryable: true });
    if (this.#clock.now() < this.resettingUntil) {
      throw lostOverRpc("Durable Object reset because its code was updated.", { durableObjectReset: true });
    }
    const at = this.#faults.findIndex((each) => each.calls.includes(call));
    const fault = at < 0 ? null : (this.#faults.splice(at, 1)[0]?.fault ?? null);
    if (fault === "hang") return new Promise<never>(() => {});
    if (fault === "error") throw lostOverRpc("Network connection lost.", { retryable: true });
    if (fault === "malformed") return { answer: "absent" };
    if (typeof fault === "object" && fault !== null) await this.#clock.sleep(fault.lateByMs);
    const object = this.#object(name);
    const method = object[call] as (...args: unknown[]) => Promise<unknown>;
    const answer = await method.apply(object, [...sent]);
    if (fault === "lost_reply") throw lostOverRpc("Network connection lost.", { retryable: true });
    return cloned(answer);
  }
}

/** Own properties survive; the class does not. */
function lostOverRpc(message: string, own: object): Error {
  return Object.assign(new Error(message), { remote: true }, own);
}

/** A response crosses as it is, its body as a stream. */
function cloned(answer: unknown): unknown {
  if (answer instanceof Response) return answer;
  if (typeof answer === "object" && answer !== null && "value" in answer && answer.value instanceof Response)
    return answer;
  return structuredClone(answer);
}
