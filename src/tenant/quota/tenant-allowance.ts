/** How many places of the global cap one tenant holds, as FleetControl was last asked and answered. */
import type { AllowanceReply } from "../../fleet/control/control-api.ts";
import type { TenantRows } from "../tenant-rows.ts";
import {
  type AllowanceDraft,
  allowanceAnswered,
  coversOneMore,
  draftAllowance,
  readAllowance,
  settleAt,
} from "./allowance.ts";
import { openCount } from "./reservations.ts";

export class TenantAllowance {
  readonly #rows: TenantRows;

  constructor(rows: TenantRows) {
    this.#rows = rows;
  }

  coversOneMore(): boolean {
    return this.#rows.read(coversOneMore, false);
  }

  /** FleetControl should hear how the tenant stands. */
  unsettled(): boolean {
    const now = this.#rows.now();
    return this.#rows.read((sql) => (settleAt(sql, now) ?? Infinity) <= now, false);
  }

  /** Until when a place that is not used is kept; null: none is. */
  spareUntil(): number | null {
    const now = this.#rows.now();
    const at = this.#rows.read((sql) => settleAt(sql, now), null);
    return at === null || at <= now ? null : at;
  }

  /** The newest order once more, as it would be made anew: control answers it again and writes nothing. */
  repeated(): AllowanceDraft {
    return this.#rows.read(
      (sql) => {
        const { version, allowed } = readAllowance(sql);
        return { version, held: openCount(sql), wants: allowed };
      },
      { version: 0, held: 0, wants: 0 },
    );
  }

  draft(more: number): AllowanceDraft {
    return this.#rows.write((sql) => draftAllowance(sql, more));
  }

  answered(draft: AllowanceDraft, reply: AllowanceReply): void {
    this.#rows.write((sql, now) => allowanceAnswered(sql, draft, reply, now));
  }
}
