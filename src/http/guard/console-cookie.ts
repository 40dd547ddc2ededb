/**
 * The console's cookies. Each holds who signed in and until when, signed; never the credential. There are two, because the two kinds
 * of credential are never taken for each other: an operator's is signed with the admin token, a tenant's with the secret of the
 * API keys, so that rotating either ends the cookies made with it.
 *
 * A cookie comes by itself with every request of the browser, so it alone proves nothing. It counts only with the console's own
 * header, which needs a preflight from any other origin, and never from a page of another origin. Pages that a sandbox serves
 * must not be of this origin: they are sent with a sandboxing policy.
 */
import { z } from "zod";
import { consoleHeader } from "../../protocol/console-address.ts";
import { hmacHex, isHmac } from "../../protocol/bytes.ts";
import { fromBase64Url, toBase64Url } from "../../protocol/bytes.ts";

/** A working day and its night. The end is fixed: an open page does not prolong it. */
const cookieMs = 12 * 60 * 60_000;
const ticketMs = 60_000;

const claims = z.object({
  until: z.int(),
  tenant: z.string(),
  keyId: z.string(),
  scopes: z.array(z.string()),
});
/** Of an operator `tenant` and `keyId` are empty. */
export type CookieClaims = z.infer<typeof claims>;
export type CookieKind = "operator" | "tenant";

const names: Readonly<Record<CookieKind, string>> = { operator: "mooring_operator", tenant: "mooring_tenant" };

export async function consoleCookie(
  kind: CookieKind,
  who: Omit<CookieClaims, "until">,
  secret: string,
  request: Request,
  now: number,
): Promise<{ readonly header: string; readonly until: number }> {
  const until = now + cookieMs;
  const value = await seal(kind, { ...who, until }, secret);
  return { header: setCookie(kind, value, cookieMs / 1_000, request), until };
}

/** The same in a link, for a minute: a program that holds the credential signs a browser in with it. */
export async function consoleTicket(
  kind: CookieKind,
  who: Omit<CookieClaims, "until">,
  secret: string,
  now: number,
): Promise<{ readonly ticket: string; readonly until: number }> {
  const until = now + ticketMs;
  return { ticket: `${kind}.${await seal(`ticket ${kind}`, { ...who, until }, secret)}`, until };
}

/** null: it is none, or its minute is over. */
export async function readConsoleTicket(
  ticket: string,
  kind: CookieKind,
  secrets: readonly string[],
  now: number,
): Promise<CookieClaims | null> {
  const [named, sealed] = /^(operator|tenant)\.(.+)$/.exec(ticket)?.slice(1) ?? [];
  return named === kind && sealed !== undefined ? await unseal(`ticket ${kind}`, sealed, secrets, now) : null;
}

export function clearedCookies(request: Request): readonly string[] {
  return (["operator", "tenant"] as const).map((kind) => setCookie(kind, "", 0, request));
}

function setCookie(kind: CookieKind, value: string, seconds: number, request: Request): string {
  // Browsers drop a Secure cookie of a plain address; such an address is a developer's own machine.
  const secure = isSecure(request) ? "; Secure" : "";
  return `${nameOf(kind, request)}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Strict${secure}`;
}

/** `__Host-`: a page on a subdomain, such as one that a sandbox serves, cannot set a cookie of such a name for this host. */
function nameOf(kind: CookieKind, request: Request): string {
  return isSecure(request) ? `__Host-${names[kind]}` : names[kind];
}

function isSecure(request: Request): boolean {
  return new URL(request.url).protocol === "https:";
}

/** null: there is none that counts. */
export async function readConsoleCookie(
  request: Request,
  kind: CookieKind,
  secrets: readonly string[],
  now: number,
): Promise<CookieClaims | null> {
  if (!isFromConsole(request)) return null;
  return await unseal(kind, cookieOf(request, nameOf(kind, request)), secrets, now);
}

async function seal(use: string, who: CookieClaims, secret: string): Promise<string> {
  const payload = toBase64Url(JSON.stringify(who));
  return `${payload}.${await hmacHex(secret, signed(use, payload))}`;
}

async function unseal(
  use: string,
  sealed: string,
  secrets: readonly string[],
  now: number,
): Promise<CookieClaims | null> {
  const [payload = "", signature = ""] = sealed.split(".");
  if (payload === "" || payload.length > 2_048) return null;
  if (!(await isHmac(signed(use, payload), signature, secrets))) return null;
  const read = claims.safeParse(JSON.parse(fromBase64Url(payload)));
  return read.success && read.data.until > now ? read.data : null;
}

/**
 * Whether the console's own page sent it. A WebSocket cannot carry the header; its browser always names the origin, and another
 * origin cannot lie about it.
 */
export function isFromConsole(request: Request): boolean {
  const origin = request.headers.get("origin");
  const own = new URL(request.url).origin;
  const site = request.headers.get("sec-fetch-site");
  if ((origin !== null && origin !== own) || (site !== null && site !== "same-origin")) return false;
  const upgrade = request.headers.get("upgrade")?.toLowerCase() === "websocket";
  return upgrade ? origin === own : request.headers.has(consoleHeader);
}

/** `use` keeps a cookie from being taken for a ticket, and an operator's for a tenant's. */
function signed(use: string, payload: string): string {
  return `mooring/console/1\n${use}\n${payload}`;
}

function cookieOf(request: Request, name: string): string {
  for (const part of (request.headers.get("cookie") ?? "").split(";")) {
    const [key = "", value = ""] = part.trim().split("=");
    if (key === name) return value;
  }
  return "";
}
