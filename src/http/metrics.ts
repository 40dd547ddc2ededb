/**
 * The fleet as Prometheus text: made anew from one picture for each scrape, because an isolate's own counters would say
 * nothing of the fleet. Labels come from closed sets (phases, statuses, layers, alerts): never a session, a tenant or
 * anything that a client wrote (FLT-14), which is also why no label needs escaping.
 */
import prom from "promjs-plus";
import type { AlertBoard, CapacityView, LayerSummary } from "../fleet/control-api.ts";
import type { OutcomeTotals, ShardStats } from "../fleet/shard-api.ts";

export interface FleetFigures {
  readonly stats: readonly ShardStats[];
  /** Since each shard began to count. */
  readonly outcomes: readonly OutcomeTotals[];
  readonly capacity: CapacityView;
  readonly layers: readonly LayerSummary[];
  readonly board: AlertBoard | null;
}

export const metricsType = "text/plain; version=0.0.4; charset=utf-8";

const outcomeMetrics = {
  launches: ["mooring_launches_total", "Leases opened: launches begun."],
  launched: ["mooring_launched_total", "Launches whose sandbox accepted its lease."],
  provisionFailures: ["mooring_provision_failures_total", "Tries to get a sandbox that failed."],
  provisionTimeouts: [
    "mooring_provision_timeouts_total",
    "Sessions that ended because no sandbox became ready in time.",
  ],
  jobsEnded: ["mooring_jobs_ended_total", "Jobs that were handed over and ended, in any way."],
  jobsTimedOut: ["mooring_jobs_timed_out_total", "Jobs that ran into their own time limit."],
  callsTimedOut: ["mooring_provider_calls_timed_out_total", "Provider calls without an answer within their bound."],
} as const satisfies Readonly<Record<keyof OutcomeTotals, readonly [string, string]>>;

export function metricsText(figures: FleetFigures): string {
  const registry = prom();
  const gauge = (name: string, help: string) => registry.create("gauge", name, help);
  const counter = (name: string, help: string, value: number) => registry.create("counter", name, help).set(value);
  const sum = (of: (stats: ShardStats) => number) => figures.stats.reduce((total, stats) => total + of(stats), 0);

  const sandboxes = gauge("mooring_sandboxes", "Sandboxes by lease phase.");
  for (const phase of ["provisioning", "active", "terminating"] as const)
    sandboxes.set(
      sum((stats) => stats[phase]),
      { phase },
    );
  counter(
    "mooring_sandboxes_created_total",
    "Reservations ever granted.",
    sum((stats) => stats.created),
  );
  counter(
    "mooring_sandboxes_destroyed_total",
    "Sandboxes that ended, proven or asserted.",
    sum((stats) => stats.destroyed),
  );
  counter(
    "mooring_sandboxes_asserted_total",
    "Of the destroyed: on an operator's word alone.",
    sum((stats) => stats.asserted),
  );
  gauge("mooring_tenants", "Tenants that ever had a sandbox.").set(sum((stats) => stats.tenants));
  gauge("mooring_sessions_stuck", "Sessions that are stuck, parked or unreadable.").set(sum((stats) => stats.stuck));
  byLabel(
    gauge("mooring_sessions", "Sessions by status."),
    "status",
    figures.stats.map((stats) => stats.sessions),
  );
  byLabel(
    gauge("mooring_sessions_blocked", "Sessions that cannot go on, by what blocks them."),
    "code",
    figures.stats.map((stats) => stats.blocked),
  );

  gauge("mooring_capacity_limit", "GLOBAL_MAX_SANDBOXES.").set(figures.capacity.limit);
  gauge("mooring_capacity_used", "Granted to all tenants together.").set(figures.capacity.used);
  gauge("mooring_draining", "1 while no new session is taken.").set(figures.capacity.draining === null ? 0 : 1);
  for (const name of Object.keys(outcomeMetrics) as (keyof OutcomeTotals)[]) {
    const [metric, help] = outcomeMetrics[name];
    counter(
      metric,
      help,
      figures.outcomes.reduce((total, outcomes) => total + outcomes[name], 0),
    );
  }

  const started = gauge("mooring_layer_last_started_timestamp_seconds", "When each layer of maintenance last began.");
  const failures = gauge("mooring_layer_failures_in_row", "Runs of each layer since the last that was well.");
  for (const { layer, lastStartedAt, failuresInRow } of figures.layers) {
    started.set(lastStartedAt / 1_000, { layer });
    failures.set(failuresInRow, { layer });
  }
  if (figures.board !== null) {
    gauge("mooring_watch_last_look_timestamp_seconds", "When the alerts were last judged.").set(
      figures.board.lookedAt / 1_000,
    );
    const firing = gauge("mooring_alert_firing", "1 while the alert fires.");
    for (const { name, severity, phase } of figures.board.alerts)
      firing.set(phase === "firing" ? 1 : 0, { alert: name, severity });
  }
  return registry.metrics();
}

function byLabel(
  gauge: { set(value: number, labels: Record<string, string>): unknown },
  label: string,
  counts: readonly Readonly<Record<string, number>>[],
): void {
  const total = new Map<string, number>();
  for (const each of counts)
    for (const [value, count] of Object.entries(each)) total.set(value, (total.get(value) ?? 0) + count);
  for (const [value, count] of [...total].toSorted(([a], [b]) => a.localeCompare(b)))
    gauge.set(count, { [label]: value });
}
