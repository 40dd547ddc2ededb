/** A sandbox that should be gone and is not proven to be: its attempts are used up, or take longer than all of them may. */
import { naming, type AlertRule } from "./alert.ts";

export const teardownOverdue: AlertRule = {
  name: "teardown_overdue",
  severity: "critical",
  summary: "A sandbox that was to be stopped is not proven gone within its bound.",
  command: `curl -sS -H "Authorization: Bearer $ADMIN_TOKEN" "$MOORING_URL/v1/admin/sessions?teardown=overdue"`,
  fireAfterMs: () => 0,
  judge({ overdueTeardowns, at }) {
    if (overdueTeardowns === null) return { type: "unknown" };
    return overdueTeardowns.length === 0 ? { type: "well" } : { type: "bad", context: naming(overdueTeardowns, at) };
  },
};
