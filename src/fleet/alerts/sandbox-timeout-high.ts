/** Too much of what was started ran into a time limit. Planned ends (a session's own clocks) never count. */
import type { AlertRule } from "./alert.ts";

export const sandboxTimeoutHigh: AlertRule = {
  name: "sandbox_timeout_high",
  severity: "warning",
  summary: "Too many jobs, launches and provider calls run into their time limits.",
  command: `curl -sS -H "Authorization: Bearer $ADMIN_TOKEN" "$MOORING_URL/metrics"`,
  fireAfterMs: () => 0,
  judge({ outcomes }, terms) {
    if (outcomes === null) return { type: "unknown" };
    const late = outcomes.jobsTimedOut + outcomes.provisionTimeouts + outcomes.callsTimedOut;
    const samples = outcomes.jobsEnded + outcomes.launches;
    // Calls are not among the samples, so a dead provider may bring more late ones than there are: that is 100 %.
    const percent = samples === 0 ? 0 : Math.min(100, (100 * late) / samples);
    const context = {
      percent: Math.round(percent * 10) / 10,
      samples,
      jobs_timed_out: outcomes.jobsTimedOut,
      provision_timeouts: outcomes.provisionTimeouts,
      calls_timed_out: outcomes.callsTimedOut,
    };
    if (late === 0) return { type: "well" };
    if (samples < terms.timeoutMinSamples) return { type: "between", context };
    if (percent > terms.timeoutHighPercent) return { type: "bad", context };
    return percent < terms.timeoutClearPercent ? { type: "well" } : { type: "between", context };
  },
};
