/**
 * The rows of one shard: the newest report of each session, listed until it is erased. Synchronous, over any `Sql`.
 *
 * Derived, so it decides nothing and is never asked whether something is gone. A report that was overtaken changes nothing:
 * the order is (createdAt, version, asOf), because a session made anew under an erased id counts from the start
 * again, and a heartbeat repeats its version. Whether the rows are all there is `building`'s to say (shard-build.ts).
 */
import type { SessionId, TenantId } from "../../domain/state/ids.ts";
import type { SessionListItem } from "../../protocol/resources/session/sessions.ts";
import type { Clock } from "../../runtime/clock-ids-logger.ts";
import type { BlockedMark, SessionReport } from "../../session/reports/reports.ts";
import { migrate, schemaVersion } from "../../storage/migrate.ts";
import type { Sql, SqlRow } from "../../storage/sql.ts";
import { recentMs } from "../../domain/rules/timeout-rate.ts";
import { noOutcomes, outcomeTotals } from "./outcomes.ts";
import type {
  FleetQuery,
  FleetRow,
  ListQuery,
  OutcomeTotals,
  OverdueSession,
  ShardStats,
  TenantCounts,
} from "./shard-api.ts";
import {
  applyCounts,
  noStats,
  readOutcomes,
  readOverdueContainers,
  readStats,
  readTenantBudgets,
  recount,
} from "./shard-counters.ts";
import { asFleetQuery, rareLabel, selectStatement } from "./shard-queries.ts";
import { dropLabels, fleetRow, listItem, markRow, readHeld, writeRow } from "./shard-rows.ts";
import { shardMigrations } from "./shard-schema.ts";
import { type RecentEnd, RecentEnds } from "./recent-ends.ts";

/** Far longer than any call may be under way: an overtaken report must still find the tombstone. */
export const tombstoneMs = 86_400_000;
/** Each report removes at most this many old tombstones, so that none of them pays for all. */
const tombstonesAtOnce = 20;
/** A rebuilt row was heard of long ago, so its next heartbeat may take this long: twice the default, ms. */
const restoredGraceMs = 1_800_000;

/** How far the rows were built, and for how many shards. */
export interface BuildState {
  readonly shards: number;
  readonly since: number;
  /** null: under way. */
  readonly builtAt: number | null;
  /** The tenant being read, and the last session of it that was taken; "" before the first. */
  readonly tenant: string;
  readonly session: string;
}

export class ShardIndex {
  readonly #sql: Sql;
  readonly #clock: Pick<Clock, "now">;
  readonly #ends = new RecentEnds();
  #migrated = false;

  constructor(sql: Sql, clock: Pick<Clock, "now">) {
    this.#sql = sql;
    this.#clock = clock;
  }

  /** Answers the version held afterwards: at least the one sent. */
  report(report: SessionReport): { readonly version: number } {
    const now = this.#clock.now();
    const held = this.#write((sql) => applyReport(sql, report, { told: true, heardAt: now, now }));
    // After the write: were it to fail, the row would still say that it runs.
    this.#ends.reported(report);
    return held;
  }

  /** Lists show the end from now on. Writes nothing. */
  toldEnd(end: RecentEnd): void {
    this.#ends.add(end, this.#clock.now());
  }

  markBlocked(mark: BlockedMark): void {
    this.#write((sql) => markRow(sql, mark));
  }

  counts(counts: TenantCounts): { readonly version: number } {
    return this.#write((sql) => applyCounts(sql, counts, this.#clock.now()));
  }

