/** What an operator reads of all tenants together: stats, sessions, ledger, usage, the admin log; and rebuilding the index. */
import { anySessionContracts } from "../../../protocol/contracts/operator/any-session-contracts.ts";
import { adminContracts } from "../../../protocol/contracts/operator/admin-contracts.ts";
import { sessionReadContracts } from "../../../protocol/contracts/session/session-read-contracts.ts";
import { nanosPerUnit, type PriceTable } from "../../../domain/rules/price.ts";
import { recentMs, timeoutRate, type TimedOutcomes } from "../../../domain/rules/timeout-rate.ts";
import type { TenantId } from "../../../domain/state/ids.ts";
import type { FleetQuery, FleetRow, ShardStats } from "../../../fleet/shard/shard-api.ts";
import {
  type AdminLogPage,
  type FleetListItem,
  type RebuildView,
  type StatsView,
} from "../../../protocol/resources/operator/fleet.ts";
import { rfc3339 } from "../../../protocol/primitives.ts";
import { acted, askControl } from "../../admin-act.ts";
import { badCursor, decodeCursor, encodeCursor, pageOf } from "../../request/cursor.ts";
import { askAll } from "../../fan-out.ts";
import { ledgerOf } from "../../answer/ledger-view.ts";
import { probesView } from "../../answer/probes-view.ts";
import { usageOf } from "../../answer/usage-view.ts";
import { type AdminContext, askSession, json, type Route } from "../../route.ts";
import { type BodyOf, type Made, type QueryOf, serve, serveBody, serveQuery } from "../../serve.ts";
import { tenantEntries } from "../../request/directory.ts";
import { fleetSums } from "../../answer/fleet-sums.ts";

type Shards = ReturnType<AdminContext["backend"]["shards"]>;
const shardOf = (shard: Shards[number]) => shard.name;

async function stats(context: AdminContext): Promise<Made> {
  const [shards, capacity, probes] = await Promise.all([
    askAll(context, context.backend.shards(), shardOf, ({ api }) => api.stats()),
    askControl(context, (control) => control.capacity()),
    askControl(context, (control) =>
      Promise.all([control.document("probe", "canary"), control.document("probe", "restore_drill")]),
    ),
  ]);
  if (!shards.ok) return shards;
  if (!capacity.ok) return capacity;
  if (!probes.ok) return probes;
  const { limit, used, draining } = capacity.value;
  const sum = (of: (each: ShardStats) => number) => shards.value.reduce((total, each) => total + of(each), 0);
  const view: StatsView = {
    ...fleetSums(shards.value),
    asserted: sum((each) => each.asserted),
    sessions: added(shards.value.map((each) => each.sessions)),
    stuck: sum((each) => each.stuck),
    blocked: added(shards.value.map((each) => each.blocked)),
    tenants: sum((each) => each.tenants),
    global: { limit, booked: used },
    draining: draining === null ? null : { ...draining, since: rfc3339(draining.since) },
    timeouts: timeoutsOf(shards.value),
    oldest_running: oldestOf(shards.value),
    cost: costOf(shards.value, context.config.policy.prices),
    ...probesView(...probes.value, context.clock.now()),
  };
  return json(200, view);
}

function timeoutsOf(shards: readonly ShardStats[]): StatsView["timeouts"] {
  const sum = (name: keyof TimedOutcomes) => shards.reduce((total, each) => total + (each.recent?.[name] ?? 0), 0);
  const recent: TimedOutcomes = {
    launches: sum("launches"),
    provisionTimeouts: sum("provisionTimeouts"),
    jobsEnded: sum("jobsEnded"),
    jobsTimedOut: sum("jobsTimedOut"),
    callsTimedOut: sum("callsTimedOut"),
  };
  const { percent, samples } = timeoutRate(recent);
  return {
    window_seconds: recentMs / 1_000,
    percent: Math.round(percent * 10) / 10,
    samples,
    jobs: recent.jobsTimedOut,
    launches: recent.provisionTimeouts,
    provider_calls: recent.callsTimedOut,
  };
}

function oldestOf(shards: readonly ShardStats[]): StatsView["oldest_running"] {
  const [oldest] = shards
    .flatMap(({ oldestRunning }) => oldestRunning ?? [])
    .toSorted((one, other) => one.createdAt - other.createdAt);
  if (oldest === undefined) return null;
  return { id: oldest.sessionId, tenant: oldest.tenant, created_at: rfc3339(oldest.createdAt) };
}

function costOf(shards: readonly ShardStats[], prices: PriceTable): StatsView["cost"] {
  if (Object.keys(prices.nanosPerSecond).length === 0) return null;
  const nanosPerSecond = shards.reduce((sum, each) => sum + (each.nanosPerSecond ?? 0), 0);
  return { per_hour: (nanosPerSecond * 3_600) / nanosPerUnit, currency: prices.currency };
}

function added(parts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const total: Record<string, number> = {};
  for (const part of parts)
    for (const [name, amount] of Object.entries(part)) total[name] = (total[name] ?? 0) + amount;
  return total;
}

