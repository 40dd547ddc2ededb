/**
 * One tenant over one database, synchronous: what TenantObject is a shell around, and what the simulation runs in Node. Each part has its
 * concern: places, the global cap, money, containers, snapshots, receipts, keys. What concerns several is here: what a session reports, the
 * counts for the index, pruning, and when to look again. Every method that writes is one transaction.
 */
import type { SessionId } from "../domain/state/ids.ts";
import type { TenantCounts } from "../fleet/shard/shard-api.ts";
import type { Clock } from "../runtime/clock-ids-logger.ts";
import type { SessionReport } from "../session/reports/reports.ts";
import type { Sql } from "../storage/sql.ts";
import { applyReport } from "./apply-report.ts";
import { earliestContainerLook, overdueContainers } from "./containers/containers.ts";
import { TenantContainers } from "./containers/tenant-containers.ts";
import { type ForgottenRow, readForgotten } from "./forgotten.ts";
import { KeyRing } from "./keys/key-ring.ts";
import { noLedger, readCounts, readLedger, type Ledger } from "./ledger.ts";
import { nextPruneAt, pruneIsDue, pruneOnce } from "./pruning.ts";
import { notedBudget } from "./quota/budget-news.ts";
import type { QuotaTerms } from "./quota/quota.ts";
import { earliestLook } from "./quota/reservations.ts";
import { spendRate } from "./quota/spending.ts";
import { TenantAllowance } from "./quota/tenant-allowance.ts";
import { TenantBudget } from "./quota/tenant-budget.ts";
import { TenantQuota } from "./quota/tenant-quota.ts";
import { TenantReceipts } from "./receipts/tenant-receipts.ts";
import { type RegisteredSession, reportsAfter, sessionsAfter } from "./sessions.ts";
import { earliestSnapshotLook } from "./snapshots/snapshot-rows.ts";
import { TenantSnapshots } from "./snapshots/tenant-snapshots.ts";
import { TenantRows } from "./tenant-rows.ts";
import { noUsage, readUsage, type TenantUsage } from "./usage.ts";
import { noteReport } from "./webhooks/webhook-sessions.ts";

export class TenantCore {
  readonly quota: TenantQuota;
  readonly allowance: TenantAllowance;
  readonly budget: TenantBudget;
  readonly containers: TenantContainers;
  readonly snapshots: TenantSnapshots;
  readonly receipts: TenantReceipts;
  readonly keys: KeyRing;
  readonly rows: TenantRows;

  constructor(sql: Sql, clock: Pick<Clock, "now">, terms: QuotaTerms) {
    const rows = new TenantRows(sql, clock, terms);
    this.rows = rows;
    this.quota = new TenantQuota(rows);
    this.allowance = new TenantAllowance(rows);
    this.budget = new TenantBudget(rows);
    this.containers = new TenantContainers(rows);
    this.snapshots = new TenantSnapshots(rows);
    this.receipts = new TenantReceipts(rows);
    this.keys = new KeyRing(rows);
  }

  report(report: SessionReport): { readonly version: number } {
    return this.rows.write((sql, now) => {
      noteReport(sql, report);
      return this.rows.reviewed(sql, now, applyReport(sql, report, this.rows.terms, now));
    });
  }

  ledger(): Ledger {
    return this.rows.read(readLedger, noLedger);
  }

  /** The tallies as one picture; version 0: nothing was ever counted. */
  counts(): Omit<TenantCounts, "tenant"> {
    const { policy } = this.rows.terms.containers;
    return this.rows.read(
      (sql) => ({
        ...readCounts(sql),
        overdueContainers: overdueContainers(sql, policy),
        budget: notedBudget(sql),
        nanosPerSecond: spendRate(sql),
      }),
      { ...noLedger.counts, version: 0, overdueContainers: [], budget: null, nanosPerSecond: 0 },
    );
  }

  usage(): TenantUsage {
    return this.rows.read(readUsage, noUsage);
  }

  /** What the index is built from, in the order of the id. */
  reports(after: SessionId | null, limit: number): readonly SessionReport[] {
    return this.rows.read((sql) => reportsAfter(sql, after, limit), []);
  }

  sessions(after: SessionId | null, limit: number): readonly RegisteredSession[] {
    return this.rows.read((sql) => sessionsAfter(sql, after, limit), []);
  }

  /** At most `limit`, in the order of the session. */
  forgottenSnapshots(limit: number): readonly ForgottenRow[] {
    return this.rows.read((sql) => readForgotten(sql, limit), []);
  }

  /** One bounded transaction. true: there is more to forget. */
  prune(): boolean {
    return this.rows.write(pruneOnce);
  }

  pruneDue(): boolean {
    return this.rows.read((sql) => pruneIsDue(sql, this.rows.now()), false);
  }

  /** When to look again: for a reservation without a lease, or to prune. null: this tenant holds nothing. */
  nextLook(): number | null {
    return this.rows.read((sql) => {
      const prune = nextPruneAt(sql, this.rows.now());
      const looks = [earliestLook(sql), prune, earliestContainerLook(sql), earliestSnapshotLook(sql)].filter(
        (at) => at !== null,
      );
      return looks.length === 0 ? null : Math.min(...looks);
    }, null);
  }
}
