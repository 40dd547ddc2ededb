/**
 * What the E2B SDK shows on the data plane in place of an API key, which it does not send there: `mra_<tenant>_<session>_<signature>`,
 * an HMAC under the secret that signs API keys. It names one session, grants the question whether it runs, and is no API key:
 * what is signed begins with words of its own, so neither can be made from the other. Runs in the Worker and in Node.
 */
import type { SessionId, TenantId } from "../domain/ids.ts";

const encoder = new TextEncoder();
const pattern = /^mra_([a-z0-9-]{1,32})_([a-z0-9]{20})_([0-9a-f]{64})$/;

export async function signAccess(tenant: TenantId, session: SessionId, secret: string): Promise<string> {
  const signature = await crypto.subtle.sign("HMAC", await hmacKey(secret, "sign"), signed(tenant, session));
  const hex = Array.from(new Uint8Array(signature), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `mra_${tenant}_${session}_${hex}`;
}

/** The tenant of the session that it opens; null: it opens another one, or none. Compared in constant time by WebCrypto. */
export async function verifyAccess(
  presented: string,
  session: string,
  secrets: readonly string[],
): Promise<TenantId | null> {
  const [, tenant, named, hex] = pattern.exec(presented) ?? [];
  if (tenant === undefined || hex === undefined || named !== session) return null;
  const signature = Uint8Array.from({ length: 32 }, (_, at) => Number.parseInt(hex.slice(2 * at, 2 * at + 2), 16));
  for (const secret of secrets) {
    if (await crypto.subtle.verify("HMAC", await hmacKey(secret, "verify"), signature, signed(tenant, session)))
      return tenant as TenantId;
  }
  return null;
}

function signed(tenant: string, session: string) {
  return encoder.encode(`mooring/e2b-access/1\n${tenant}\n${session}`);
}

function hmacKey(secret: string, use: "sign" | "verify") {
  return crypto.subtle.importKey("raw", encoder.encode(secret), { name: "HMAC", hash: "SHA-256" }, false, [use]);
}
