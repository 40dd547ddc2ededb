import { toHex } from "../../protocol/bytes.ts";

/** 128 random bits in hex: an Idempotency-Key, or the id of a job. `randomUUID` is missing on plain http pages; this is not. */
export function freshKey(): string {
  return toHex(crypto.getRandomValues(new Uint8Array(16)));
}
