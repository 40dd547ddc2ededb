/**
 * Every alert of the fleet, one row each. A row says what is wrong, how bad that is, for how long it must last before the
 * alert fires, what to run first, and how a look at the fleet is judged. Each row has a section of its name in
 * docs/operations.md and a rule in docs/prometheus-rules.yml; tests hold both.
 *
 * A judgement is pure. It answers `unknown` when the figures it needs were not seen; `unknown` moves no alert.
 */
import { timeoutRate } from "../../domain/rules/timeout-rate.ts";
import { canaryIsMissed } from "../../domain/probes/canary.ts";
import { certainlyFailing } from "../../domain/probes/restore-drills.ts";
import { type AlertRule, type Judgement, type NamedSession, naming } from "./alert.ts";

const asAdmin = `curl -sS -H "Authorization: Bearer $ADMIN_TOKEN"`;
const at = (path: string): string => `${asAdmin} "$MOORING_URL${path}"`;
const atOnce = (): number => 0;
const well: Judgement = { type: "well" };
const unknown: Judgement = { type: "unknown" };

/** Below this share of its threshold `sandbox_count_high` clears: a count near the line must not page each minute. */
const countClearShare = 0.8;
/** One unreadable record is an accident; two point to a bad deploy or to storage that lies. */
const unreadableAtLeast = 2;
/** A layer is silent after this many intervals, plus the slack that a single late tick needs. */
const silentIntervals = 2;
const tickSlackMs = 60_000;
/** In a context. */
const namedAtMost = 5;

