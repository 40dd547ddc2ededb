/** API keys of this tenant that are no longer accepted. A key carries its own proof, so this list is all that can end one. */
import type { Sql } from "../storage/sql.ts";

export interface Revocation {
  /** The middle part of the key. */
  readonly keyId: string;
  readonly revokedAt: number;
}

/** Idempotent: the first time stands. */
export function revokeKey(sql: Sql, keyId: string, now: number): Revocation {
  sql.run("INSERT OR IGNORE INTO revocation (key_id, revoked_at) VALUES (?, ?)", keyId, now);
  const row = sql.run("SELECT revoked_at FROM revocation WHERE key_id = ?", keyId)[0];
  return { keyId, revokedAt: Number(row?.["revoked_at"]) };
}

export function readRevocations(sql: Sql): readonly Revocation[] {
  return sql
    .run("SELECT key_id, revoked_at FROM revocation ORDER BY key_id")
    .map((row) => ({ keyId: row["key_id"] as string, revokedAt: row["revoked_at"] as number }));
}
