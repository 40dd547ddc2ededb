/** Tells FleetControl how many sandboxes the tenant uses, and its shard of the index how it stands, until both have heard. */
import type { TenantId } from "../../domain/state/ids.ts";
import type { Logger } from "../../runtime/clock-ids-logger.ts";
import type { TenantCore } from "../tenant-core.ts";
import type { AllowanceKeeper } from "./allowance-keeper.ts";
import { type CountsPorts, tellCounts } from "./report-counts.ts";

/** Each tells what changed during the one before; the alarm takes over from a tenant that changes faster than that. */
const tellRounds = 5;

export class FleetTeller {
  readonly #ports: CountsPorts & { readonly logger: Logger };
  readonly #core: TenantCore;
  readonly #keeper: AllowanceKeeper;
  readonly #tenant: () => TenantId;
  #telling = false;

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

  untold(): boolean {
    return this.#core.allowance.unsettled() || this.#core.rows.countsPending();
  }

  /** Never rejects. One at a time: what changes meanwhile is told by the round after it. */
  async tell(): Promise<void> {
    if (this.#telling) return;
    this.#telling = true;
    try {
      for (let round = 0; this.untold() && round < tellRounds; round += 1) {
        await this.#keeper.settle();
        if (this.#core.rows.countsPending()) await tellCounts(this.#ports, this.#tenant(), this.#core);
      }
    } catch (error) {
      this.#ports.logger.warn("the fleet was not told", { tenant: this.#tenant(), error: String(error) });
    } finally {
      this.#telling = false;
    }
  }
}
