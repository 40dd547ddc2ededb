/** Which port of which session a request is for: by host name, or by path. */
import type { SessionId } from "../../domain/state/ids.ts";
import { type NamedPort, readPortLabel } from "../../protocol/port-access.ts";

export interface PortAddress extends NamedPort {
  /** `host`: an origin of the port's own. `path`: below Mooring's own origin. */
  readonly by: "host" | "path";
  /** As the server in the sandbox gets it, with the query. */
  readonly path: string;
  /** What stands before the port's own path in the address; "" when the address is a host name. */
  readonly prefix: string;
}

const pathPattern = /^(\/v1\/sessions\/([a-z0-9]{20})\/ports\/(\d{1,5}))(\/.*)?$/s;

/** null: the request is for Mooring itself. `domain` null: ports have no host names here. */
export function portAddress(url: URL, domain: string | null): PortAddress | null {
  const label = domain === null ? null : labelBelow(url.hostname, domain);
  const named = label === null ? null : readPortLabel(label);
  if (named !== null) return { ...named, by: "host", path: `${url.pathname}${url.search}`, prefix: "" };
  const [, prefix, session, port, rest] = pathPattern.exec(url.pathname) ?? [];
  if (prefix === undefined || Number(port) < 1 || Number(port) > 65_535) return null;
  const path = `${rest ?? "/"}${url.search}`;
  return { session: session as SessionId, port: Number(port), signed: null, by: "path", path, prefix };
}

/** A name below the traffic domain that names no port: nothing of Mooring's own is served there, so that no origin is shared. */
export function isStrayHost(url: URL, domain: string | null): boolean {
  return domain !== null && domain !== "localhost" && url.hostname.endsWith(`.${domain}`);
}

function labelBelow(hostname: string, domain: string): string | null {
  if (!hostname.endsWith(`.${domain}`)) return null;
  return hostname.slice(0, -domain.length - 1).toLowerCase();
}
