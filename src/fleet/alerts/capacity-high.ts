/** The fleet is so full that it sheds by itself (FLT-8). */
import type { AlertRule } from "./alert.ts";

export const capacityHigh: AlertRule = {
  name: "capacity_high",
  severity: "warning",
  summary: "The fleet is close to its cap: overdue, stuck and idle sessions are being shed.",
  command: `curl -sS -H "Authorization: Bearer $ADMIN_TOKEN" "$MOORING_URL/v1/admin/stats"`,
  fireAfterMs: () => 0,
  judge({ capacity }, terms) {
    const share = capacity.used / capacity.limit;
    const context = { used: capacity.used, limit: capacity.limit, percent: Math.round(share * 100) };
    if (share > terms.capacityHigh) return { type: "bad", context };
    return share < terms.capacityClear ? { type: "well" } : { type: "between", context };
  },
};
