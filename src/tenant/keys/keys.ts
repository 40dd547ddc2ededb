/**
 * API keys of this tenant: which are no longer accepted, and which were used. A key carries its own proof and is stored nowhere, so
 * the list of revocations is all that can end one before its time, and a key is known here from its first use on.
 */
import { readKeyId } from "../../protocol/api-keys.ts";
import type { Sql } from "../../storage/sql.ts";
import { readNamed, writeNamed } from "../named-values.ts";

export interface Revocation {
  /** The middle part of the key. */
  readonly keyId: string;
  readonly revokedAt: number;
}

interface KeyUse {
  readonly keyId: string;
  readonly at: number;
}

/** What a front asks: what changed since the version it knows, and it tells which keys were used. */
export interface KeyQuestion {
  readonly version: string | null;
  readonly used: readonly KeyUse[];
}

export interface KeyStanding {
  readonly version: string;
  /** Keys that were issued then or earlier are void; 0: none is. */
  readonly revokedBefore: number;
  /** null: as in the version that was asked about. */
  readonly keyIds: readonly string[] | null;
}

interface KnownKey {
  readonly keyId: string;
  readonly firstUsedAt: number | null;
  readonly lastUsedAt: number | null;
  readonly revokedAt: number | null;
}

export interface TenantKeys {
  readonly keys: readonly KnownKey[];
  /** All that were issued until then are void; null: never said. */
  readonly allRevokedBefore: number | null;
}

export const noKeys: TenantKeys = { keys: [], allRevokedBefore: null };
export const noKeyStanding: KeyStanding = { version: "0.0", revokedBefore: 0, keyIds: [] };

/** A row written is a row billed: a key that is in use all day writes this often. */
const useEveryMs = 600_000;
/** Keys that are remembered by their use. The longest unused go first. */
const usesKept = 1_000;
const boundName = "keys_revoked_before";

/** Idempotent: the first time stands. */
export function revokeKey(sql: Sql, keyId: string, now: number): Revocation {
  sql.run("INSERT OR IGNORE INTO revocation (key_id, revoked_at) VALUES (?, ?)", keyId, now);
  const row = sql.run("SELECT revoked_at FROM revocation WHERE key_id = ?", keyId)[0];
  return { keyId, revokedAt: Number(row?.["revoked_at"]) };
}

/**
 * Voids every existing key; keys made later work. A key may have been made on a clock that is ahead, so the bound is
 * never before the issue time of a key that was seen.
 */
export function revokeAllKeys(sql: Sql, now: number): number {
  const seen = sql.run("SELECT key_id FROM key_use").map((row) => readKeyId(row["key_id"] as string).issuedAt);
  const before = readNamed(sql, boundName, 0);
  const bound = Math.max(before, now, ...seen);
  writeNamed(sql, boundName, before, bound);
  return bound;
}

export function noteKeyUses(sql: Sql, used: readonly KeyUse[]): void {
  for (const { keyId, at } of used) {
    sql.run(
      `INSERT INTO key_use (key_id, first_used_at, last_used_at) VALUES (?, ?, ?)
       ON CONFLICT (key_id) DO UPDATE SET last_used_at = excluded.last_used_at
       WHERE excluded.last_used_at >= last_used_at + ?`,
      ...[keyId, at, at, useEveryMs],
    );
  }
  sql.run(
    `DELETE FROM key_use WHERE key_id IN (SELECT key_id FROM key_use ORDER BY last_used_at DESC LIMIT -1 OFFSET ?)`,
    usesKept,
  );
}

/** Revocations are never taken back, so their number is a version. */
export function keyStanding(sql: Sql, known: string | null): KeyStanding {
  const revokedBefore = readNamed(sql, boundName, 0);
  const version = `${Number(sql.run("SELECT count(*) AS n FROM revocation")[0]?.["n"])}.${revokedBefore}`;
  if (version === known) return { version, revokedBefore, keyIds: null };
  const rows = sql.run("SELECT key_id FROM revocation ORDER BY key_id");
  return { version, revokedBefore, keyIds: rows.map((row) => row["key_id"] as string) };
}

export function readKeys(sql: Sql): TenantKeys {
  const rows = sql.run(
    `SELECT key_id, max(first_used_at) AS first, max(last_used_at) AS last, max(revoked_at) AS revoked FROM (
       SELECT key_id, first_used_at, last_used_at, NULL AS revoked_at FROM key_use
       UNION ALL SELECT key_id, NULL, NULL, revoked_at FROM revocation
     ) GROUP BY key_id ORDER BY key_id`,
  );
  const bound = readNamed(sql, boundName, 0);
  const instant = (value: unknown) => (value === null ? null : Number(value));
  return {
    allRevokedBefore: bound === 0 ? null : bound,
    keys: rows.map((row) => ({
      keyId: row["key_id"] as string,
      firstUsedAt: instant(row["first"]),
      lastUsedAt: instant(row["last"]),
      revokedAt: instant(row["revoked"]),
    })),
  };
}