export const alertRules: readonly AlertRule[] = [
  {
    name: "sandbox_timeout_high",
    severity: "warning",
    summary: "Too many jobs, launches and provider calls run into their time limits.",
    command: at("/metrics"),
    cli: "mooring fleet",
    fireAfterMs: atOnce,
    judge({ outcomes }, terms) {
      if (outcomes === null) return unknown;
      const { late, samples, percent } = timeoutRate(outcomes);
      const context = {
        percent: Math.round(percent * 10) / 10,
        samples,
        jobs_timed_out: outcomes.jobsTimedOut,
        provision_timeouts: outcomes.provisionTimeouts,
        calls_timed_out: outcomes.callsTimedOut,
      };
      if (late === 0) return well;
      if (samples < terms.timeoutMinSamples) return { type: "between", context };
      if (percent > terms.timeoutHighPercent) return { type: "bad", context };
      return percent < terms.timeoutClearPercent ? well : { type: "between", context };
    },
  },
  {
    name: "sandbox_leak_detected",
    severity: "critical",
    summary: "More sandboxes are active than expected, and it does not pass.",
    command: at("/api/sandbox/list"),
    cli: "mooring api list-all-sessions --open true",
    fireAfterMs: (terms) => terms.activeHighMs,
    judge({ counts }, { activeHigh, activeClear }) {
      if (counts === null) return unknown;
      const context = { active: counts.active, threshold: activeHigh };
      if (counts.active > activeHigh) return { type: "bad", context };
      return counts.active < activeClear ? well : { type: "between", context };
    },
  },
  {
    name: "sandbox_count_high",
    severity: "critical",
    summary: "Very many sandboxes have been active for half an hour.",
    command: at("/api/sandbox/stats"),
    cli: "mooring fleet",
    fireAfterMs: (terms) => terms.activeVeryHighMs,
    judge({ counts }, { activeVeryHigh }) {
      if (counts === null) return unknown;
      const context = { active: counts.active, threshold: activeVeryHigh };
      if (counts.active > activeVeryHigh) return { type: "bad", context };
      return counts.active <= activeVeryHigh * countClearShare ? well : { type: "between", context };
    },
  },
  {
    name: "session_stuck",
    severity: "warning",
    summary: "A session is stuck: too long in a transition, or past its deadline.",
    command: `${asAdmin} -H "content-type: application/json" -d '{"dry_run":true}' "$MOORING_URL/v1/admin/cleanup"`,
    cli: "mooring cleanup --dry-run",
    fireAfterMs: atOnce,
    judge({ stuck, at: now }) {
      if (stuck === null) return unknown;
      return stuck.length === 0 ? well : { type: "bad", context: naming(stuck, now) };
    },
  },
  {
    name: "records_unreadable",
    severity: "critical",
    summary: "Several sessions' records cannot be read by this version of Mooring.",
    // curl expands the braces and asks for both.
    command: at("/v1/admin/sessions?blocked={unreadable,newer_record}"),
    cli: "mooring sessions --all --blocked unreadable; mooring sessions --all --blocked newer_record",
    fireAfterMs: atOnce,
    judge({ counts }) {
      if (counts === null) return unknown;
      const unreadable = counts.blocked["unreadable"] ?? 0;
      const newer = counts.blocked["newer_record"] ?? 0;
      if (unreadable + newer < unreadableAtLeast) return well;
      return { type: "bad", context: { unreadable, newer_record: newer } };
    },
  },
  {
    name: "cleanup_failing",
    severity: "critical",
    summary: "A layer of maintenance fails again and again.",
    command: at("/v1/admin/cleanup/runs"),
    cli: "mooring api list-cleanup-runs",
    fireAfterMs: atOnce,
    judge({ layers }, { layerFailures }) {
      const failing = layers.filter((layer) => layer.failuresInRow >= layerFailures);
      if (failing.length > 0) {
        const worst = Math.max(...failing.map((layer) => layer.failuresInRow));
        return { type: "bad", context: { layers: failing.map((layer) => layer.layer).join(" "), failures: worst } };
      }
      const wavering = layers.filter((layer) => layer.failuresInRow > 0);
      if (wavering.length === 0) return well;
      return { type: "between", context: { layers: wavering.map((layer) => layer.layer).join(" "), failures: 1 } };
    },
  },
  {
    // The cron, or the whole Worker, does not run.
    name: "cleanup_silent",
    severity: "critical",
    summary: "A layer of maintenance has not run for two intervals.",
    command: at("/v1/admin/cleanup/runs"),
    cli: "mooring api list-cleanup-runs",
    fireAfterMs: atOnce,
    judge({ layers, at: now, watchedSince }, { layerEveryMs }) {
      const silent = Object.entries(layerEveryMs).flatMap(([layer, everyMs]) => {
        const last = layers.find((each) => each.layer === layer)?.lastStartedAt ?? watchedSince;
        const silentMs = now - Math.max(last, watchedSince);
        return silentMs > silentIntervals * everyMs + tickSlackMs ? [{ layer, silentMs }] : [];
      });
      if (silent.length === 0) return well;
      const seconds = Math.round(Math.max(...silent.map(({ silentMs }) => silentMs)) / 1_000);
      return { type: "bad", context: { layers: silent.map(({ layer }) => layer).join(" "), silent_seconds: seconds } };
    },
  },
  {
    // Shared containers belong to no session, so no other alert would ever name one.
    name: "teardown_overdue",
    severity: "critical",
    summary: "A sandbox, or a shared container, that was to be stopped is not proven gone within its bound.",
    command: at("/v1/admin/sessions?teardown=overdue"),
    cli: "mooring api list-all-sessions --teardown overdue",
    fireAfterMs: atOnce,
    judge({ overdueTeardowns, overdueContainers, at: now }) {
      if (overdueTeardowns === null || overdueContainers === null) return unknown;
      if (overdueTeardowns.length + overdueContainers.length === 0) return well;
      const containers = overdueContainers.map(({ id, tenant, from }): NamedSession => ({
        sessionId: id,
        tenant,
        status: "stopping",
        since: from,
      }));
      const { count, oldest_seconds, tenants } = naming([...overdueTeardowns, ...containers], now);
      return {
        type: "bad",
        context: {
          ...naming(overdueTeardowns, now),
          ...(containers.length === 0 ? {} : { containers: naming(containers, now)["sessions"] ?? "" }),
          ...{ count: count ?? 0, oldest_seconds: oldest_seconds ?? 0, tenants: tenants ?? "" },
        },
      };
    },
  },
  {
    name: "cannot_provision",
    severity: "critical",
    summary: "No new sandbox comes to be: every try of the last minutes failed.",
    command: `curl -sS "$MOORING_URL/readyz"`,
    cli: "mooring doctor",
    fireAfterMs: atOnce,
    judge({ outcomes }, terms) {
      if (outcomes === null) return unknown;
      const failures = outcomes.provisionFailures + outcomes.provisionTimeouts;
      const context = { failures, launches: outcomes.launches, launched: outcomes.launched };
      if (outcomes.launched === 0 && failures >= terms.provisionFailures) return { type: "bad", context };
      return outcomes.launched > 0 || failures === 0 ? well : { type: "between", context };
    },
  },
  {
    name: "quota_exhausted",
    severity: "warning",
    summary: "A tenant or the fleet is at its cap of sandboxes: the next create is refused.",
    command: at("/v1/admin/ledger"),
    cli: "mooring api get-ledger",
    fireAfterMs: (terms) => terms.settleMs,
    judge({ capacity, fullTenants }) {
      if (capacity.used < capacity.limit && fullTenants.length === 0) return well;
      const context = { used: capacity.used, limit: capacity.limit, tenants_at_cap: fullTenants.slice(0, 5).join(" ") };
      return { type: "bad", context };
    },
  },
  {
    // Near it is worth a warning: at it, sessions pause and nothing new starts.
    name: "tenant_budget",
    severity: "warning",
    summary:
      "A tenant is near its budget for the month, or has used it up: at it, what costs pauses and nothing starts.",
    command: at("/v1/admin/usage?tenant=acme"),
    cli: "mooring usage --tenant acme",
    fireAfterMs: atOnce,
    judge({ tenantBudgets }) {
      if (tenantBudgets === null) return unknown;
      if (tenantBudgets.length === 0) return well;
      const of = (level: string) => tenantBudgets.filter((each) => each.level === level).map(({ tenant }) => tenant);
      const [usedUp, near] = [of("used_up"), of("near")];
      const context = {
        ...{ count: tenantBudgets.length, used_up: usedUp.slice(0, namedAtMost).join(" ") },
        near: near.slice(0, namedAtMost).join(" "),
      };
      return { type: "bad", context };
    },
  },
  {
    name: "capacity_high",
    severity: "warning",
    summary: "The fleet is close to its cap: overdue, stuck and idle sessions are being shed.",
    command: at("/v1/admin/stats"),
    cli: "mooring fleet",
    fireAfterMs: atOnce,
    judge({ capacity }, terms) {
      const share = capacity.used / capacity.limit;
      const context = { used: capacity.used, limit: capacity.limit, percent: Math.round(share * 100) };
      if (share > terms.capacityHigh) return { type: "bad", context };
      return share < terms.capacityClear ? well : { type: "between", context };
    },
  },
  {
    name: "restore_failed",
    severity: "critical",
    summary: "The saved files of a paused session could not be restored in two drills: a resume would fail too.",
    command: at("/v1/admin/stats"),
    cli: "mooring fleet",
    fireAfterMs: atOnce,
    judge({ drills, at: now }) {
      const failing = certainlyFailing(drills);
      if (failing.length === 0) return well;
      const sessions = failing.map(({ sessionId, tenant, since }) => ({ sessionId, tenant, since, status: "paused" }));
      return { type: "bad", context: { ...naming(sessions, now), why: failing[0]?.why ?? "" } };
    },
  },
  {
    // The canary is an orphan that Mooring planted itself. An audit that misses it would miss any other.
    name: "canary_missed",
    severity: "critical",
    summary: "The orphan that Mooring planted itself was not found and ended in time: a real one would not be either.",
    command: at("/v1/admin/stats"),
    cli: "mooring fleet",
    fireAfterMs: atOnce,
    judge({ canary, at: now }) {
      if (!canaryIsMissed(canary, now)) return well;
      const { planted, last } = canary;
      return {
        type: "bad",
        context:
          planted === null
            ? { lived_seconds: Math.round(((last?.endedAt ?? now) - (last?.plantedAt ?? now)) / 1_000) }
            : {
                sandbox: planted.sandboxId,
                provider: planted.provider,
                lived_seconds: Math.round((now - planted.plantedAt) / 1_000),
              },
      };
    },
  },
  {
    // While a shard is silent most other alerts hold as they are, and somebody has to know that.
    name: "fleet_unobservable",
    severity: "critical",
    summary: "A shard of the fleet's index does not answer: lists, counts and most alerts are blind.",
    command: at("/v1/admin/stats"),
    cli: "mooring fleet",
    fireAfterMs: (terms) => terms.settleMs,
    judge({ shards }) {
      if (shards.silent.length === 0) return well;
      return { type: "bad", context: { silent: shards.silent.join(" "), shards: shards.asked } };
    },
  },
];

/** Where docs/operations.md says what an alert means and what to run. */
export function alertPage(name: string): string {
  return `docs/operations.md#${name}`;
}
