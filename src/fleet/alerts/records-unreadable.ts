/** One unreadable record is an accident, two are a pattern: a bad deploy, or storage that lies. */
import type { AlertRule } from "./alert.ts";

const atLeast = 2;

export const recordsUnreadable: AlertRule = {
  name: "records_unreadable",
  severity: "critical",
  summary: "Several sessions' records cannot be read by this version of Mooring.",
  // curl asks for both by itself.
  command: `curl -sS -H "Authorization: Bearer $ADMIN_TOKEN" "$MOORING_URL/v1/admin/sessions?blocked={unreadable,newer_record}"`,
  fireAfterMs: () => 0,
  judge({ counts }) {
    if (counts === null) return { type: "unknown" };
    const unreadable = counts.blocked["unreadable"] ?? 0;
    const newer = counts.blocked["newer_record"] ?? 0;
    if (unreadable + newer < atLeast) return { type: "well" };
    return { type: "bad", context: { unreadable, newer_record: newer } };
  },
};
