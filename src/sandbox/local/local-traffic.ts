/**
 * Traffic of the `local` provider goes to the host, which knows what is armed and what is retired, and passes it on to the wrapper.
 * The host's token is for the host alone: a request carries it in a header of its own, because `authorization` may be the sandbox's.
 */
import { failed, type ProviderResult } from "../../domain/state/failure.ts";
import { controlPlaneHeader, hostTrafficToken } from "../../protocol/sandbox/host.ts";
import { type Pass, passHeaders, trafficPrefix } from "../../protocol/sandbox/traffic.ts";
import type { CallBound, Traffic, TrafficRequest } from "../agent-sandbox.ts";
import { httpCall } from "../http-call.ts";
import type { HostAddress } from "./host-client.ts";

export function localTraffic(host: HostAddress): Traffic {
  return { send: (pass, nonce, request, bound) => send(host, pass, nonce, request, bound) };
}

async function send(
  host: HostAddress,
  pass: Pass,
  nonce: string,
  request: TrafficRequest,
  bound: CallBound,
): Promise<ProviderResult<Response>> {
  const { fetch, clock } = host;
  const headers = new Headers(request.headers);
  for (const [name, value] of Object.entries(passHeaders(pass, nonce))) headers.set(name, value);
  headers.set(hostTrafficToken, host.token);
  const answer = await httpCall(clock, bound, true, async (signal) => {
    const controlPlane = await host.controlPlane();
    if (controlPlane !== null) headers.set(controlPlaneHeader, controlPlane);
    return fetch(`${host.url}${trafficPrefix}${request.path}`, {
      method: request.method,
      headers,
      body: request.body,
      redirect: "manual",
      signal,
    });
  });
  if (!answer.ok) return answer;
  // A host of an earlier release knows no traffic: it asks for its bearer token.
  if (answer.value.status === 401 && answer.value.headers.get("mooring-refused") === null) {
    await answer.value.body?.cancel();
    return failed("unsupported", "The local host does not serve traffic: it is older than this control plane.", "none");
  }
  return answer;
}
