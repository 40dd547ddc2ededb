/** Compares what a caller presents with a secret. Hashed first: then the lengths are equal, and the time taken tells nothing. */
import { createHash, timingSafeEqual } from "node:crypto";

export function isSameSecret(presented: string | readonly string[] | undefined, secret: string): boolean {
  return typeof presented === "string" && timingSafeEqual(digestOf(presented), digestOf(secret));
}

function digestOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
