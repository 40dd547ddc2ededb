/**
 * One tenant over one database, synchronous: what TenantObject is a shell around, and what the simulation runs in Node.
 * Every method that writes is one transaction. Reading a tenant that never was writes nothing (API-12).
 */
import type { AttemptResult, Container, StoppingContainer } from "../domain/state/container.ts";
import type { ContainerResolution } from "../domain/rules/container-exits.ts";
import type { TenantCounts } from "../fleet/shard/shard-api.ts";
import type { AttemptId, ContainerId, Generation, SessionId } from "../domain/state/ids.ts";
import type { ReceiptPage } from "../protocol/resources/session/receipts.ts";
import type { TeardownView } from "../protocol/resources/session/sessions.ts";
import type { Clock } from "../runtime/clock-ids-logger.ts";
import type { TakenSnapshot } from "../domain/state/session.ts";
import type {
  MonthSpend,
  PauseOrder,
  PauseReply,
  ReserveOrder,
  ReserveReply,
  SessionReport,
  SnapshotOrder,
  SnapshotReply,
} from "../session/reports/reports.ts";
import { amountsOnce } from "../storage/amounts.ts";
import { migrate, schemaVersion } from "../storage/migrate.ts";
import type { Sql } from "../storage/sql.ts";
import type { AllowanceReply } from "../fleet/control/control-api.ts";
import {
  type AllowanceDraft,
  allowanceAnswered,
  covered,
  draftAllowance,
  readAllowance,
  settleAt,
} from "./quota/allowance.ts";
import { type Breaker, newBreaker } from "./quota/breaker.ts";
import { beginAttempt, finishAttempt, resolveContainer, takeDue } from "./containers/container-ends.ts";
import {
  containerById,
  containersAfter,
  earliestContainerLook,
  type ListedContainer,
  overdueContainers,
  reviewOpen,
} from "./containers/containers.ts";
import { type ForgottenRow, readForgotten } from "./forgotten.ts";
import {
  countsConfirmed,
  countsVersion,
  noLedger,
  noteCountsConfirmed,
  readCounts,
  readLedger,
  type Ledger,
} from "./ledger.ts";
import { admitPause } from "./quota/pauses.ts";
import { cancelReservation, judge, type Judgement, type QuotaTerms, readBreaker, reserve } from "./quota/quota.ts";
import { nextPruneAt, pruneIsDue, pruneOnce } from "./pruning.ts";
import { applyReport, readReceipt } from "./apply-report.ts";
import {
  earliestLook,
  isOpenState,
  lookAgainAt,
  openCount,
  overdueReservations,
  readReservation,
  type Reservation,
  unreleased,
} from "./quota/reservations.ts";
import { chainPage, noChain, noReceipts, receiptsOf, type SessionReceiptRows } from "./receipts/chain-rows.ts";
import { tenantMigrations } from "./schema.ts";
import {
  deleteSnapshot,
  deletionFinished,
  type DeletionResult,
  reserveSnapshot,
  settleSnapshot,
  takeDueSnapshots,
} from "./snapshots/snapshot-life.ts";
import {
  countSnapshots,
  earliestSnapshotLook,
  findSnapshot,
  listSnapshots,
  type SnapshotCounts,
  type SnapshotQuery,
  type TenantSnapshot,
  unreleasedSnapshots,
} from "./snapshots/snapshot-rows.ts";
import {
  type KeyQuestion,
  type KeyStanding,
  keyStanding,
  noKeys,
  noKeyStanding,
  noteKeyUses,
  readKeys,
  type Revocation,
  revokeAllKeys,
  revokeKey,
  type TenantKeys,
} from "./keys.ts";
import { budgetIsNews, budgetNewsAt, noteBudget, notedBudget } from "./quota/budget-news.ts";
import {
  isSpent,
  markTold,
  monthSpend,
  nothingSpent,
  spendRate,
  spentAt,
  tellLater,
  untold,
} from "./quota/spending.ts";
import { markVanished, type RegisteredSession, reportsAfter, sessionsAfter } from "./sessions.ts";
import type { ContainerReply, OpenCursor, TenantStanding } from "./tenant-api.ts";
import { noUsage, readUsage, type TenantUsage } from "./usage.ts";
import { noteReport } from "./webhooks/session-news.ts";

