/**
 * What is stored of one session, read straight from its rows. The simulation reads after every write and before every call, so a
 * table is read again only when somebody wrote to it, and a record is decoded again only when its text changed.
 * That the real store can read the record as well is checked by every restart.
 */
import type { SeenClosed, SeenLease, SeenSession, SeenStopping } from "./model.ts";

type Row = Readonly<Record<string, unknown>>;

/** What the readers of this folder need of a storage. */
export interface Rows {
  run(statement: string): readonly Row[];
  /** Grows with each write to one of these tables. */
  writesTo(...tables: readonly string[]): number;
  readonly hasTables: boolean;
}

/** Amounts that are kept in one row, by name. None while the tables are made step by step. */
export function keptAmounts(rows: Rows, table: "tallies" | "counters"): ReadonlyMap<string, number> {
  if (rows.run(`SELECT 1 FROM sqlite_master WHERE name = '${table}'`).length === 0) return new Map();
  const body = rows.run(`SELECT body FROM ${table}`)[0]?.["body"];
  return new Map(typeof body === "string" ? Object.entries(JSON.parse(body) as Record<string, number>) : []);
}

export interface StoredSession {
  readonly session: SeenSession;
  readonly version: number;
  /** The last version that both the registry and the index have confirmed. */
  readonly reported: number;
  /** Every closed lease that is still kept. */
  readonly receipts: readonly SeenClosed[];
}

export interface StoredLease {
  readonly lease: SeenLease;
  readonly standing: "newest" | "ghost" | "past";
}

export class StoredReader {
  readonly #storage: Rows;
  readonly #texts = new Map<string, { readonly text: string; readonly value: object }>();
  #sessionWrites = -1;
  #leaseWrites = -1;
  #row: Row | null = null;
  #leases: readonly StoredLease[] = [];

  constructor(storage: Rows) {
    this.#storage = storage;
  }

  /** Grows whenever what `session` answers may have changed. */
  get writes(): number {
    return this.#storage.writesTo("session", "lease", "job");
  }

  /** null: no row, or no table yet. */
  session(): StoredSession | null {
    if (!this.#storage.hasTables) return null;
    this.#readSession();
    const row = this.#row;
    if (row === null) return null;
    const leases = this.#readLeases();
    const ghosts: SeenStopping[] = [];
    const receipts: SeenClosed[] = [];
    let newest: SeenLease | null = null;
    for (const { standing, lease } of leases) {
      if (standing === "newest") newest = lease;
      if (standing === "ghost") ghosts.push(lease as SeenStopping);
      if (lease.phase === "closed") receipts.push(lease);
    }
    const record = this.#decode("session", String(row["record"]));
    const activity = this.#activityOfJobs(Number(row["activity_count"]));
    const session = {
      id: row["id"],
      tenant: row["tenant"],
      provider: row["provider"],
      isolation: row["isolation"],
      createdAt: row["created_at"],
      nextGeneration: row["next_generation"],
      ...(activity === null ? record : { ...record, activity }),
      newest,
      ghosts,
    } as unknown as SeenSession;
    return { session, version: Number(row["version"]), reported: Number(row["reported_version"]), receipts };
  }

  lease(generation: number): StoredLease | null {
    if (!this.#storage.hasTables) return null;
    return this.#readLeases().find(({ lease }) => lease.generation === generation) ?? null;
  }

  #readSession(): void {
    const writes = this.#storage.writesTo("session");
    if (writes === this.#sessionWrites) return;
    this.#sessionWrites = writes;
    this.#row =
      this.#storage.run(
        "SELECT id, tenant, provider, isolation, created_at, next_generation, version, reported_version, record, activity_count FROM session",
      )[0] ?? null;
  }

  /** What a job stored after the session's row was written last; null: nothing. */
  #activityOfJobs(count: number): object | null {
    const made = this.#storage.run("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'job'").length > 0;
    if (!made) return null;
    const row = this.#storage.run(
      "SELECT activity FROM job WHERE activity IS NOT NULL ORDER BY json_extract(activity, '$.count') DESC LIMIT 1",
    )[0];
    if (row === undefined) return null;
    const { count: stored, ...activity } = this.#decode("activity", String(row["activity"])) as { count: number };
    return stored > count ? activity : null;
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
        ...(row["container"] === null ? {} : { container: row["container"] }),
        ...this.#decode(String(row["generation"]), String(row["record"])),
      } as unknown as SeenLease,
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
