/** A tenant, or the whole fleet, has all the sandboxes it may have: the next create is refused. */
import type { AlertRule } from "./alert.ts";

export const quotaExhausted: AlertRule = {
  name: "quota_exhausted",
  severity: "warning",
  summary: "A tenant or the fleet is at its cap of sandboxes: the next create is refused.",
  command: `curl -sS -H "Authorization: Bearer $ADMIN_TOKEN" "$MOORING_URL/v1/admin/ledger"`,
  fireAfterMs: (terms) => terms.settleMs,
  judge({ capacity, fullTenants }) {
    const full = capacity.used >= capacity.limit;
    if (!full && fullTenants.length === 0) return { type: "well" };
    const context = { used: capacity.used, limit: capacity.limit, tenants_at_cap: fullTenants.slice(0, 5).join(" ") };
    return { type: "bad", context };
  },
};
