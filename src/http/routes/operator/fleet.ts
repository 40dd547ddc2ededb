/** What an operator reads of all tenants together: stats, sessions, ledger, usage, the admin log; and rebuilding the index. */
import { anySessionContracts } from "../../../protocol/contracts/operator/any-session-contracts.ts";
import {
  adminContracts,
  fleetListQuery,
  ledgerQuery,
  logQuery,
} from "../../../protocol/contracts/operator/admin-contracts.ts";
import { sessionReadContracts } from "../../../protocol/contracts/session/session-read-contracts.ts";
import { nanosPerUnit, type PriceTable } from "../../../domain/rules/price.ts";
import { recentMs, timeoutRate, type TimedOutcomes } from "../../../domain/rules/timeout-rate.ts";
import type { TenantId } from "../../../domain/state/ids.ts";
import type { FleetQuery, FleetRow, ShardStats } from "../../../fleet/shard/shard-api.ts";
import {
  type AdminLogPage,
  type FleetListItem,
  reasonBody,
  type RebuildView,
  type StatsView,
  tenantQuery,
} from "../../../protocol/resources/operator/fleet.ts";
import { rfc3339 } from "../../../protocol/primitives.ts";
import type { Caller } from "../../../session/session-api.ts";
import { acted, askControl } from "../../admin-act.ts";
import { readJson } from "../../request/body.ts";
import { badCursor, decodeCursor, encodeCursor } from "../../request/cursor.ts";
import { askAll } from "../../fan-out.ts";
import { readQuery } from "../../request/headers.ts";
import { ledgerOf } from "../../answer/ledger-view.ts";
import { probesView } from "../../answer/probes-view.ts";
import { usageOf } from "../../answer/usage-view.ts";
import { type AdminContext, json, problem, type Route, serve, type TenantContext, askSession } from "../../route.ts";
import { tenantEntries } from "../../request/directory.ts";
import { fleetSums } from "../../answer/fleet-sums.ts";

type Shards = ReturnType<AdminContext["backend"]["shards"]>;
const shardOf = (shard: Shards[number]) => shard.name;

async function stats(context: AdminContext): Promise<Response> {
  const [shards, capacity, probes] = await Promise.all([
    askAll(context, context.backend.shards(), shardOf, ({ api }) => api.stats()),
    askControl(context, (control) => control.capacity()),
    askControl(context, (control) =>
      Promise.all([control.document("probe", "canary"), control.document("probe", "restore_drill")]),
    ),
  ]);
  if (!shards.ok) return problem(context, shards.problem);
  if (!capacity.ok) return problem(context, capacity.problem);
  if (!probes.ok) return problem(context, probes.problem);
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

async function list(context: AdminContext): Promise<Response> {
  const query = readQuery(context.request, fleetListQuery);
  if (!query.ok) return problem(context, query.problem);
  const { limit, cursor, tenant, status, phase, stuck, label, agent_type: agentType, task_id: taskId } = query.value;
  const { blocked, critical, open, provider, template, teardown } = query.value;
  const after = cursor === undefined ? null : decodeCursor(cursor);
  if (cursor !== undefined && after === null) return problem(context, badCursor().problem);
  const asked: FleetQuery = {
    // One more than asked for tells whether there is another page.
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
  if (!pages.ok) return problem(context, pages.problem);
  // Each shard's page is in this order; so is what they make together, and a session is in one of them only.
  const rows = pages.value
    .flat()
    .toSorted(
      (a, b) => b.createdAt - a.createdAt || (a.sessionId < b.sessionId ? -1 : Number(a.sessionId > b.sessionId)),
    );
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const more = rows.length > limit && last !== undefined;
  return json(200, {
    data: page.map(fleetItem),
    next_cursor: more ? encodeCursor({ createdAt: last.createdAt, id: last.sessionId }) : null,
  });
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

async function ledger(context: AdminContext): Promise<Response> {
  const query = readQuery(context.request, ledgerQuery);
  if (!query.ok) return problem(context, query.problem);
  const capacity = await askControl(context, (control) => control.capacity());
  if (!capacity.ok) return problem(context, capacity.problem);
  const entries = await tenantEntries(context, null);
  if (!entries.ok) return problem(context, entries.problem);
  const { tenant } = query.value;
  const asked = tenant === undefined ? entries.value : entries.value.filter((entry) => entry.tenant === tenant);
  const ledgers = await askAll(
    context,
    asked,
    (entry) => `the registry of ${entry.tenant}`,
    (entry) => context.backend.tenant(entry.tenant).ledger(),
  );
  if (!ledgers.ok) return problem(context, ledgers.problem);
  return json(200, ledgerOf(asked, ledgers.value, capacity.value));
}

async function tenantUsage(context: AdminContext): Promise<Response> {
  const query = readQuery(context.request, tenantQuery);
  if (!query.ok) return problem(context, query.problem);
  const reply = await usageOf(context, query.value.tenant as TenantId);
  return reply.ok ? json(200, reply.value) : problem(context, reply.problem);
}

async function sessionUsage(context: TenantContext | AdminContext, caller: Caller | null): Promise<Response> {
  const reply = await askSession(context, "read", (session) => session.usage(caller));
  return reply.ok ? json(200, reply.value) : problem(context, reply.problem);
}

async function log(context: AdminContext): Promise<Response> {
  const query = readQuery(context.request, logQuery);
  if (!query.ok) return problem(context, query.problem);
  const { limit, cursor } = query.value;
  const reply = await askControl(context, (control) => control.logPage(cursor ?? null, limit + 1));
  if (!reply.ok) return problem(context, reply.problem);
  const page = reply.value.slice(0, limit);
  const last = page.at(-1);
  const view: AdminLogPage = {
    data: page.map(({ at, requestId, ...entry }) => ({ ...entry, at: rfc3339(at), request_id: requestId })),
    next_cursor: reply.value.length > limit && last !== undefined ? String(last.sequence) : null,
  };
  return json(200, view);
}

async function rebuild(context: AdminContext): Promise<Response> {
  const body = await readJson(context.request, reasonBody, { ranges: {}, empty: "refused" });
  if (!body.ok) return problem(context, body.problem);
  const act = { action: "shards.rebuild", target: "", reason: body.value.reason };
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
  if (!reply.ok) return problem(context, reply.problem);
  return json(reply.value.shards.every(({ state }) => state === "built") ? 200 : 202, reply.value);
}

export const fleetRoutes: readonly Route[] = [
  serve(adminContracts.stats, stats),
  serve(adminContracts.sessions, list),
  serve(adminContracts.ledger, ledger),
  serve(adminContracts.usage, tenantUsage),
  serve(adminContracts.log, log),
  serve(adminContracts.rebuildShards, rebuild),
  serve(sessionReadContracts.usage, (context) => sessionUsage(context, context.caller)),
  serve(anySessionContracts.sessionUsage, (context) => sessionUsage(context, null)),
];
