/**
 * What is stored of one session, read straight from its rows. It is not the code under test, and it is fast: the simulation reads
 * after every write and before every call. A table is read again only when somebody wrote to it, a record decoded again only when
 * its text changed. That the record is also readable to the real store is checked by every restart.
 */
import type { Generation } from "../../src/domain/ids.ts";
import type { Closed, Lease, Stopping } from "../../src/domain/lease.ts";
import type { Session } from "../../src/domain/session.ts";
import type { SqlRow } from "../../src/storage/sql.ts";
import type { SimStorage } from "./sim-storage.ts";

export interface StoredSession {
  readonly session: Session;
  readonly version: number;
  /** The last version that both the registry and the index have confirmed. */
  readonly reported: number;
  /** Every closed lease that is still kept. */
  readonly receipts: readonly Closed[];
}

export interface StoredLease {
  readonly lease: Lease;
  readonly standing: "newest" | "ghost" | "past";
}

export class StoredReader {
  readonly #storage: SimStorage;
  readonly #texts = new Map<string, { readonly text: string; readonly value: object }>();
  #sessionWrites = -1;
  #leaseWrites = -1;
  #row: SqlRow | null = null;
  #leases: readonly StoredLease[] = [];

  constructor(storage: SimStorage) {
    this.#storage = storage;
  }

  /** Grows whenever what `session` answers may have changed. */
  get writes(): number {
    return this.#storage.writesTo("session", "lease");
  }

  /** null: no row, or no table yet. */
  session(): StoredSession | null {
    if (!this.#storage.hasTables) return null;
    this.#readSession();
    const row = this.#row;
    if (row === null) return null;
    const leases = this.#readLeases();
    const ghosts: Stopping[] = [];
    const receipts: Closed[] = [];
    let newest: Lease | null = null;
    for (const { standing, lease } of leases) {
      if (standing === "newest") newest = lease;
      if (standing === "ghost") ghosts.push(lease as Stopping);
      if (lease.phase === "closed") receipts.push(lease);
    }
    const session = {
      id: row["id"],
      tenant: row["tenant"],
      provider: row["provider"],
      isolation: row["isolation"],
      createdAt: row["created_at"],
      nextGeneration: row["next_generation"],
      ...this.#decode("session", String(row["record"])),
      newest,
      ghosts,
    } as unknown as Session;
    return { session, version: Number(row["version"]), reported: Number(row["reported_version"]), receipts };
  }

  lease(generation: Generation): StoredLease | null {
    if (!this.#storage.hasTables) return null;
    return this.#readLeases().find(({ lease }) => lease.generation === generation) ?? null;
  }

  #readSession(): void {
    const writes = this.#storage.writesTo("session");
    if (writes === this.#sessionWrites) return;
    this.#sessionWrites = writes;
    this.#row =
      this.#storage.run(
        "SELECT id, tenant, provider, isolation, created_at, next_generation, version, reported_version, record FROM session",
      )[0] ?? null;
  }

  #readLeases(): readonly StoredLease[] {
    const writes = this.#storage.writesTo("lease");
    if (writes === this.#leaseWrites) return this.#leases;
    this.#leaseWrites = writes;
    this.#leases = this.#storage.run("SELECT * FROM lease ORDER BY generation").map((row) => ({
      standing: row["standing"] as StoredLease["standing"],
      lease: {
        generation: row["generation"],
        instanceId: row["instance_id"],
        sandboxId: row["sandbox_id"],
        provider: row["provider"],
        host: row["host"],
        secret: row["secret"],
        openedAt: row["opened_at"],
        ...this.#decode(String(row["generation"]), String(row["record"])),
      } as unknown as Lease,
    }));
    return this.#leases;
  }

  #decode(key: string, text: string): object {
    const known = this.#texts.get(key);
    if (known?.text === text) return known.value;
    const value = JSON.parse(text) as object;
    this.#texts.set(key, { text, value });
    return value;
  }
}
