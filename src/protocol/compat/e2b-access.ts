/**
 * The tokens that an E2B client shows in place of an API key, because it does not send the key to a sandbox. A token is
 * an HMAC under the secret that signs API keys.
 *
 * - mra_<tenant>_<session>_<signature>: the data plane of that session (files, commands, terminals)
 * - mrt_<tenant>_<session>_<signature>: the host names of that session's ports
 *
 * Each kind of token signs a text with a first word of its own, so no token can be used as another kind, or as an API
 * key. Runs in the Worker and in Node.
 */
import { hmacHex, isHmac } from "../bytes.ts";
import type { SessionId, TenantId } from "../../domain/state/ids.ts";

const pattern = /^(mr[at])_([a-z0-9-]{1,32})_([a-z0-9]{20})_([0-9a-f]{64})$/;

/** What a token opens: the data plane, or the ports. */
export type Opens = "data" | "ports";
const prefixes: Readonly<Record<Opens, string>> = { data: "mra", ports: "mrt" };
const signedWords: Readonly<Record<Opens, string>> = { data: "mooring/e2b-access/1", ports: "mooring/e2b-traffic/1" };

export async function signAccess(
  tenant: TenantId,
  session: SessionId,
  secret: string,
  opens: Opens = "data",
): Promise<string> {
  return `${prefixes[opens]}_${tenant}_${session}_${await hmacHex(secret, signed(tenant, session, opens))}`;
}

/**
 * The tenant of the session that the token opens; null: it opens another session, or none. WebCrypto compares in
 * constant time.
 */
export async function verifyAccess(
  presented: string,
  session: string,
  secrets: readonly string[],
  opens: Opens = "data",
): Promise<TenantId | null> {
  const [, prefix, tenant, named, hex] = pattern.exec(presented) ?? [];
  if (tenant === undefined || hex === undefined || prefix !== prefixes[opens] || named !== session) return null;
  return (await isHmac(signed(tenant, session, opens), hex, secrets)) ? (tenant as TenantId) : null;
}

function signed(tenant: string, session: string, opens: Opens): string {
  return `${signedWords[opens]}\n${tenant}\n${session}`;
}
