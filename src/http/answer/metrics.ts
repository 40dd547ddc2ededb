/**
 * The fleet as Prometheus text. Every scrape makes it anew from one picture of the fleet: the counters of one isolate would
 * say nothing about the others. Labels come from closed sets (phases, statuses, layers, alerts) and never from a client, so
 * no label needs escaping.
 */
import type { AlertBoard, CapacityView, LayerSummary } from "../../fleet/control/control-api.ts";
import type { StatsView } from "../../protocol/resources/operator/fleet.ts";
import type { OutcomeTotals, ShardStats } from "../../fleet/shard/shard-api.ts";

export interface FleetFigures {
  readonly stats: readonly ShardStats[];
  /** Since each shard began to count. */
  readonly outcomes: readonly OutcomeTotals[];
  readonly capacity: CapacityView;
  readonly layers: readonly LayerSummary[];
  readonly board: AlertBoard | null;
  readonly probes: Pick<StatsView, "canary" | "restore_drill">;
}

export const metricsType = "text/plain; version=0.0.4; charset=utf-8";

interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}
interface Metric {
  readonly type: "gauge" | "counter";
  readonly name: string;
  readonly help: string;
  readonly samples: readonly Sample[];
}

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
  return [
    ...sandboxMetrics(figures),
    ...outcomeTotals(figures),
    ...maintenanceMetrics(figures),
    ...probeMetrics(figures),
  ]
    .map(render)
    .join("");
}

function probeMetrics({ probes: { canary, restore_drill: drills } }: FleetFigures): readonly Metric[] {
  const outcomes = (["proven", "failed", "inconclusive"] as const).map((outcome) => ({
    labels: { outcome },
    value: drills[outcome],
  }));
  return [
    ...(canary.found_after_seconds === null
      ? []
      : [
          gauge("mooring_canary_lived_seconds", "How long the last planted orphan lived.", [
            { value: canary.found_after_seconds },
          ]),
        ]),
    {
      type: "counter",
      name: "mooring_restore_drills_total",
      help: "Test restores of paused sessions, by outcome.",
      samples: outcomes,
    },
  ];
}

function sandboxMetrics({ stats, capacity }: FleetFigures): readonly Metric[] {
  const sum = (of: (each: ShardStats) => number) => stats.reduce((total, each) => total + of(each), 0);
  const phases = (["provisioning", "active", "terminating"] as const).map((phase) => ({
    labels: { phase },
    value: sum((each) => each[phase]),
  }));
  return [
    gauge("mooring_sandboxes", "Sandboxes by lease phase.", phases),
    counter(
      "mooring_sandboxes_created_total",
      "Reservations ever granted.",
      sum((each) => each.created),
    ),
    counter(
      "mooring_sandboxes_destroyed_total",
      "Sandboxes that ended, proven or asserted.",
      sum((each) => each.destroyed),
    ),
    counter(
      "mooring_sandboxes_asserted_total",
      "Of the destroyed: on an operator's word alone.",
      sum((each) => each.asserted),
    ),
    gauge(
      "mooring_tenants",
      "Tenants that ever had a sandbox.",
      sum((each) => each.tenants),
    ),
    gauge(
      "mooring_sessions_stuck",
      "Sessions that are stuck, parked or unreadable.",
      sum((each) => each.stuck),
    ),
    gauge(
      "mooring_sessions",
      "Sessions by status.",
      byLabel(
        "status",
        stats.map((each) => each.sessions),
      ),
    ),
    gauge(
      "mooring_sessions_blocked",
      "Sessions that cannot go on, by what blocks them.",
      byLabel(
        "code",
        stats.map((each) => each.blocked),
      ),
    ),
    gauge("mooring_capacity_limit", "GLOBAL_MAX_SANDBOXES.", capacity.limit),
    gauge("mooring_capacity_used", "Granted to all tenants together.", capacity.used),
    gauge("mooring_draining", "1 while no new session is taken.", capacity.draining === null ? 0 : 1),
  ];
}

function outcomeTotals({ outcomes }: FleetFigures): readonly Metric[] {
  return (Object.keys(outcomeMetrics) as (keyof OutcomeTotals)[]).map((field) => {
    const [name, help] = outcomeMetrics[field];
    return counter(
      name,
      help,
      outcomes.reduce((total, each) => total + each[field], 0),
    );
  });
}

function maintenanceMetrics({ layers, board }: FleetFigures): readonly Metric[] {
  const perLayer = (of: (each: LayerSummary) => number): readonly Sample[] =>
    layers.map((each) => ({ labels: { layer: each.layer }, value: of(each) }));
  const runs = [
    gauge(
      "mooring_layer_last_started_timestamp_seconds",
      "When each layer of maintenance last began.",
      perLayer((each) => each.lastStartedAt / 1_000),
    ),
    gauge(
      "mooring_layer_failures_in_row",
      "Runs of each layer since the last that was well.",
      perLayer((each) => each.failuresInRow),
    ),
  ];
  if (board === null) return runs;
  const firing = board.alerts.map(({ name, severity, phase }) => ({
    labels: { alert: name, severity },
    value: phase === "firing" ? 1 : 0,
  }));
  return [
    ...runs,
    gauge("mooring_watch_last_look_timestamp_seconds", "When the alerts were last judged.", board.lookedAt / 1_000),
    gauge("mooring_alert_firing", "1 while the alert fires.", firing),
  ];
}

function gauge(name: string, help: string, samples: number | readonly Sample[]): Metric {
  return { type: "gauge", name, help, samples: typeof samples === "number" ? [{ value: samples }] : samples };
}

function counter(name: string, help: string, value: number): Metric {
  return { type: "counter", name, help, samples: [{ value }] };
}

/** One sample for each value of the label, summed over the shards, in the order of the value. */
function byLabel(label: string, counts: readonly Readonly<Record<string, number>>[]): readonly Sample[] {
  const total = new Map<string, number>();
  for (const each of counts)
    for (const [value, count] of Object.entries(each)) total.set(value, (total.get(value) ?? 0) + count);
  return [...total]
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([value, count]) => ({ labels: { [label]: value }, value: count }));
}

function render({ type, name, help, samples }: Metric): string {
  const lines = samples.map(({ labels = {}, value }) => {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${text}"`);
    return `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${value}`;
  });
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines, ""].join("\n");
}
