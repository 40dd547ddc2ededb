/**
 * What of a request reaches a server in a sandbox, and what of its answer reaches the client.
 *
 * The code in a sandbox is a stranger's. By host it has an origin of its own, and its cookies stay at that host. By path it is below
 * Mooring's own origin: there it sees and sets no cookies at all, and a browser runs its pages in a sandbox without that origin.
 */
import type { PortAddress } from "./port-address.ts";

export const tokenQuery = "mooring_token";
export const tokenHeader = "mooring-token";
/** E2B's own name for the token that opens the ports of one sandbox (protocol/compat/e2b-access.ts). */
export const e2bTokenHeader = "e2b-traffic-access-token";
const tokenCookie = "mooring_port";

/** Headers of a request that carried Mooring's credential; they stay here. */
export type Spent = "authorization" | "x-api-key" | typeof e2bTokenHeader | null;

export function onwardHeaders(request: Request, place: PortAddress, spent: Spent): Headers {
  const headers = new Headers(request.headers);
  if (spent !== null) headers.delete(spent);
  const cookies = place.by === "path" ? "" : withoutOurs(headers.get("cookie") ?? "");
  if (cookies === "") headers.delete("cookie");
  else headers.set("cookie", cookies);
  const { host, protocol } = new URL(request.url);
  headers.set("x-forwarded-host", host);
  headers.set("x-forwarded-proto", protocol.slice(0, -1));
  if (place.prefix === "") headers.delete("x-forwarded-prefix");
  else headers.set("x-forwarded-prefix", place.prefix);
  const address = headers.get("cf-connecting-ip");
  if (address === null) headers.delete("x-forwarded-for");
  else headers.set("x-forwarded-for", address);
  return headers;
}

/** Without the token, which is nothing that the sandbox may learn. */
export function onwardPath(path: string): string {
  const [before = "", query] = path.split(/\?(.*)/s, 2);
  if (query === undefined) return before;
  const kept = query.split("&").filter((each) => !new URLSearchParams(each).has(tokenQuery));
  return kept.length === 0 ? before : `${before}?${kept.join("&")}`;
}

/** By path all of these would speak for Mooring's origin. */
const notByPath = [
  "set-cookie",
  "clear-site-data",
  "service-worker-allowed",
  "www-authenticate",
  "strict-transport-security",
  "content-security-policy",
  "content-security-policy-report-only",
  "access-control-allow-origin",
  "access-control-allow-credentials",
  "report-to",
  "reporting-endpoints",
  "nel",
  "alt-svc",
];

/** No `allow-same-origin`: a page below Mooring's origin must not have it. */
const sandboxPolicy = "sandbox allow-scripts allow-forms allow-popups allow-modals allow-downloads";

export function answeredHeaders(answer: Response, place: PortAddress, url: URL): Headers {
  const headers = new Headers(answer.headers);
  const location = headers.get("location");
  if (location !== null) headers.set("location", seenFromOutside(location, place, url));
  if (place.by === "path") {
    for (const name of notByPath) headers.delete(name);
    headers.set("content-security-policy", sandboxPolicy);
    headers.set("x-content-type-options", "nosniff");
    return headers;
  }
  const cookies = headers.getSetCookie();
  headers.delete("set-cookie");
  for (const cookie of cookies) if (!isOurs(cookie)) headers.append("set-cookie", ofThisHost(cookie));
  return headers;
}

/** A redirect as the client has to follow it. The server believes that it is at `localhost`. */
function seenFromOutside(location: string, { prefix, port }: PortAddress, url: URL): string {
  const own = new RegExp(`^https?://(localhost|127\\.0\\.0\\.1|\\[::1\\]):${port}(?=[/?#]|$)`, "i");
  if (own.test(location)) return `${url.origin}${prefix}${location.replace(own, "") || "/"}`;
  return location.startsWith("/") && !location.startsWith("//") ? `${prefix}${location}` : location;
}

/** A cookie for a whole domain would go to every other sandbox below it. */
function ofThisHost(cookie: string): string {
  return cookie
    .split(";")
    .filter((part, at) => at === 0 || !/^\s*domain\s*(=|$)/i.test(part))
    .join(";");
}

function isOurs(cookie: string): boolean {
  const name = (cookie.split("=", 1)[0] ?? "").trim();
  return name === tokenCookie || name === `__Host-${tokenCookie}`;
}

function withoutOurs(cookies: string): string {
  return cookies
    .split(";")
    .map((each) => each.trim())
    .filter((each) => each !== "" && !isOurs(each))
    .join("; ");
}

export function tokenInCookie(request: Request): string | null {
  for (const each of (request.headers.get("cookie") ?? "").split(";")) {
    const [name = "", value = ""] = each.trim().split(/=(.*)/s, 2);
    if (isOurs(`${name}=`)) return value;
  }
  return null;
}

/** For this host alone, out of reach of its scripts, until the token ends. `__Host-` keeps scripts of other hosts from setting it. */
export function cookieOf(token: string, url: URL, forSeconds: number): string {
  const isSecure = url.protocol === "https:";
  const name = isSecure ? `__Host-${tokenCookie}` : tokenCookie;
  return `${name}=${token}; Path=/; Max-Age=${forSeconds}; HttpOnly; SameSite=Lax${isSecure ? "; Secure" : ""}`;
}
