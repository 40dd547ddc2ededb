/** A shard does not answer: most other alerts hold as they are until it does, which somebody has to know. */
import type { AlertRule } from "./alert.ts";

export const fleetUnobservable: AlertRule = {
  name: "fleet_unobservable",
  severity: "critical",
  summary: "A shard of the fleet's index does not answer: lists, counts and most alerts are blind.",
  command: `curl -sS -H "Authorization: Bearer $ADMIN_TOKEN" "$MOORING_URL/v1/admin/stats"`,
  fireAfterMs: (terms) => terms.settleMs,
  judge({ shards }) {
    if (shards.silent.length === 0) return { type: "well" };
    return { type: "bad", context: { silent: shards.silent.join(" "), shards: shards.asked } };
  },
};
