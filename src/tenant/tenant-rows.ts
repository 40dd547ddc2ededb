/**
 * The database of one tenant, synchronous: reads, and writes as one transaction each. Reading a tenant that never was writes nothing.
 */
import type { Clock } from "../runtime/clock-ids-logger.ts";
import { amountsOnce } from "../storage/amounts.ts";
import { migrate, schemaVersion } from "../storage/migrate.ts";
import type { Sql } from "../storage/sql.ts";
import { reviewOpen } from "./containers/containers.ts";
import { countsConfirmed, countsVersion, noteCountsConfirmed } from "./ledger.ts";
import type { QuotaTerms } from "./quota/quota.ts";
import { tenantMigrations } from "./schema.ts";

export class TenantRows {
  readonly sql: Sql;
  readonly terms: QuotaTerms;
  readonly #clock: Pick<Clock, "now">;
  #migrated = false;
  /** The version of the counts that the index has confirmed in this incarnation. */
  #countsConfirmed = 0;

  constructor(sql: Sql, clock: Pick<Clock, "now">, terms: QuotaTerms) {
    this.sql = sql;
    this.#clock = clock;
    this.terms = terms;
  }

  now(): number {
    return this.#clock.now();
  }

  /** One transaction, over one instant. */
  write<T>(body: (sql: Sql, now: number) => T): T {
    this.migrate();
    return this.sql.transaction(() => amountsOnce(this.sql, () => body(this.sql, this.now())));
  }

  /** `empty`: of a tenant that never was. */
  read<T>(body: (sql: Sql) => T, empty: T): T {
    if (!this.#migrated && schemaVersion(this.sql) === 0) return empty;
    this.migrate();
    return body(this.sql);
  }

  /** The member that left may have been the last: review in the same transaction, so that nobody joins in between. */
  reviewed<T>(sql: Sql, now: number, result: T): T {
    reviewOpen(sql, this.terms.containers, now);
    if (countsVersion(sql) > this.#countsConfirmed) noteCountsConfirmed(sql, this.#countsConfirmed);
    return result;
  }

  /** The index has not confirmed the newest counts. */
  countsPending(): boolean {
    return this.read((sql) => countsVersion(sql) > Math.max(this.#countsConfirmed, countsConfirmed(sql)), false);
  }

  /** Kept in memory until the tallies are written anyway, or the alarm stores it: told once more, the index changes nothing. */
  countsConfirmed(version: number): void {
    this.#countsConfirmed = Math.max(this.#countsConfirmed, version);
  }

  storeCountsConfirmed(): void {
    if (this.read(countsConfirmed, Infinity) >= this.#countsConfirmed) return;
    this.write((sql) => noteCountsConfirmed(sql, this.#countsConfirmed));
  }

  /** Tables of newer code are not touched, not even read: the caller learns nothing and asks again. */
  migrate(): void {
    if (this.#migrated) return;
    const outcome = migrate(this.sql, tenantMigrations);
    if (outcome.type === "newer") {
      throw new Error(`the tenant's schema ${outcome.stored} is newer than ${outcome.known}, the last this code knows`);
    }
    this.#migrated = true;
  }
}
