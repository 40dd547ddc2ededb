/** A sandbox as E2B's create, connect and fork answer it: with what its client needs to reach it. */
import type { SessionId } from "../../../domain/state/ids.ts";
import type { E2bSandbox } from "../../../protocol/compat/e2b.ts";
import { hasRight } from "../../../protocol/api-keys.ts";
import { type Opens, signAccess } from "../../../protocol/compat/e2b-access.ts";
import type { SessionView } from "../../../protocol/resources/session/sessions.ts";
import type { TenantAsk } from "../../route.ts";
import { sandboxOf } from "./view.ts";

/** With the tokens that open its data plane and ports, for a key that may run things in it: they have no scopes of their own. */
export async function sandboxFor(from: TenantAsk, session: SessionView): Promise<E2bSandbox> {
  // Authentication went through it, so it is set.
  const secret = from.config.secrets.keySigning?.[0] ?? "";
  if (!hasRight(from.caller.scopes, "run")) return sandboxOf(session, {}, domainOf(from));
  const token = (opens: Opens) => signAccess(from.caller.tenant, session.id as SessionId, secret, opens);
  const envdAccessToken = await token("data");
  const tokens = session.public_ports
    ? { envdAccessToken }
    : { envdAccessToken, trafficAccessToken: await token("ports") };
  return sandboxOf(session, tokens, domainOf(from));
}

/**
 * What the SDK builds the host names of ports from. Without TRAFFIC_DOMAIN it is Mooring's own host: with no domain at all `getHost()` would
 * name one of E2B's own, and a program would talk to a stranger. Nothing serves names below this host, so such a call fails at home.
 */
export function domainOf({ request, config }: Pick<TenantAsk, "request" | "config">): string {
  const { host, port } = new URL(request.url);
  const { trafficDomain } = config;
  if (trafficDomain === null) return host;
  return port === "" ? trafficDomain : `${trafficDomain}:${port}`;
}
