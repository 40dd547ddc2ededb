/**
 * What the E2B SDK shows on the data plane in place of an API key, which it does not send there: `mra_<tenant>_<session>_<signature>`,
 * an HMAC under the secret that signs API keys. It names one session, opens that session's data plane (files, commands, terminals), and is no API key:
 * what is signed begins with words of its own, so neither can be made from the other. Runs in the Worker and in Node.
 */
import { hmacHex, isHmac } from "../bytes.ts";
import type { SessionId, TenantId } from "../../domain/state/ids.ts";

const pattern = /^mra_([a-z0-9-]{1,32})_([a-z0-9]{20})_([0-9a-f]{64})$/;

export async function signAccess(tenant: TenantId, session: SessionId, secret: string): Promise<string> {
  return `mra_${tenant}_${session}_${await hmacHex(secret, signed(tenant, session))}`;
}

/** The tenant of the session that it opens; null: it opens another one, or none. Compared in constant time by WebCrypto. */
export async function verifyAccess(
  presented: string,
  session: string,
  secrets: readonly string[],
): Promise<TenantId | null> {
  const [, tenant, named, hex] = pattern.exec(presented) ?? [];
  if (tenant === undefined || hex === undefined || named !== session) return null;
  return (await isHmac(signed(tenant, session), hex, secrets)) ? (tenant as TenantId) : null;
}

function signed(tenant: string, session: string): string {
  return `mooring/e2b-access/1\n${tenant}\n${session}`;
}
