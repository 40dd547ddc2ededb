/**
 * Requests to the wrapper, straight to its port: they neither start the container nor count as activity. An accepted renewal, and
 * nothing else of ours, keeps the container awake (CLK-12), a shared one with all its members: accepted means that the instance proved itself for the nonce of
 * that very request, so no impostor can prolong anything. A retired generation is not renewed any more (LEA-15).
 */
import { failed, succeeded, type ProviderResult } from "../../domain/failure.ts";
import { wrapperHeaders } from "../../protocol/wrapper.ts";
import type { FenceParts } from "./fence-parts.ts";
import { homeOf } from "./home.ts";
import { limited } from "./limited-call.ts";
import type { WrapperCall } from "./object-api.ts";

export class Forwarding {
  readonly #parts: FenceParts;

  constructor(parts: FenceParts) {
    this.#parts = parts;
  }

  async call(call: WrapperCall, timeoutMs: number): Promise<ProviderResult<Response>> {
    const { platform, records, clock, terms } = this.#parts;
    const { armed, retiredThrough } = records.place(call.aim.sandboxId);
    const renewal = call.method === "POST" && call.path === "/lease";
    if (!platform.running()) return failed("unavailable", "The container does not run.", "none");
    // An older fencing token still goes through: it is the wrapper that refuses it, and proves who it is.
    const home = homeOf(call.aim, this.#parts);
    if (armed?.instanceId !== call.aim.instanceId || home === null) {
      return failed("unavailable", `The container does not serve instance ${call.aim.instanceId}.`, "none");
    }
    if (renewal && retiredThrough !== null && armed.generation <= retiredThrough) {
      return failed("refused_retired", "A retired generation is not renewed.", "none");
    }
    const changes = call.method !== "GET";
    const answered = await limited(clock, timeoutMs, changes, (signal) =>
      platform.connect(home.wrapperPort, call.path, {
        method: call.method,
        headers: call.headers.map(([name, value]) => [name, value]),
        ...(call.body === null ? {} : { body: call.body }),
        redirect: "manual",
        signal,
      }),
    );
    if (!answered.ok) return answered;
    const response = answered.value;
    if (renewal && response.status === 200 && response.headers.get(wrapperHeaders.proof) === call.proof) {
      records.stayAwakeUntil(clock.now() + terms.sleepAfterMs);
      platform.renewActivity();
    }
    return succeeded(response);
  }
}
