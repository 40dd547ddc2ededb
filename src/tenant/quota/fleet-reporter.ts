/** Reports to FleetControl how many sandboxes the tenant uses, and to its shard of the index how it stands, until both confirmed. */
import type { TenantId } from "../../domain/state/ids.ts";
import type { Logger } from "../../runtime/clock-ids-logger.ts";
import type { TenantCore } from "../tenant-core.ts";
import type { AllowanceKeeper } from "./allowance-keeper.ts";
import { type CountsPorts, reportCounts } from "./report-counts.ts";

/** Each reports what changed during the one before; the alarm takes over from a tenant that changes faster than that. */
const reportRounds = 5;

export class FleetReporter {
  readonly #ports: CountsPorts & { readonly logger: Logger };
  readonly #core: TenantCore;
  readonly #keeper: AllowanceKeeper;
  readonly #tenant: () => TenantId;
  #reporting = false;

  constructor(
    ports: CountsPorts & { readonly logger: Logger },
    core: TenantCore,
    keeper: AllowanceKeeper,
    tenant: () => TenantId,
  ) {
    this.#ports = ports;
    this.#core = core;
    this.#keeper = keeper;
    this.#tenant = tenant;
  }

  hasUnreported(): boolean {
    return this.#core.allowance.unsettled() || this.#core.rows.countsPending();
  }

  /** Never rejects. One at a time: what changes meanwhile is reported by the round after it. */
  async report(): Promise<void> {
    if (this.#reporting) return;
    this.#reporting = true;
    try {
      for (let round = 0; this.hasUnreported() && round < reportRounds; round += 1) {
        await this.#keeper.settle();
        if (this.#core.rows.countsPending()) await reportCounts(this.#ports, this.#tenant(), this.#core);
      }
    } catch (error) {
      this.#ports.logger.warn("the fleet was not told", { tenant: this.#tenant(), error: String(error) });
    } finally {
      this.#reporting = false;
    }
  }
}
