/** Which FleetShard indexes a tenant. One place, because the writer (a session's report) and the reader (a list) must agree. */
import type { TenantId } from "../../domain/state/ids.ts";

/** The name for `idFromName`. Another number of shards moves tenants; the index is derived and is rebuilt. */
export function shardName(tenant: TenantId, shards: number): string {
  return `shard-${fnv1a(tenant) % shards}`;
}

/** Every shard's name, for sweeps that ask them all. */
export function shardNames(shards: number): readonly string[] {
  return Array.from({ length: shards }, (_, index) => `shard-${index}`);
}

/** 32 bits. Not for secrets: it only has to spread names evenly, the same way in every version. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
