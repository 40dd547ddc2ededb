/**
 * One call to the local host: bounded, authenticated, parsed, and every failure told with its truthful effect. The
 * host refuses before it acts, so a refusal by code has no effect, except `internal`, where something broke midway.
 */
import { failed, type ProviderFailureCode, type ProviderResult } from "../../domain/failure.ts";
import { hostError, type HostError } from "../../protocol/host.ts";
import type { CallBound } from "../agent-sandbox.ts";
import type { Clock, Ids } from "../../session/ambient.ts";
import { boundedCall } from "../bounded-call.ts";
import { jsonOf, shaped, type Shape } from "../http-reply.ts";

export interface HostAddress {
  /** e.g. `http://127.0.0.1:8790`, without a slash at its end. */
  readonly url: string;
  readonly token: string;
  readonly fetch: typeof fetch;
  readonly clock: Clock;
  readonly ids: Ids;
}

export interface HostAsk {
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
}

const failureOf: { readonly [Code in HostError["code"]]: { code: ProviderFailureCode; effect: "none" | "unknown" } } = {
  unauthorized: { code: "invalid", effect: "none" },
  scanning: { code: "unavailable", effect: "none" },
  refused_retired: { code: "refused_retired", effect: "none" },
  refused_late: { code: "refused_late", effect: "none" },
  occupied: { code: "foreign_instance", effect: "none" },
  not_found: { code: "not_found", effect: "none" },
  not_empty: { code: "unavailable", effect: "none" },
  // It answers so only after it has verified that nothing is left.
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
  ask: HostAsk,
  shape: Shape<T>,
  bound: CallBound,
): Promise<ProviderResult<T>> {
  const changes = ask.method !== "GET";
  const lost = changes ? "unknown" : "none";
  // By itself: workerd's own fetch refuses to be called as a method of something else.
  const { fetch } = host;
  const answer = await boundedCall(host.clock, bound, changes, async (signal) => {
    const response = await fetch(`${host.url}${ask.path}`, {
      method: ask.method,
      headers: { authorization: `Bearer ${host.token}`, "content-type": "application/json" },
      ...(ask.body === undefined ? {} : { body: JSON.stringify(ask.body) }),
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
    return failed(status >= 500 ? "unavailable" : "malformed", `The host answered ${status}.`, lost);
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
