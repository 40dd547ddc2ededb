/** What a session asks its tenant's registry about snapshots, answered by a registry in this process. */
import type { TenantPort } from "../../src/session/reports/reports.ts";
import { snapshotViewOf } from "../../src/tenant/snapshots/snapshot-view.ts";
import type { TenantCore } from "../../src/tenant/tenant-core.ts";

export function snapshotPort(
  registry: () => TenantCore,
): Pick<TenantPort, "reserveSnapshot" | "settleSnapshot" | "snapshot"> {
  return {
    reserveSnapshot: async (order) => registry().snapshots.reserve(order),
    settleSnapshot: async (session, taken) => registry().snapshots.settle(session, taken),
    snapshot: async (reference) => {
      const found = registry().snapshots.get(reference);
      return found && snapshotViewOf(found);
    },
  };
}
