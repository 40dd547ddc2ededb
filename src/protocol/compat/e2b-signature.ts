/**
 * The signatures of E2B's addresses for one file. A client makes them itself from the sandbox's data-plane token; the
 * address does not contain the token. The signed text has the path as it is written in the query, before any link is
 * followed.
 */
import { sameText, sha256, toBase64 } from "../bytes.ts";

export interface SignedFile {
  /** As in the query; "" when absent. */
  readonly path: string;
  readonly operation: "read" | "write";
  /** The query's `username`; "" when absent. */
  readonly user: string;
  readonly token: string;
  /** Epoch seconds, as in the query; null: it never expires. */
  readonly expiration: string | null;
}

export async function e2bSignature({ path, operation, user, token, expiration }: SignedFile): Promise<string> {
  const signed = [path, operation, user, token, ...(expiration === null ? [] : [expiration])].join(":");
  return `v1_${toBase64(await sha256(signed)).replace(/=+$/, "")}`;
}

/**
 * Checks the signature before the expiry, so that only a holder of the token learns that its address has expired. `now`
 * in epoch ms.
 */
export async function judgeSignature(
  file: SignedFile,
  presented: string,
  now: number,
): Promise<"valid" | "invalid" | "expired"> {
  if (!(await sameText(await e2bSignature(file), presented))) return "invalid";
  if (file.expiration === null) return "valid";
  return Number(file.expiration) * 1_000 <= now ? "expired" : "valid";
}
