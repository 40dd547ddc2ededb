/** More sandboxes than this fleet usually needs, for longer than a burst of work lasts. */
import type { AlertRule } from "./alert.ts";

export const sandboxLeakDetected: AlertRule = {
  name: "sandbox_leak_detected",
  severity: "critical",
  summary: "More sandboxes are active than expected, and it does not pass.",
  command: `curl -sS -H "Authorization: Bearer $ADMIN_TOKEN" "$MOORING_URL/api/sandbox/list"`,
  fireAfterMs: (terms) => terms.activeHighMs,
  judge({ counts }, { activeHigh, activeClear }) {
    if (counts === null) return { type: "unknown" };
    const context = { active: counts.active, threshold: activeHigh };
    if (counts.active > activeHigh) return { type: "bad", context };
    return counts.active < activeClear ? { type: "well" } : { type: "between", context };
  },
};
