/** A layer of maintenance that runs and fails, again and again. */
import type { AlertRule } from "./alert.ts";

export const cleanupFailing: AlertRule = {
  name: "cleanup_failing",
  severity: "critical",
  summary: "A layer of maintenance fails again and again.",
  command: `curl -sS -H "Authorization: Bearer $ADMIN_TOKEN" "$MOORING_URL/v1/admin/cleanup/runs"`,
  fireAfterMs: () => 0,
  judge({ layers }, { layerFailures }) {
    const failing = layers.filter((layer) => layer.failuresInRow >= layerFailures);
    if (failing.length > 0) {
      const worst = Math.max(...failing.map((layer) => layer.failuresInRow));
      return { type: "bad", context: { layers: failing.map((layer) => layer.layer).join(" "), failures: worst } };
    }
    const wavering = layers.filter((layer) => layer.failuresInRow > 0);
    if (wavering.length === 0) return { type: "well" };
    return { type: "between", context: { layers: wavering.map((layer) => layer.layer).join(" "), failures: 1 } };
  },
};
