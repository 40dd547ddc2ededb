/**
 * A create with an Idempotency-Key names its session by the key: the retry finds the same object without a lookup table.
 * The id depends on nothing that rotates, or a retry across a rotation would start a second sandbox.
 */
import { sha256, toHex } from "../../protocol/bytes.ts";
import { canonicalJson } from "../../protocol/canonical-json.ts";
import type { SessionId, TenantId } from "../../domain/state/ids.ts";

export async function idempotentSessionId(tenant: TenantId, key: string): Promise<SessionId> {
  const digest = await sha256(`mooring/session-id/1\n${tenant}\n${key}`);
  const number = digest.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  // 256 bits are at most 50 digits; padded, so that every digest spells the same number of them.
  return number.toString(36).padStart(50, "0").slice(0, 20) as SessionId;
}

/** SHA-256 (hex) of the validated body with its keys sorted: the order of fields is no difference. */
export async function requestHash(body: unknown): Promise<string> {
  return toHex(await sha256(canonicalJson(body)));
}
