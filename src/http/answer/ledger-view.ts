/** The tenants' books on the wire, one by one and summed, each imbalance in words that name what it is about. */
import type { CapacityView, TenantEntry } from "../../fleet/control/control-api.ts";
import type { LedgerView, TenantLedgerView } from "../../protocol/resources/operator/fleet.ts";
import type { Imbalance, Ledger } from "../../tenant/ledger.ts";

/** `ledgers` in the order of `tenants`. */
export function ledgerOf(
  tenants: readonly TenantEntry[],
  ledgers: readonly Ledger[],
  capacity: CapacityView,
): LedgerView {
  const views = tenants.flatMap((entry, index) => {
    const ledger = ledgers[index];
    return ledger === undefined ? [] : [tenantView(entry, ledger)];
  });
  return {
    balanced: views.every((view) => view.imbalances.length === 0),
    total: sumOf(views),
    global: { limit: capacity.limit, booked: capacity.used },
    tenants: views,
  };
}

function tenantView(entry: TenantEntry, ledger: Ledger): TenantLedgerView {
  const { granted, reserved, launching, held, stopping, proven, cancelled, asserted } = ledger.counts;
  return {
    tenant: entry.tenant,
    granted,
    open: { reserved, launching, held, stopping },
    released: { proven, cancelled },
    asserted,
    snapshots: ledger.snapshots,
    used: ledger.used,
    allowed: entry.allowed,
    imbalances: ledger.imbalances.map(inWords),
  };
}

function sumOf(views: readonly TenantLedgerView[]): LedgerView["total"] {
  const sum = (of: (view: TenantLedgerView) => number) => views.reduce((total, view) => total + of(view), 0);
  return {
    granted: sum((view) => view.granted),
    open: {
      reserved: sum((view) => view.open.reserved),
      launching: sum((view) => view.open.launching),
      held: sum((view) => view.open.held),
      stopping: sum((view) => view.open.stopping),
    },
    released: { proven: sum((view) => view.released.proven), cancelled: sum((view) => view.released.cancelled) },
    asserted: sum((view) => view.asserted),
    snapshots: {
      count: sum(({ snapshots }) => snapshots.count),
      bytes: sum(({ snapshots }) => snapshots.bytes),
      deleting: sum(({ snapshots }) => snapshots.deleting),
    },
    used: sum((view) => view.used),
  };
}

function inWords(imbalance: Imbalance): string {
  switch (imbalance.type) {
    case "tally":
      return `${imbalance.name}: the kept tally is ${imbalance.kept}, the rows are ${imbalance.rows}`;
    case "equation":
      return `granted ${imbalance.granted}, but ${imbalance.accounted} are accounted for`;
    case "unaccounted":
      return `session ${imbalance.sessionId} generation ${imbalance.generation}: open, and its session no longer lists it`;
    case "vanished":
      return `session ${imbalance.sessionId}: reserved, and there is no record of the session`;
  }
}