async function list(context: AdminContext, query: QueryOf<typeof adminContracts.sessions>): Promise<Made> {
  const { limit, cursor, tenant, status, phase, stuck, label, agent_type: agentType, task_id: taskId } = query;
  const { blocked, critical, open, provider, template, teardown } = query;
  const after = cursor === undefined ? null : decodeCursor(cursor);
  if (cursor !== undefined && after === null) return badCursor();
  const asked: FleetQuery = {
    limit: limit + 1,
    order: "newest",
    ...(after === null ? {} : { after }),
    ...(tenant === undefined ? {} : { tenant: tenant as TenantId }),
    ...(status === undefined ? {} : { statuses: [status] }),
    ...(phase === undefined ? {} : { phases: [phase] }),
    ...(stuck === undefined ? {} : { stuckBefore: context.clock.now() }),
    ...(teardown === undefined ? {} : { teardownOverdueBefore: context.clock.now() }),
    ...(label === undefined ? {} : { labels: label }),
    ...(agentType === undefined ? {} : { agentType }),
    ...(taskId === undefined ? {} : { taskId }),
    ...(blocked === undefined ? {} : { blocked }),
    ...(critical === undefined ? {} : { critical }),
    ...(open === undefined ? {} : { open }),
    ...(provider === undefined ? {} : { provider }),
    ...(template === undefined ? {} : { template }),
  };
  const shards: Shards =
    tenant === undefined
      ? context.backend.shards()
      : [{ name: `the index of ${tenant}`, api: context.backend.shard(tenant as TenantId) }];
  const pages = await askAll(context, shards, shardOf, ({ api }) => api.select(asked));
  if (!pages.ok) return pages;
  // Each shard's page is in this order; so is what they make together, and a session is in one of them only.
  const rows = pages.value
    .flat()
    .toSorted(
      (a, b) => b.createdAt - a.createdAt || (a.sessionId < b.sessionId ? -1 : Number(a.sessionId > b.sessionId)),
    );
  const page = pageOf(rows, limit, ({ createdAt, sessionId }) => encodeCursor({ createdAt, id: sessionId }));
  return json(200, { ...page, data: page.data.map(fleetItem) });
}

function fleetItem(row: FleetRow): FleetListItem {
  const at = (instant: number | null) => (instant === null ? null : rfc3339(instant));
  return {
    id: row.sessionId,
    tenant: row.tenant,
    status: row.status,
    terminate_reason: row.terminateReason,
    blocked: row.blocked,
    stuck_since: at(row.stuckSince),
    created_at: rfc3339(row.createdAt),
    started_at: at(row.startedAt),
    end_at: rfc3339(row.endAt),
    expires_at: at(row.expiresAt),
    last_activity_at: row.lastActivityAt === 0 ? null : rfc3339(row.lastActivityAt),
    active_jobs: row.activeJobs,
    phase: row.phase,
    generation: row.generation,
    sandbox_id: row.sandboxId,
    ghosts: row.ghosts,
    stop_attempts: row.stopAttempts,
    last_error: row.lastError,
    provider: row.provider,
    isolation: row.isolation,
    template: row.template,
    labels: { ...row.labels },
    agent_type: row.agentType,
    task_id: row.taskId,
    critical: row.critical,
    as_of: rfc3339(row.asOf),
  };
}

async function ledger(context: AdminContext, query: QueryOf<typeof adminContracts.ledger>): Promise<Made> {
  const capacity = await askControl(context, (control) => control.capacity());
  if (!capacity.ok) return capacity;
  const entries = await tenantEntries(context, null);
  if (!entries.ok) return entries;
  const { tenant } = query;
  const asked = tenant === undefined ? entries.value : entries.value.filter((entry) => entry.tenant === tenant);
  const ledgers = await askAll(
    context,
    asked,
    (entry) => `the registry of ${entry.tenant}`,
    (entry) => context.backend.tenant(entry.tenant).ledger(),
  );
  if (!ledgers.ok) return ledgers;
  return json(200, ledgerOf(asked, ledgers.value, capacity.value));
}

async function log(context: AdminContext, query: QueryOf<typeof adminContracts.log>): Promise<Made> {
  const { limit, cursor } = query;
  const reply = await askControl(context, (control) => control.logPage(cursor ?? null, limit + 1));
  if (!reply.ok) return reply;
  const page = pageOf(reply.value, limit, ({ sequence }) => String(sequence));
  const view: AdminLogPage = {
    ...page,
    data: page.data.map(({ at, requestId, ...entry }) => ({ ...entry, at: rfc3339(at), request_id: requestId })),
  };
  return json(200, view);
}

async function rebuild(context: AdminContext, body: BodyOf<typeof adminContracts.rebuildShards>): Promise<Made> {
  const act = { action: "shards.rebuild", target: "", reason: body.reason };
  const reply = await acted(
    context,
    act,
    async () => {
      const shards = context.backend.shards();
      // Each on its own: one that is silent is said to be, and is asked again with the next order.
      const builds = await Promise.all(shards.map(({ api }) => api.rebuild().catch(() => null)));
      const view: RebuildView = {
        shards: shards.map(({ name }, index) => {
          const build = builds[index] ?? null;
          return { shard: name, state: build?.type ?? "silent", sessions: build?.sessions ?? null };
        }),
      };
      return { ok: true, value: view };
    },
    (view) => view.shards.map(({ shard, state }) => `${shard} ${state}`).join(", "),
  );
  if (!reply.ok) return reply;
  return json(reply.value.shards.every(({ state }) => state === "built") ? 200 : 202, reply.value);
}

export const fleetRoutes: readonly Route[] = [
  serve(adminContracts.stats, stats),
  serveQuery(adminContracts.sessions, list),
  serveQuery(adminContracts.ledger, ledger),
  serveQuery(adminContracts.usage, (context, { tenant }) => usageOf(context, tenant as TenantId)),
  serveQuery(adminContracts.log, log),
  serveBody(adminContracts.rebuildShards, rebuild),
  serve(sessionReadContracts.usage, (context) =>
    askSession(context, "read", (session) => session.usage(context.caller)),
  ),
  serve(anySessionContracts.sessionUsage, (context) => askSession(context, "read", (session) => session.usage(null))),
];
