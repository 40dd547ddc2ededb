/**
 * The signatures of E2B's addresses for one file. A client makes them itself from the sandbox's data-plane token; nothing in the
 * address names the token. What is signed is the path as it stands in the query, not what it leads to.
 */
import { sameText, sha256 } from "../bytes.ts";

export interface SignedFile {
  /** As in the query; "" when it is not there. */
  readonly path: string;
  readonly operation: "read" | "write";
  /** The query's `username`; "" when it is not there. */
  readonly user: string;
  readonly token: string;
  /** Epoch seconds, as in the query; null: it has no end. */
  readonly expiration: string | null;
}

export async function e2bSignature({ path, operation, user, token, expiration }: SignedFile): Promise<string> {
  const signed = [path, operation, user, token, ...(expiration === null ? [] : [expiration])].join(":");
  return `v1_${btoa(String.fromCharCode(...(await sha256(signed)))).replace(/=+$/, "")}`;
}

/** The signature first: only who has the token learns that its address has ended. `now` in epoch ms. */
export async function judgeSignature(
  file: SignedFile,
  presented: string,
  now: number,
): Promise<"valid" | "invalid" | "expired"> {
  if (!(await sameText(await e2bSignature(file), presented))) return "invalid";
  if (file.expiration === null) return "valid";
  return Number(file.expiration) * 1_000 <= now ? "expired" : "valid";
}
