/** Any session that is in a transition, or past its deadline, for longer than it should be (FLT-5). */
import { naming, type AlertRule } from "./alert.ts";

export const sessionStuck: AlertRule = {
  name: "session_stuck",
  severity: "warning",
  summary: "A session is stuck: too long in a transition, or past its deadline.",
  command: `curl -sS -H "Authorization: Bearer $ADMIN_TOKEN" -H "content-type: application/json" -d '{"dry_run":true}' "$MOORING_URL/v1/admin/cleanup"`,
  fireAfterMs: () => 0,
  judge({ stuck, at }) {
    if (stuck === null) return { type: "unknown" };
    return stuck.length === 0 ? { type: "well" } : { type: "bad", context: naming(stuck, at) };
  },
};
