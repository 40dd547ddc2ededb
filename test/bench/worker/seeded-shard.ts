/** A shard that can be filled through the code by which sessions report, many to one turn: 100,000 calls would take minutes. */
import * as mooring from "../../support/workers/composed.ts";
import type { SessionId, TenantId } from "../../../src/domain/state/ids.ts";
import { report } from "../../support/reports.ts";

const statuses = ["running", "running", "running", "paused", "terminated"] as const;

export class SeededShard extends mooring.FleetShard {
  /** Sessions `from` to `to` of this tenant, one second apart; every seventh is labelled `team=blue`. */
  async seed(tenant: string, from: number, to: number, firstAt: number): Promise<void> {
    for (let index = from; index < to; index += 1) {
      const createdAt = firstAt + index * 1_000;
      await this.report(
        report(`s${index.toString(36).padStart(19, "0")}` as SessionId, 1, {
          tenant: tenant as TenantId,
          createdAt,
          asOf: createdAt,
          status: statuses[index % statuses.length] ?? "running",
          labels: { team: index % 7 === 0 ? "blue" : "red", index: String(index) },
        }),
      );
    }
  }
}
