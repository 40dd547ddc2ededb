/**
 * What is stored of a session, read straight from its rows. It is not the code under test, and it is fast: the simulation reads
 * after every write and before every call. That the record is also readable to the real store is checked by every restart.
 */
import type { Generation } from "../../src/domain/ids.ts";
import type { Closed, Lease, Stopping } from "../../src/domain/lease.ts";
import type { Session } from "../../src/domain/session.ts";
import type { SqlRow } from "../../src/storage/sql.ts";
import type { SimStorage } from "./sim-storage.ts";

export interface StoredSession {
  readonly session: Session;
  readonly version: number;
  /** Every closed lease that is still kept. */
  readonly receipts: readonly Closed[];
}

/** Most writes change one record and leave the others: what was read before is not read again. */
export class RecordCache {
  readonly #texts = new Map<string, { readonly text: string; readonly value: object }>();

  parse(key: string, text: string): object {
    const known = this.#texts.get(key);
    if (known?.text === text) return known.value;
    const value = JSON.parse(text) as object;
    this.#texts.set(key, { text, value });
    return value;
  }
}

/** null: no row, or no table yet. */
export function readStored(storage: SimStorage, cache: RecordCache): StoredSession | null {
  if (!storage.hasTables) return null;
  const row = storage.run("SELECT * FROM session")[0];
  if (row === undefined) return null;
  const leases = storage.run("SELECT * FROM lease ORDER BY generation").map((each) => ({
    standing: each["standing"],
    lease: leaseOf(each, cache),
  }));
  const session = {
    id: row["id"],
    tenant: row["tenant"],
    provider: row["provider"],
    isolation: row["isolation"],
    createdAt: row["created_at"],
    nextGeneration: row["next_generation"],
    ...cache.parse("session", String(row["record"])),
    newest: leases.find(({ standing }) => standing === "newest")?.lease ?? null,
    ghosts: leases.filter(({ standing }) => standing === "ghost").map(({ lease }) => lease as Stopping),
  } as unknown as Session;
  const receipts = leases.flatMap(({ lease }) => (lease.phase === "closed" ? [lease] : []));
  return { session, version: Number(row["version"]), receipts };
}

export function readLease(
  storage: SimStorage,
  generation: Generation,
): { readonly lease: Lease; readonly standing: "newest" | "ghost" | "past" } | null {
  if (!storage.hasTables) return null;
  const row = storage.run("SELECT * FROM lease WHERE generation = ?", generation)[0];
  if (row === undefined) return null;
  return { lease: leaseOf(row, new RecordCache()), standing: row["standing"] as "newest" | "ghost" | "past" };
}

function leaseOf(row: SqlRow, cache: RecordCache): Lease {
  return {
    generation: row["generation"],
    instanceId: row["instance_id"],
    sandboxId: row["sandbox_id"],
    provider: row["provider"],
    host: row["host"],
    secret: row["secret"],
    openedAt: row["opened_at"],
    ...cache.parse(String(row["generation"]), String(row["record"])),
  } as unknown as Lease;
}
