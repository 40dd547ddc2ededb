import { sha256, toHex } from "./bytes.ts";

/**
 * The entity tag of an answer: the row's version, and a digest of the text. A strong tag names the representation, and a session's
 * changes without a write: `idle_at` and `expires_at` move while a job runs. The version alone decides for `If-Match`.
 */
export async function entityTag(version: string, text: string): Promise<string> {
  const digest = await sha256(text);
  return `"${version.replaceAll(/["-]/g, "")}-${toHex(digest.subarray(0, 8))}"`;
}
