/**
 * One call to the local host: bounded, authenticated and parsed. Each failure says whether the call may have had an effect.
 * The host refuses before it acts, so a refusal has no effect; except `internal`, where something broke midway.
 */
import { failed, type ProviderFailureCode, type ProviderResult } from "../../domain/state/failure.ts";
import { controlPlaneHeader, hostError, type HostError } from "../../protocol/sandbox/host.ts";
import type { CallBound } from "../agent-sandbox.ts";
import type { Clock, Ids } from "../../runtime/clock-ids-logger.ts";
import { httpCall } from "../http-call.ts";
import { jsonOf, shaped, type Shape } from "../http-reply.ts";

export interface HostAddress {
  /** e.g. `http://127.0.0.1:8790`, without a slash at its end. */
  readonly url: string;
  readonly token: string;
  readonly fetch: typeof fetch;
  readonly clock: Clock;
  readonly ids: Ids;
  /** The id of the control plane that calls; null: it could not be read now. Never rejects. */
  readonly controlPlane: () => Promise<string | null>;
}

export interface HostCall {
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
}

const failureOf: { readonly [Code in HostError["code"]]: { code: ProviderFailureCode; effect: "none" | "unknown" } } = {
  unauthorized: { code: "invalid", effect: "none" },
  foreign_control_plane: { code: "invalid", effect: "none" },
  scanning: { code: "unavailable", effect: "none" },
  state_unusable: { code: "unavailable", effect: "none" },
  refused_retired: { code: "refused_retired", effect: "none" },
  refused_late: { code: "refused_late", effect: "none" },
  occupied: { code: "foreign_instance", effect: "none" },
  not_found: { code: "not_found", effect: "none" },
  damaged: { code: "damaged", effect: "none" },
  not_empty: { code: "unavailable", effect: "none" },
  // The host answers this only after it has proven that the launch left no process.
  launch_failed: { code: "unavailable", effect: "none" },
  save_failed: { code: "unavailable", effect: "none" },
  insufficient_space: { code: "insufficient_space", effect: "none" },
  space_unmeasurable: { code: "space_unmeasurable", effect: "none" },
  filesystem_unusable: { code: "filesystem_unusable", effect: "none" },
  invalid: { code: "invalid", effect: "none" },
  internal: { code: "unavailable", effect: "unknown" },
};

export async function askHost<T>(
  host: HostAddress,
  call: HostCall,
  shape: Shape<T>,
  bound: CallBound,
): Promise<ProviderResult<T>> {
  const changes = call.method !== "GET";
  const lost = changes ? "unknown" : "none";
  // Taken out of the object: workerd's fetch refuses to be called as a method.
  const { fetch } = host;
  const answer = await httpCall(host.clock, bound, changes, async (signal) => {
    const controlPlane = await host.controlPlane();
    const response = await fetch(`${host.url}${call.path}`, {
      method: call.method,
      headers: {
        authorization: `Bearer ${host.token}`,
        "content-type": "application/json",
        ...(controlPlane === null ? {} : { [controlPlaneHeader]: controlPlane }),
      },
      ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
      redirect: "manual",
      signal,
    });
    return { status: response.status, retryAfter: response.headers.get("retry-after"), text: await response.text() };
  });
  if (!answer.ok) return answer;
  const { status, retryAfter, text } = answer.value;
  const body = jsonOf(text);
  if (status === 200) return shaped(shape, body, lost);
  const refusal = hostError.safeParse(body);
  if (!refusal.success)
    return failed(
      status >= 500 ? "unavailable" : "malformed",
      `The sandbox host answered with status ${status} and no error that this version knows.`,
      lost,
    );
  const { code, effect } = failureOf[refusal.data.code];
  return failed(
    code,
    `${refusal.data.code}: ${refusal.data.message}`,
    changes ? effect : "none",
    retryAfterMs(retryAfter),
  );
}

function retryAfterMs(header: string | null): number | undefined {
  return header !== null && /^\d{1,6}$/.test(header) ? Number(header) * 1_000 : undefined;
}
