/** One look at the fleet: a few questions to each shard, all at once, each bounded. A shard that fails any of them is silent. */
import type { TenantId } from "../../domain/state/ids.ts";
import type { Clock } from "../../runtime/clock-ids-logger.ts";
import { outcomeWithin } from "../../calls/outcome-within.ts";
import type { CapacityView, FleetDocument, LayerSummary, TenantEntry } from "../control/control-api.ts";
import type { FleetRow, FleetShardApi, OutcomeTotals, OverdueSession, ShardStats } from "../shard/shard-api.ts";
import { parseDrills } from "../../domain/probes/restore-drills.ts";
import { parseCanary } from "../../domain/probes/canary.ts";
import type { FleetSnapshot, NamedSession } from "./alert.ts";
import type { AlertTerms } from "./alert-terms.ts";

/** What the look needs of the object it runs in. */
export interface LookedAtControl {
  capacity(): CapacityView;
  layers(): readonly LayerSummary[];
  tenants(after: TenantId | null, limit: number): readonly TenantEntry[];
  document(kind: FleetDocument["kind"], id: string): FleetDocument | null;
}

export interface LookPorts {
  readonly shards: readonly {
    readonly name: string;
    readonly api: Pick<
      FleetShardApi,
      "stats" | "select" | "overdue" | "overdueContainers" | "tenantBudgets" | "outcomes"
    >;
  }[];
  readonly clock: Clock;
}

export interface LookTerms {
  readonly alerts: AlertTerms;
  /** STUCK_AFTER_SECONDS. */
  readonly stuckAfterMs: number;
  readonly alarmSlipMs: number;
  readonly tenantMaxSandboxes: number;
}

const callMs = 10_000;
/** Sessions fetched for each shard and kind: an alert's context names only five. */
const namedAtMost = 20;
const tenantsAtOnce = 1_000;

interface ShardLook {
  readonly stats: ShardStats;
  readonly outcomes: OutcomeTotals;
  readonly stuck: readonly FleetRow[];
  readonly teardowns: readonly FleetRow[];
  readonly overdue: readonly OverdueSession[];
  readonly containers: Awaited<ReturnType<FleetShardApi["overdueContainers"]>>;
  readonly budgets: Awaited<ReturnType<FleetShardApi["tenantBudgets"]>>;
}

export async function lookAtFleet(
  ports: LookPorts,
  control: LookedAtControl,
  terms: LookTerms,
  watchedSince: number,
): Promise<FleetSnapshot> {
  const { clock, shards } = ports;
  const at = clock.now();
  const asked = await Promise.all(
    shards.map(async ({ name, api }) => ({
      name,
      answer: await outcomeWithin(clock, callMs, () => lookAt(api, at, terms)),
    })),
  );
  const looks = asked.flatMap(({ answer }) => (answer.type === "answered" ? [answer.value] : []));
  const silent = asked.filter(({ answer }) => answer.type !== "answered").map(({ name }) => name);
  const seen = silent.length === 0;
  return {
    at,
    watchedSince,
    shards: { asked: shards.length, silent },
    counts: seen ? countsOf(looks) : null,
    outcomes: seen ? totalOf(looks.map((look) => look.outcomes)) : null,
    stuck: seen ? stuckOf(looks) : null,
    overdueTeardowns: seen ? distinct(looks.flatMap((look) => look.teardowns).map(namedTeardown)) : null,
    overdueContainers: seen ? looks.flatMap((look) => look.containers) : null,
    tenantBudgets: seen ? looks.flatMap((look) => look.budgets) : null,
    ...probesOf(control),
    capacity: control.capacity(),
    fullTenants: fullTenants(control, terms.tenantMaxSandboxes),
    layers: control.layers(),
  };
}

async function lookAt(api: LookPorts["shards"][number]["api"], at: number, terms: LookTerms): Promise<ShardLook> {
  const longAgo = at - terms.stuckAfterMs;
  const few = { limit: namedAtMost, order: "oldest" } as const;
  const [stats, outcomes, stuck, teardowns, overdue, containers, budgets] = await Promise.all([
    api.stats(),
    api.outcomes(terms.alerts.outcomeWindowMs),
    api.select({ ...few, stuckBefore: longAgo }),
    // Ghosts count too: whatever was replaced before it was proven gone is as unproven as the newest.
    api.select({ ...few, teardownOverdueBefore: at }),
    api.overdue(longAgo - terms.alarmSlipMs, namedAtMost),
    api.overdueContainers(at, namedAtMost),
    api.tenantBudgets(at, namedAtMost),
  ]);
  return { stats, outcomes, stuck, teardowns, overdue, containers, budgets };
}

function countsOf(looks: readonly ShardLook[]): FleetSnapshot["counts"] {
  const blocked: Record<string, number> = {};
  for (const { stats } of looks)
    for (const [code, count] of Object.entries(stats.blocked)) blocked[code] = (blocked[code] ?? 0) + count;
  const sum = (pick: (stats: ShardStats) => number) => looks.reduce((total, { stats }) => total + pick(stats), 0);
  return {
    provisioning: sum((stats) => stats.provisioning),
    active: sum((stats) => stats.active),
    terminating: sum((stats) => stats.terminating),
    blocked,
  };
}

export function totalOf(outcomes: readonly OutcomeTotals[]): OutcomeTotals {
  const sum = (name: keyof OutcomeTotals) => outcomes.reduce((total, each) => total + each[name], 0);
  return {
    launches: sum("launches"),
    launched: sum("launched"),
    provisionFailures: sum("provisionFailures"),
    provisionTimeouts: sum("provisionTimeouts"),
    jobsEnded: sum("jobsEnded"),
    jobsTimedOut: sum("jobsTimedOut"),
    callsTimedOut: sum("callsTimedOut"),
  };
}

function stuckOf(looks: readonly ShardLook[]): readonly NamedSession[] {
  const late = looks.flatMap((look) =>
    look.overdue.map((each) => ({ sessionId: each.sessionId, tenant: "", status: "", since: each.nextDeadline })),
  );
  return distinct([...looks.flatMap((look) => look.stuck).map(namedRow), ...late]);
}

function namedRow(row: FleetRow): NamedSession {
  return { sessionId: row.sessionId, tenant: row.tenant, status: row.status, since: row.stuckSince ?? row.createdAt };
}

function namedTeardown(row: FleetRow): NamedSession {
  return { ...namedRow(row), since: row.teardownOverdueFrom ?? row.createdAt };
}

function distinct(sessions: readonly NamedSession[]): readonly NamedSession[] {
  return [...new Map(sessions.toReversed().map((each) => [each.sessionId, each])).values()];
}

function probesOf(control: LookedAtControl): Pick<FleetSnapshot, "canary" | "drills"> {
  return {
    canary: parseCanary(control.document("probe", "canary")?.body),
    drills: parseDrills(control.document("probe", "restore_drill")?.body),
  };
}

function fullTenants(control: LookedAtControl, limit: number): readonly string[] {
  const full: string[] = [];
  let after: TenantId | null = null;
  for (;;) {
    const page: readonly TenantEntry[] = control.tenants(after, tenantsAtOnce);
    for (const { tenant, allowed } of page) if (allowed >= limit && full.length < namedAtMost) full.push(tenant);
    after = page.at(-1)?.tenant ?? null;
    if (page.length < tenantsAtOnce || after === null) return full;
  }
}