  /** Newest first. Filters run in SQL, so a page is short only when there is no more. */
  list(query: ListQuery): readonly SessionListItem[] {
    if (this.#empty()) return [];
    return this.#selected(asFleetQuery(query)).map(listItem);
  }

  select(query: FleetQuery): readonly FleetRow[] {
    if (this.#empty()) return [];
    return this.#selected(query).map(fleetRow);
  }

  #selected(query: FleetQuery): readonly SqlRow[] {
    const ends = this.#ends.at(this.#clock.now());
    const { text, bindings } = selectStatement(query, rareLabel(this.#sql, query), ends);
    return this.#sql.run(text, ...bindings).map((row) => {
      const status = ends.get(row["session_id"] as string);
      return status === undefined ? row : { ...row, status };
    });
  }

  stats(): ShardStats {
    if (this.#empty()) return { ...noStats, recent: noOutcomes };
    // The index by status is sorted by creation: this reads the first row and those made in the same instant, however many sessions run.
    const [oldest] = this.select({ statuses: ["running"], order: "oldest", limit: 1 });
    const oldestRunning =
      oldest === undefined ? null : { sessionId: oldest.sessionId, tenant: oldest.tenant, createdAt: oldest.createdAt };
    return { ...readStats(this.#sql), recent: this.outcomes(recentMs), oldestRunning };
  }

  /** Sums over the last `windowMs`, to the minute. null: since the shard began to count. */
  outcomes(windowMs: number | null): OutcomeTotals {
    return this.#empty() ? noOutcomes : outcomeTotals(readOutcomes(this.#sql), windowMs, this.#clock.now());
  }

  overdueContainers(now: number, limit: number): ReturnType<typeof readOverdueContainers> {
    return this.#empty() ? [] : readOverdueContainers(this.#sql, now, limit);
  }

  tenantBudgets(now: number, limit: number): ReturnType<typeof readTenantBudgets> {
    return this.#empty() ? [] : readTenantBudgets(this.#sql, now, limit);
  }

  /** Sessions whose next deadline passed before `before`, oldest first. */
  overdue(before: number, limit: number): readonly OverdueSession[] {
    if (this.#empty()) return [];
    const rows = this.#sql.run(
      `SELECT session_id, next_deadline FROM session
       WHERE erased_at IS NULL AND next_deadline IS NOT NULL AND next_deadline < ?
       ORDER BY next_deadline, session_id LIMIT ?`,
      ...[before, limit],
    );
    return rows.map((row) => ({
      sessionId: row["session_id"] as SessionId,
      nextDeadline: row["next_deadline"] as number,
    }));
  }

  sessionCount(): number {
    if (this.#empty()) return 0;
    return Number(this.#sql.run("SELECT count(*) AS n FROM session WHERE erased_at IS NULL")[0]?.["n"]);
  }

  /** null: never built. */
  build(): BuildState | null {
    if (this.#empty()) return null;
    const row = this.#sql.run("SELECT shards, since, built_at, tenant, session FROM build")[0];
    if (row === undefined) return null;
    return {
      shards: row["shards"] as number,
      since: row["since"] as number,
      builtAt: row["built_at"] as number | null,
      tenant: row["tenant"] as string,
      session: row["session"] as string,
    };
  }

  /**
   * What sessions told this shard themselves stays: a registry may not have heard it yet. Tenants that are not `mine` go.
   * `distrust`: every row is to be confirmed by a registry or by its session, and is gone at the end if it was not.
   */
  beginBuild(shards: number, mine: (tenant: TenantId) => boolean, distrust: boolean): void {
    this.#write((sql) => {
      const known = sql.run("SELECT tenant FROM session UNION SELECT tenant FROM tenant_counts");
      for (const { tenant } of known) {
        if (mine(tenant as TenantId)) continue;
        for (const table of ["session", "label", "tenant_counts"])
          sql.run(`DELETE FROM ${table} WHERE tenant = ?`, tenant ?? null);
      }
      if (distrust) {
        sql.run("UPDATE session SET version = 0, as_of = 0 WHERE erased_at IS NULL");
        sql.run("DELETE FROM tenant_counts");
      }
      recount(sql);
      sql.run("DELETE FROM build");
      sql.run(
        "INSERT INTO build (only, shards, since, built_at, tenant, session) VALUES (1, ?, ?, NULL, '', '')",
        ...[shards, this.#clock.now()],
      );
    });
  }

  /** One page of a tenant's registry, and where to go on: `next` is the session it ends with, or null for the next tenant. */
  restore(
    tenant: TenantId,
    reports: readonly SessionReport[],
    counts: TenantCounts | null,
    next: SessionId | null,
  ): void {
    const now = this.#clock.now();
    this.#write((sql) => {
      for (const report of reports) {
        const { nextDeadline } = report;
        const horizon = nextDeadline === null ? null : Math.max(nextDeadline, now + restoredGraceMs);
        applyReport(sql, { ...report, nextDeadline: horizon }, { told: false, heardAt: report.asOf, now });
      }
      if (counts !== null) applyCounts(sql, counts, now);
      // "~" is above every session id: the tenant is done.
      sql.run("UPDATE build SET tenant = ?, session = ?", tenant, next ?? "~");
    });
  }

  finishBuild(): void {
    this.#write((sql) => {
      const unconfirmed = "version = 0 AND erased_at IS NULL";
      const rows = sql.run(`SELECT tenant, session_id, labels FROM session WHERE ${unconfirmed}`);
      for (const row of rows) dropLabels(sql, row);
      sql.run(`DELETE FROM session WHERE ${unconfirmed}`);
      recount(sql);
      sql.run("UPDATE build SET built_at = ?", this.#clock.now());
    });
  }

  /** It was never written to. */
  get untouched(): boolean {
    return this.#empty();
  }

  #empty(): boolean {
    if (!this.#migrated && schemaVersion(this.#sql) === 0) return true;
    this.#migrate();
    return false;
  }

  #write<T>(body: (sql: Sql) => T): T {
    this.#migrate();
    return this.#sql.transaction(() => body(this.#sql));
  }

  #migrate(): void {
    if (this.#migrated) return;
    const outcome = migrate(this.#sql, shardMigrations);
    if (outcome.type === "newer") {
      throw new Error(`the shard's schema ${outcome.stored} is newer than ${outcome.known}, the last this code knows`);
    }
    this.#migrated = true;
  }
}

function applyReport(
  sql: Sql,
  report: SessionReport,
  heard: { readonly told: boolean; readonly heardAt: number; readonly now: number },
): { readonly version: number } {
  const held = readHeld(sql, report.sessionId);
  if (held !== null) {
    // An incarnation that is gone is told its own version, or it would repeat its last words for ever.
    if (report.createdAt < held.createdAt) return { version: report.version };
    const newer = report.version > held.version || (report.version === held.version && report.asOf > held.asOf);
    if (report.createdAt === held.createdAt && !newer) return { version: held.version };
  }
  writeRow(sql, report, held, heard);
  forgetTombstones(sql, heard.now - tombstoneMs);
  return { version: report.version };
}

/** Looked for with every report and hardly ever found: one step in an index, where a DELETE would open every index there is. */
function forgetTombstones(sql: Sql, before: number): void {
  const old = sql.run(
    "SELECT session_id FROM session WHERE erased_at < ? ORDER BY erased_at LIMIT ?",
    before,
    tombstonesAtOnce,
  );
  for (const { session_id: id } of old) sql.run("DELETE FROM session WHERE session_id = ?", id ?? null);
}
