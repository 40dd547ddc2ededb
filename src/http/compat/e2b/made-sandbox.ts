/** The sandbox in the answers of E2B's create, connect and fork: a session with what a client needs to reach it. */
import type { SessionId } from "../../../domain/state/ids.ts";
import type { E2bSandbox } from "../../../protocol/compat/e2b.ts";
import { hasRight } from "../../../protocol/api-keys.ts";
import { type Opens, signAccess } from "../../../protocol/compat/e2b-access.ts";
import type { SessionView } from "../../../protocol/resources/session/sessions.ts";
import type { TenantContext } from "../../route.ts";
import { sandboxOf } from "./view.ts";

/**
 * With tokens that open the data plane and the ports, if the key may run things in the sandbox. The tokens themselves
 * have no scopes.
 */
export async function sandboxFor(context: TenantContext, session: SessionView): Promise<E2bSandbox> {
  // The secret is set: authentication used it.
  const secret = context.config.secrets.keySigning?.[0] ?? "";
  if (!hasRight(context.caller.scopes, "run")) return sandboxOf(session, {}, domainOf(context));
  const token = (opens: Opens) => signAccess(context.caller.tenant, session.id as SessionId, secret, opens);
  const envdAccessToken = await token("data");
  const tokens = session.public_ports
    ? { envdAccessToken }
    : { envdAccessToken, trafficAccessToken: await token("ports") };
  return sandboxOf(session, tokens, domainOf(context));
}

/**
 * The domain from which the SDK builds the host names of ports. Without TRAFFIC_DOMAIN it is Mooring's own host. If no
 * domain were given, the SDK's `getHost()` would name a host of E2B's, and a program would talk to a stranger. Nothing
 * is served below Mooring's own host, so such a call fails and stays here.
 */
export function domainOf({ request, config }: Pick<TenantContext, "request" | "config">): string {
  const { host, port } = new URL(request.url);
  const { trafficDomain } = config;
  if (trafficDomain === null) return host;
  return port === "" ? trafficDomain : `${trafficDomain}:${port}`;
}
