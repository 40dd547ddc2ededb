/** Addresses with an end for a port of a sandbox. What they lead to is served by ../sandbox-ports/port-front.ts. */
import { trafficContracts } from "../../../protocol/contracts/sandbox/traffic-contracts.ts";
import { signPortLabel, signPortToken } from "../../../protocol/port-access.ts";
import { rfc3339 } from "../../../protocol/primitives.ts";
import type { Problem } from "../../../protocol/problem.ts";
import { type SharedPort } from "../../../protocol/resources/sandbox/ports.ts";
import type { SessionId } from "../../../domain/state/ids.ts";
import { validationFailed } from "../../request/validation.ts";
import { tokenQuery } from "../../sandbox-ports/port-headers.ts";
import { inSandbox } from "./in-sandbox.ts";
import { refused } from "../../answer/problem.ts";
import { askSession, json, type Route, type TenantContext } from "../../route.ts";
import { type BodyOf, type Made, serve, serveBody } from "../../serve.ts";

async function share(context: TenantContext, body: BodyOf<typeof trafficContracts.sharePort>): Promise<Made> {
  const { port, ttl_seconds: seconds, public: isPublic } = body;
  const domain = context.config.trafficDomain;
  if (isPublic && domain === null) {
    const refusal = validationFailed([
      {
        pointer: "/public",
        detail: "This Mooring has no TRAFFIC_DOMAIN, so a port has no host name that could be public.",
      },
    ]);
    return refused(refusal.ok ? gone : refusal.problem);
  }
  const found = await askSession(context, "read", (session) => session.get(context.caller));
  if (!found.ok) return found;
  const { id, status } = found.value.body;
  if (status === "terminating" || status === "terminated" || status === "failed") return refused(gone);
  const secret = context.config.secrets.keySigning?.[0];
  const { keyId } = context.caller;
  if (secret === undefined || keyId === undefined) return refused(noKey);
  // Whole seconds, rounded up: never shorter than asked.
  const endsAt = Math.ceil(context.clock.now() / 1_000 + seconds) * 1_000;
  const address = { session: id as SessionId, port, endsAt };
  const token = isPublic ? null : await signPortToken({ ...address, tenant: context.caller.tenant, keyId }, secret);
  const url = new URL(context.request.url);
  const label = isPublic ? await signPortLabel(address, secret) : `${port}-${id}`;
  const origin =
    domain === null ? url.origin : `${url.protocol}//${label}.${domain}${url.port === "" ? "" : `:${url.port}`}`;
  const base = domain === null ? `${origin}/v1/sessions/${id}/ports/${port}/` : `${origin}/`;
  const shared: SharedPort = {
    port,
    url: token === null ? base : `${base}?${tokenQuery}=${token}`,
    token,
    public: isPublic,
    ends_at: rfc3339(endsAt),
  };
  return json(201, shared);
}

const gone: Problem = {
  code: "session_gone",
  detail:
    "The session has ended: nothing listens in it any more, so no address was made. POST /v1/sessions begins a new one.",
};
const noKey: Problem = {
  code: "unauthorized",
  detail: "An address is made with an API key, and dies with it. Send one as `Authorization: Bearer …`.",
};

export const portRoutes: readonly Route[] = [
  serve(trafficContracts.listPorts, (context) => inSandbox(context, { path: "ports", quiet: true })),
  serveBody(trafficContracts.sharePort, share),
];
