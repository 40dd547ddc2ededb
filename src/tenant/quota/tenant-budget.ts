/** What one tenant spends in the month, which sessions must be told that it is used up, and when the index must hear of it. */
import type { Generation, SessionId } from "../../domain/state/ids.ts";
import type { MonthSpend } from "../../session/reports/reports.ts";
import type { TenantStanding } from "../tenant-api.ts";
import type { TenantRows } from "../tenant-rows.ts";
import { budgetIsNews, budgetNewsAt, noteBudget } from "./budget-news.ts";
import { openCount } from "./reservations.ts";
import { isSpent, markNotified, monthSpend, nothingSpent, spentAt, notifyLater, unnotified } from "./spending.ts";

export class TenantBudget {
  readonly #rows: TenantRows;

  constructor(rows: TenantRows) {
    this.#rows = rows;
  }

  /** The sessions to notify that the month's budget is used up. */
  sessionsToNotify(limit: number): readonly { readonly sessionId: SessionId; readonly generation: Generation }[] {
    const { monthlyNanos } = this.#rows.terms;
    const now = this.#rows.now();
    return this.#rows.read((sql) => (isSpent(sql, monthlyNanos, now) ? unnotified(sql, now, limit) : []), []);
  }

  notified(sessionId: SessionId, generation: Generation): void {
    this.#rows.write((sql, now) => markNotified(sql, sessionId, generation, now));
  }

  notifyLater(sessionId: SessionId, generation: Generation, at: number): void {
    this.#rows.write((sql) => notifyLater(sql, sessionId, generation, at));
  }

  /** When somebody must be told; null: nobody has to be. */
  spentAt(): number | null {
    const { monthlyNanos } = this.#rows.terms;
    return monthlyNanos === null ? null : this.#rows.read((sql) => spentAt(sql, monthlyNanos, this.#rows.now()), null);
  }

  /** When the index is to hear how the tenant stands to the month's budget; null: not for what is known now. */
  newsAt(): number | null {
    return this.#rows.read((sql) => budgetNewsAt(sql, this.#rows.terms.monthlyNanos, this.#rows.now()), null);
  }

  standing(): TenantStanding {
    const { maxSandboxes, monthlyNanos } = this.#rows.terms;
    const now = this.#rows.now();
    const of = (used: number, month: MonthSpend) => ({ sandboxes: { used, limit: maxSandboxes }, month });
    return this.#rows.read(
      (sql) => of(openCount(sql), monthSpend(sql, monthlyNanos, now)),
      of(0, nothingSpent(monthlyNanos, now)),
    );
  }

  /** true: how the tenant stands to the month's budget is news, and the index is told. */
  note(): boolean {
    const { monthlyNanos } = this.#rows.terms;
    if (!this.#rows.read((sql) => budgetIsNews(sql, monthlyNanos, this.#rows.now()), false)) return false;
    return this.#rows.write((sql, now) => noteBudget(sql, monthlyNanos, now));
  }
}
