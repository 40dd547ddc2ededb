/**
 * The snapshots of a tenant: `taking` → `kept` → `deleting` → `gone`. A row is there before anything is saved and until long after
 * nothing is, so no saved byte is without one, and a deletion has its evidence.
 *
 * Whatever is not `gone` counts: its bytes may be there.
 */
import type { Generation, SessionId } from "../../domain/state/ids.ts";
import type { ProviderName } from "../../domain/state/provider-names.ts";
import type { Sql, SqlRow } from "../../storage/sql.ts";

export interface TenantSnapshot {
  readonly id: string;
  /** Whose save it is at the provider. */
  readonly sessionId: SessionId;
  readonly name: string | null;
  readonly phase: "taking" | "kept" | "deleting" | "gone";
  readonly bytes: number | null;
  readonly createdAt: number;
  /** When something of it is due; null: nothing is. */
  readonly lookAt: number | null;
  readonly provider: ProviderName;
  readonly template: string | null;
  readonly generation: Generation | null;
  /** `fork`: made for forks only. It is in no list, and goes by itself. */
  readonly purpose: "kept" | "fork";
  readonly replaces: boolean;
  /** Until then its save may still be under way, and a look that finds nothing proves nothing; null: it has ended. */
  readonly mayLandUntil: number | null;
  /** Why it could not be taken. */
  readonly failure: string | null;
  readonly deletion: {
    readonly requestedAt: number;
    readonly attempts: number;
    readonly lastError: string | null;
    readonly verifiedAbsentAt: number | null;
    readonly evidence: string | null;
  } | null;
}

export function writeSnapshot(sql: Sql, snapshot: TenantSnapshot): void {
  const { id, sessionId, name, phase, bytes, createdAt, lookAt, ...body } = snapshot;
  sql.run(
    `INSERT OR REPLACE INTO snapshot (snapshot_id, session_id, name, phase, bytes, created_at, look_at, body)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    ...[id, sessionId, name, phase, bytes ?? 0, createdAt, lookAt, JSON.stringify({ ...body, bytes })],
  );
}

function snapshotOf(row: SqlRow): TenantSnapshot {
  type Body = Omit<TenantSnapshot, "id" | "sessionId" | "name" | "phase" | "createdAt" | "lookAt" | "mayLandUntil">;
  // Older code did not keep until when its save may land.
  const { mayLandUntil = null, ...body } = JSON.parse(row["body"] as string) as Body & { mayLandUntil?: number | null };
  return {
    ...body,
    mayLandUntil,
    id: row["snapshot_id"] as string,
    sessionId: row["session_id"] as SessionId,
    name: row["name"] as string | null,
    phase: row["phase"] as TenantSnapshot["phase"],
    createdAt: Number(row["created_at"]),
    lookAt: row["look_at"] === null ? null : Number(row["look_at"]),
  };
}

export function readSnapshot(sql: Sql, id: string): TenantSnapshot | null {
  const row = sql.run("SELECT * FROM snapshot WHERE snapshot_id = ?", id)[0];
  return row === undefined ? null : snapshotOf(row);
}

/** By id or by name. A name leads to the newest that is there or on its way; what is being deleted has lost its name. */
export function findSnapshot(sql: Sql, reference: string): TenantSnapshot | null {
  return (
    readSnapshot(sql, reference) ??
    named(sql, reference).find(({ phase }) => phase === "kept") ??
    named(sql, reference)[0] ??
    null
  );
}

/** Newest first. */
export function named(sql: Sql, name: string): readonly TenantSnapshot[] {
  return sql
    .run("SELECT * FROM snapshot WHERE name = ? AND phase IN ('taking', 'kept') ORDER BY created_at DESC", name)
    .map(snapshotOf);
}

export interface SnapshotQuery {
  readonly sessionId: string | null;
  readonly name: string | null;
  /** Strictly older than this one. */
  readonly after: { readonly createdAt: number; readonly id: string } | null;
  readonly limit: number;
}

/** Newest first, without those that are gone or made for forks. */
export function listSnapshots(sql: Sql, { sessionId, name, after, limit }: SnapshotQuery): readonly TenantSnapshot[] {
  return sql
    .run(
      `SELECT * FROM snapshot WHERE phase <> 'gone' AND json_extract(body, '$.purpose') = 'kept'
         AND (? IS NULL OR session_id = ?) AND (? IS NULL OR name = ? OR snapshot_id = ?)
         AND (? IS NULL OR (created_at, snapshot_id) < (?, ?))
       ORDER BY created_at DESC, snapshot_id DESC LIMIT ?`,
      ...[sessionId, sessionId, name, name, name],
      ...[after?.createdAt ?? null, after?.createdAt ?? null, after?.id ?? null, limit],
    )
    .map(snapshotOf);
}

/** In the order of the id: for the audit, which must not take them for nobody's. */
export function unreleasedSnapshots(sql: Sql, after: string | null, limit: number): readonly TenantSnapshot[] {
  return sql
    .run(
      "SELECT * FROM snapshot WHERE phase <> 'gone' AND snapshot_id > ? ORDER BY snapshot_id LIMIT ?",
      after ?? "",
      limit,
    )
    .map(snapshotOf);
}

export function dueSnapshots(sql: Sql, now: number, limit: number): readonly TenantSnapshot[] {
  return sql.run("SELECT * FROM snapshot WHERE look_at <= ? ORDER BY look_at LIMIT ?", now, limit).map(snapshotOf);
}

export function earliestSnapshotLook(sql: Sql): number | null {
  const at = sql.run("SELECT min(look_at) AS at FROM snapshot WHERE look_at IS NOT NULL")[0]?.["at"];
  return typeof at === "number" ? at : null;
}

export interface SnapshotCounts {
  /** All whose bytes may be there. */
  readonly count: number;
  readonly bytes: number;
  /** Of these, how many are being deleted and are not proven gone. */
  readonly deleting: number;
}

export function countSnapshots(sql: Sql): SnapshotCounts {
  const row = sql.run(
    `SELECT count(*) AS n, coalesce(sum(bytes), 0) AS bytes, coalesce(sum(phase = 'deleting'), 0) AS deleting
     FROM snapshot WHERE phase <> 'gone'`,
  )[0];
  return { count: Number(row?.["n"]), bytes: Number(row?.["bytes"]), deleting: Number(row?.["deleting"]) };
}

/** The evidence of a deletion is kept as long as a receipt. true: there are more. */
export function pruneSnapshots(sql: Sql, before: number, limit: number): boolean {
  const pruned = sql.run(
    `DELETE FROM snapshot WHERE snapshot_id IN (
       SELECT snapshot_id FROM snapshot WHERE phase = 'gone' AND created_at < ?
         AND json_extract(body, '$.deletion.verifiedAbsentAt') < ? LIMIT ?) RETURNING snapshot_id`,
    ...[before, before, limit],
  );
  return pruned.length >= limit;
}
