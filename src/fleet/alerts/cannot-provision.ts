/** Sandboxes are asked for and none comes to be. */
import type { AlertRule } from "./alert.ts";

export const cannotProvision: AlertRule = {
  name: "cannot_provision",
  severity: "critical",
  summary: "No new sandbox comes to be: every try of the last minutes failed.",
  command: `curl -sS "$MOORING_URL/readyz"`,
  fireAfterMs: () => 0,
  judge({ outcomes }, terms) {
    if (outcomes === null) return { type: "unknown" };
    const failures = outcomes.provisionFailures + outcomes.provisionTimeouts;
    const context = { failures, launches: outcomes.launches, launched: outcomes.launched };
    if (outcomes.launched === 0 && failures >= terms.provisionFailures) return { type: "bad", context };
    return outcomes.launched > 0 || failures === 0 ? { type: "well" } : { type: "between", context };
  },
};
