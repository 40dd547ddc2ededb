/** So many sandboxes for so long that somebody has to look, whatever they are for. */
import type { AlertRule } from "./alert.ts";

/** Below this share of the threshold it clears: a count that wavers around the line must not page each minute. */
const clearShare = 0.8;

export const sandboxCountHigh: AlertRule = {
  name: "sandbox_count_high",
  severity: "critical",
  summary: "Very many sandboxes have been active for half an hour.",
  command: `curl -sS -H "Authorization: Bearer $ADMIN_TOKEN" "$MOORING_URL/api/sandbox/stats"`,
  fireAfterMs: (terms) => terms.activeVeryHighMs,
  judge({ counts }, { activeVeryHigh }) {
    if (counts === null) return { type: "unknown" };
    const context = { active: counts.active, threshold: activeVeryHigh };
    if (counts.active > activeVeryHigh) return { type: "bad", context };
    return counts.active <= activeVeryHigh * clearShare ? { type: "well" } : { type: "between", context };
  },
};