export class TenantCore {
  readonly #sql: Sql;
  readonly #clock: Pick<Clock, "now">;
  readonly #terms: QuotaTerms;
  #migrated = false;
  /** The version of the counts that the index has confirmed in this incarnation. */
  #countsConfirmed = 0;

  constructor(sql: Sql, clock: Pick<Clock, "now">, terms: QuotaTerms) {
    this.#sql = sql;
    this.#clock = clock;
    this.#terms = terms;
  }

  /** What `reserve` would answer now. Writes nothing but, for a tenant that never was, its tables. */
  judge(order: ReserveOrder): Judgement {
    this.#migrate();
    return judge(this.#sql, order, this.#terms, this.#clock.now());
  }

  /** By the tenant's own cap and breaker. The global cap comes before it (allowance-keeper.ts). */
  reserve(order: ReserveOrder): ReserveReply {
    return this.#write((sql, now) => this.#reviewed(sql, now, reserve(sql, order, this.#terms, now)));
  }

  cancelReservation(sessionId: SessionId, generation: Generation): void {
    this.#write((sql, now) => this.#reviewed(sql, now, cancelReservation(sql, sessionId, generation, now)));
  }

  /** A place among the tenant's paused sessions. */
  admitPause(order: PauseOrder): PauseReply {
    return this.#write((sql, now) => admitPause(sql, order, this.#terms.pauses, now));
  }

  reserveSnapshot(order: SnapshotOrder): SnapshotReply {
    return this.#write((sql, now) => reserveSnapshot(sql, order, this.#terms.pauses, now));
  }

  settleSnapshot(sessionId: SessionId, taken: TakenSnapshot): void {
    this.#write((sql, now) => settleSnapshot(sql, sessionId, taken, now));
  }

  /** By id or name; null: there is none. */
  snapshot(reference: string): TenantSnapshot | null {
    return this.#read((sql) => findSnapshot(sql, reference), null);
  }

  snapshots(query: SnapshotQuery): readonly TenantSnapshot[] {
    return this.#read((sql) => listSnapshots(sql, query), []);
  }

  /** Everything whose bytes may be there, in the order of the id. */
  unreleasedSnapshots(after: string | null, limit: number): readonly TenantSnapshot[] {
    return this.#read((sql) => unreleasedSnapshots(sql, after, limit), []);
  }

  snapshotCounts(): SnapshotCounts {
    return this.#read(countSnapshots, { count: 0, bytes: 0, deleting: 0 });
  }

  /** null: there is none. */
  deleteSnapshot(reference: string): TenantSnapshot | null {
    return this.#write((sql, now) => {
      const found = findSnapshot(sql, reference);
      return found && deleteSnapshot(sql, found, now);
    });
  }

  snapshotsDue(): boolean {
    return this.#read((sql) => (earliestSnapshotLook(sql) ?? Infinity) <= this.#clock.now(), false);
  }

  takeDueSnapshots(limit: number): readonly TenantSnapshot[] {
    return this.#write((sql, now) => takeDueSnapshots(sql, now, limit));
  }

  snapshotDeletionFinished(id: string, result: DeletionResult): void {
    this.#write((sql, now) => deletionFinished(sql, id, result, now));
  }

  report(report: SessionReport): { readonly version: number } {
    return this.#write((sql, now) => {
      noteReport(sql, report);
      return this.#reviewed(sql, now, applyReport(sql, report, this.#terms, now));
    });
  }

  ledger(): Ledger {
    return this.#read(readLedger, noLedger);
  }

  /** The tallies as one picture; version 0: nothing was ever counted. */
  counts(): Omit<TenantCounts, "tenant"> {
    const { policy } = this.#terms.containers;
    return this.#read(
      (sql) => ({
        ...readCounts(sql),
        overdueContainers: overdueContainers(sql, policy),
        budget: notedBudget(sql),
        nanosPerSecond: spendRate(sql),
      }),
      { ...noLedger.counts, version: 0, overdueContainers: [], budget: null, nanosPerSecond: 0 },
    );
  }

  /** The index has not confirmed the newest counts. */
  countsPending(): boolean {
    return this.#read((sql) => countsVersion(sql) > Math.max(this.#countsConfirmed, countsConfirmed(sql)), false);
  }

  /** Kept in memory until the tallies are written anyway, or the alarm stores it: told once more, the index changes nothing. */
  countsConfirmed(version: number): void {
    this.#countsConfirmed = Math.max(this.#countsConfirmed, version);
  }

  storeCountsConfirmed(): void {
    if (this.#read(countsConfirmed, Infinity) >= this.#countsConfirmed) return;
    this.#write((sql) => noteCountsConfirmed(sql, this.#countsConfirmed));
  }

  covered(): boolean {
    return this.#read(covered, false);
  }

  /** FleetControl should hear how the tenant stands. */
  unsettled(): boolean {
    const now = this.#clock.now();
    return this.#read((sql) => (settleAt(sql, now) ?? Infinity) <= now, false);
  }

  /** Until when a place that is not used is kept; null: none is. */
  spareUntil(): number | null {
    const now = this.#clock.now();
    const at = this.#read((sql) => settleAt(sql, now), null);
    return at === null || at <= now ? null : at;
  }

  /** The newest order once more, as it would be made anew: control answers it again and writes nothing. */
  repeatedAllowance(): AllowanceDraft {
    return this.#read(
      (sql) => {
        const { version, allowed } = readAllowance(sql);
        return { version, held: openCount(sql), wants: allowed };
      },
      { version: 0, held: 0, wants: 0 },
    );
  }

  draftAllowance(more: number): AllowanceDraft {
    return this.#write((sql) => draftAllowance(sql, more));
  }

  allowanceAnswered(draft: AllowanceDraft, reply: AllowanceReply): void {
    this.#write((sql, now) => allowanceAnswered(sql, draft, reply, now));
  }

  breaker(): Breaker {
    return this.#read(readBreaker, newBreaker);
  }

  revokeKey(keyId: string): Revocation {
    return this.#write((sql, now) => revokeKey(sql, keyId, now));
  }

  revokeAllKeys(): number {
    return this.#write(revokeAllKeys);
  }

  /** Who is to be told now that the month's budget is used up. */
  sessionsToTellSpent(limit: number): readonly { readonly sessionId: SessionId; readonly generation: Generation }[] {
    const { monthlyNanos } = this.#terms;
    const now = this.#clock.now();
    return this.#read((sql) => (isSpent(sql, monthlyNanos, now) ? untold(sql, now, limit) : []), []);
  }

  toldSpent(sessionId: SessionId, generation: Generation): void {
    this.#write((sql, now) => markTold(sql, sessionId, generation, now));
  }

  tellSpentLater(sessionId: SessionId, generation: Generation, at: number): void {
    this.#write((sql) => tellLater(sql, sessionId, generation, at));
  }

  /** When somebody must be told; null: nobody has to be. */
  spentAt(): number | null {
    const { monthlyNanos } = this.#terms;
    return monthlyNanos === null ? null : this.#read((sql) => spentAt(sql, monthlyNanos, this.#clock.now()), null);
  }

  /** When the index is to hear how the tenant stands to the month's budget; null: not for what is known now. */
  budgetNewsAt(): number | null {
    return this.#read((sql) => budgetNewsAt(sql, this.#terms.monthlyNanos, this.#clock.now()), null);
  }

  standing(): TenantStanding {
    const { maxSandboxes, monthlyNanos } = this.#terms;
    const now = this.#clock.now();
    const of = (used: number, month: MonthSpend) => ({ sandboxes: { used, limit: maxSandboxes }, month });
    return this.#read(
      (sql) => of(openCount(sql), monthSpend(sql, monthlyNanos, now)),
      of(0, nothingSpent(monthlyNanos, now)),
    );
  }

  /** true: how the tenant stands to the month's budget is news, and the index is told. */
  noteBudget(): boolean {
    const { monthlyNanos } = this.#terms;
    if (!this.#read((sql) => budgetIsNews(sql, monthlyNanos, this.#clock.now()), false)) return false;
    return this.#write((sql, now) => noteBudget(sql, monthlyNanos, now));
  }

  checkKeys({ version, used }: KeyQuestion): KeyStanding {
    if (used.length > 0) this.#write((sql) => noteKeyUses(sql, used));
    return this.#read((sql) => keyStanding(sql, version), noKeyStanding);
  }

  keys(): TenantKeys {
    return this.#read(readKeys, noKeys);
  }

  usage(): TenantUsage {
    return this.#read(readUsage, noUsage);
  }

  /** What the index is built from, in the order of the id. */
  reports(after: SessionId | null, limit: number): readonly SessionReport[] {
    return this.#read((sql) => reportsAfter(sql, after, limit), []);
  }

  open(after: OpenCursor | null, limit: number): readonly Reservation[] {
    return this.#read((sql) => unreleased(sql, after, limit), []);
  }

  sessions(after: SessionId | null, limit: number): readonly RegisteredSession[] {
    return this.#read((sql) => sessionsAfter(sql, after, limit), []);
  }

  /** At most `limit`, in the order of the session. */
  forgottenSnapshots(limit: number): readonly ForgottenRow[] {
    return this.#read((sql) => readForgotten(sql, limit), []);
  }

  receipt(sessionId: SessionId, generation: Generation | null): TeardownView | null {
    return this.#read((sql) => readReceipt(sql, sessionId, generation), null);
  }

  sessionReceipts(sessionId: SessionId): SessionReceiptRows {
    return this.#read((sql) => receiptsOf(sql, sessionId), noReceipts);
  }

  receiptChain(after: number, limit: number): ReceiptPage {
    return this.#read((sql) => chainPage(sql, after, limit), noChain);
  }

  /**
   * Reservations that should long have become a lease or been given back. Each is put off to the next turn by being
   * taken, so that one whose session cannot answer is asked again, but not at once.
   */
  takeOverdue(limit: number): readonly Reservation[] {
    return this.#write((sql, now) => {
      const overdue = overdueReservations(sql, now, limit);
      for (const each of overdue) lookAgainAt(sql, each, now + this.#terms.orphanAfterMs);
      return overdue;
    });
  }

  /**
   * The session of `reservation` says that it has no record of itself. A session stores that it will launch before it does,
   * and keeps that until its receipt is told: so a reservation that no report ever listed was never used (a create that was
   * refused, whose request arrived once more), and is given back with its tombstone. One that was listed proves a
   * sandbox that nobody accounts for: nothing is freed, the ledger names it, and an audit has the sandbox id to look at.
   */
  sessionVanished(reservation: Reservation): void {
    this.#write((sql, now) => {
      const still = readReservation(sql, reservation.sessionId, reservation.generation);
      if (still === null || !isOpenState(still.state)) return;
      if (still.state === "reserved" && !still.listed) cancelReservation(sql, still.sessionId, still.generation, now);
      else markVanished(sql, still.sessionId, now);
      this.#reviewed(sql, now, undefined);
    });
  }

  /** One bounded transaction. true: there is more to forget. */
  prune(): boolean {
    return this.#write(pruneOnce);
  }

  pruneDue(): boolean {
    return this.#read((sql) => pruneIsDue(sql, this.#clock.now()), false);
  }

  /** When to look again: for a reservation without a lease, or to prune. null: this tenant holds nothing. */
  nextLook(): number | null {
    return this.#read((sql) => {
      const prune = nextPruneAt(sql, this.#clock.now());
      const looks = [earliestLook(sql), prune, earliestContainerLook(sql), earliestSnapshotLook(sql)].filter(
        (at) => at !== null,
      );
      return looks.length === 0 ? null : Math.min(...looks);
    }, null);
  }

  /** One transaction over the tables of a part with rows of its own (webhooks). */
  change<T>(body: (sql: Sql) => T): T {
    return this.#write((sql) => body(sql));
  }

  /** `empty`: of a tenant that never was. */
  look<T>(body: (sql: Sql) => T, empty: T): T {
    return this.#read(body, empty);
  }

  /** In the order of the id, strictly after `after`: those that are gone too, while their receipts are kept. */
  containers(
    after: ContainerId | null,
    limit: number,
    phase: Container["phase"] | null = null,
  ): readonly ListedContainer[] {
    return this.#read((sql) => containersAfter(sql, after, limit, phase, this.#terms.containers.policy), []);
  }

  container(id: ContainerId): ListedContainer | null {
    return this.#read((sql) => containerById(sql, id, this.#terms.containers.policy), null);
  }

  /** An operator's act on a container that was at `revision` when it was decided on; null: whatever it is by now. */
  resolveContainer(id: ContainerId, order: ContainerResolution, revision: number | null): ContainerReply {
    return this.#write((sql, now) => resolveContainer(sql, id, order, revision, this.#terms.containers, now));
  }

  /** Something of a container is to be done now. */
  containersDue(): boolean {
    return this.#read((sql) => (earliestContainerLook(sql) ?? Infinity) <= this.#clock.now(), false);
  }

  /** Those whose end begins or goes on now. An attempt of which nothing was heard in time is over. */
  takeDueContainers(jitter: () => number, limit: number): readonly StoppingContainer[] {
    return this.#write((sql, now) => takeDue(sql, jitter, limit, this.#terms.containers, now));
  }

  /** null: no attempt is due. Stored, with its deadline, before anything is asked of a provider. */
  beginContainerAttempt(id: ContainerId, attemptId: AttemptId): StoppingContainer | null {
    return this.#write((sql, now) => beginAttempt(sql, id, attemptId, this.#terms.containers, now));
  }

  /** What it is after this attempt; null: the attempt was given up before, and changes nothing. */
  containerAttemptFinished(id: ContainerId, result: AttemptResult): Container | null {
    return this.#write((sql, now) => finishAttempt(sql, id, result, this.#terms.containers, now));
  }

  /** Whoever left may have been the last: in the same transaction, so that nobody joins in between. */
  #reviewed<T>(sql: Sql, now: number, result: T): T {
    reviewOpen(sql, this.#terms.containers, now);
    if (countsVersion(sql) > this.#countsConfirmed) noteCountsConfirmed(sql, this.#countsConfirmed);
    return result;
  }

  #write<T>(body: (sql: Sql, now: number) => T): T {
    this.#migrate();
    return this.#sql.transaction(() => amountsOnce(this.#sql, () => body(this.#sql, this.#clock.now())));
  }

  #read<T>(body: (sql: Sql) => T, empty: T): T {
    if (!this.#migrated && schemaVersion(this.#sql) === 0) return empty;
    this.#migrate();
    return body(this.#sql);
  }

  /** Tables of newer code are not touched, not even read: the caller learns nothing and asks again. */
  #migrate(): void {
    if (this.#migrated) return;
    const outcome = migrate(this.#sql, tenantMigrations);
    if (outcome.type === "newer") {
      throw new Error(`the tenant's schema ${outcome.stored} is newer than ${outcome.known}, the last this code knows`);
    }
    this.#migrated = true;
  }
}
