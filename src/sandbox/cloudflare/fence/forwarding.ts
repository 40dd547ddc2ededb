/**
 * Requests to the wrapper, straight to its port: they neither start the container nor count as activity. Only an
 * accepted renewal keeps the container awake, a shared one with all its members. Accepted means that the instance
 * proved itself for the nonce of that very request, so no impostor can prolong anything. A retired generation is not
 * renewed any more.
 */
import { failed, succeeded, type ProviderResult } from "../../../domain/state/failure.ts";
import type { SandboxId } from "../../../domain/state/ids.ts";
import { trafficHeaders, type TrafficRefusal, trafficRefusals } from "../../../protocol/sandbox/traffic.ts";
import { wrapperHeaders } from "../../../protocol/sandbox/wrapper.ts";
import type { FenceDependencies } from "./fence-dependencies.ts";
import { layoutOf } from "./sandbox-layout.ts";
import { limited } from "../platform/limited-call.ts";
import type { WrapperCall } from "../object-api.ts";

/** The headers of a pass that this object reads. The agent reads the others. */
const forObject = [trafficHeaders.sandbox, trafficHeaders.instance];

/** A refusal of traffic, in the form that the Worker's gate reads. */
export function refusal(code: TrafficRefusal, message: string): Response {
  const headers = { [trafficHeaders.refused]: code };
  return Response.json({ code, message }, { status: trafficRefusals[code], headers });
}

export class Forwarding {
  readonly #dependencies: FenceDependencies;

  constructor(dependencies: FenceDependencies) {
    this.#dependencies = dependencies;
  }

  async call(call: WrapperCall, timeoutMs: number): Promise<ProviderResult<Response>> {
    const { platform, records, clock, terms } = this.#dependencies;
    const { armed, retiredThrough } = records.sandbox(call.aim.sandboxId);
    const renewal = call.method === "POST" && call.path === "/lease";
    if (!platform.running())
      return failed("unavailable", "The sandbox's container does not run, so nobody is there to answer.", "none");
    // An older fencing token still goes through: the wrapper refuses it, and proves who it is.
    const layout = layoutOf(call.aim, this.#dependencies);
    if (armed?.instanceId !== call.aim.instanceId || layout === null) {
      const { instanceId } = call.aim;
      return failed(
        "unavailable",
        `Instance ${instanceId} is not what runs in the container, so it was not asked.`,
        "none",
      );
    }
    if (renewal && retiredThrough !== null && armed.generation <= retiredThrough) {
      return failed(
        "refused_retired",
        "The sandbox is retired, so its lease is not renewed any more: it is to end.",
        "none",
      );
    }
    const changes = call.method !== "GET";
    const answered = await limited(clock, timeoutMs, changes, (signal) =>
      platform.connect(layout.wrapperPort, call.path, {
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
      const until = clock.now() + terms.sleepAfterMs;
      records.stayAwakeUntil(until);
      platform.renewActivity(until);
    }
    return succeeded(response);
  }

  /** Traffic with a pass. A generation that is retired or not the armed one is refused before anything is sent. */
  async traffic(request: Request): Promise<Response> {
    const { platform, records } = this.#dependencies;
    const { headers, method, body } = request;
    const sandboxId = (headers.get(trafficHeaders.sandbox) ?? "") as SandboxId;
    const generation = Number(headers.get(trafficHeaders.generation));
    const { armed, retiredThrough } = records.sandbox(sandboxId);
    if (armed === null || armed.generation !== generation || armed.instanceId !== headers.get(trafficHeaders.instance))
      return refusal(
        "retired",
        `Generation ${generation} of the sandbox is not what runs: it was replaced, or has ended.`,
      );
    if (retiredThrough !== null && generation <= retiredThrough)
      return refusal("retired", `Generation ${generation} of the sandbox is retired: it is being ended or replaced.`);
    const layout = layoutOf({ sandboxId }, this.#dependencies);
    if (layout === null || !platform.running())
      return refusal("unreachable", "The sandbox's container does not run, so nobody is there to answer.");
    const sent = new Headers(headers);
    for (const name of forObject) sent.delete(name);
    const { pathname, search } = new URL(request.url);
    return platform.connect(layout.wrapperPort, `${pathname}${search}`, {
      method,
      headers: sent,
      body,
      redirect: "manual",
      signal: request.signal,
    });
  }
}
