/**
 * A create with an Idempotency-Key names its session by the key: the retry finds the same object without a lookup table.
 * The id depends on nothing that rotates, or a retry across a rotation would start a second sandbox.
 */
import type { SessionId, TenantId } from "../domain/ids.ts";

export async function idempotentSessionId(tenant: TenantId, key: string): Promise<SessionId> {
  const digest = await sha256(`mooring/session-id/1\n${tenant}\n${key}`);
  const number = digest.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  // 256 bits are at most 50 digits; padded, so that every digest spells the same number of them.
  return number.toString(36).padStart(50, "0").slice(0, 20) as SessionId;
}

/** SHA-256 (hex) of the validated body with its keys sorted: the order of fields is no difference. */
export async function requestHash(body: unknown): Promise<string> {
  const digest = await sha256(canonicalJson(body));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** JSON with sorted keys at every level. `undefined` fields are absent, as in JSON.stringify. */
function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((each: unknown) => canonicalJson(each)).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const fields = Object.entries(value)
    .filter(([, field]) => field !== undefined)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, field]) => `${JSON.stringify(name)}:${canonicalJson(field)}`);
  return `{${fields.join(",")}}`;
}

async function sha256(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}
