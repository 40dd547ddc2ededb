/** The kept counters of a shard's sessions, and the tenants' tallies, whose sum its sandbox counts are. */
import { addAmounts, amountsText, readAmounts, writeAmounts } from "../../storage/amounts.ts";
import type { Sql } from "../../storage/sql.ts";
import type { TenantId } from "../../domain/state/ids.ts";
import { type KeptOutcomes, nothingKept } from "./outcomes.ts";
import type { BudgetNews, OverdueContainer, ShardStats, TenantCounts } from "./shard-api.ts";

const sandboxCounts = [
  "granted",
  "reserved",
  "launching",
  "held",
  "stopping",
  "asserted",
  "proven",
  "cancelled",
] as const satisfies readonly (keyof TenantCounts)[];

/** Inside a transaction of the caller: counters that moved, and outcomes that grew, in one write. Writes nothing when neither did. */
export function moveCounters(
  sql: Sql,
  changes: readonly (readonly [name: string, change: number])[],
  grown: ((kept: KeptOutcomes) => KeptOutcomes) | null,
): void {
  if (grown === null) return addAmounts(sql, "counters", changes);
  const counters = new Map(readAmounts(sql, "counters"));
  for (const [name, change] of changes) counters.set(name, (counters.get(name) ?? 0) + change);
  sql.run(
    `INSERT INTO counters (only, body, outcomes) VALUES (1, ?, ?)
     ON CONFLICT (only) DO UPDATE SET body = excluded.body, outcomes = excluded.outcomes`,
    ...[amountsText(counters), JSON.stringify(grown(readOutcomes(sql)))],
  );
}

export function readOutcomes(sql: Sql): KeptOutcomes {
  const body = sql.run("SELECT outcomes FROM counters")[0]?.["outcomes"];
  return typeof body === "string" ? (JSON.parse(body) as KeptOutcomes) : nothingKept;
}

/** Inside a transaction of the caller: the tenant's whole picture takes the place of the one before. */
export function applyCounts(sql: Sql, counts: TenantCounts, now: number): { readonly version: number } {
  const row = sql.run("SELECT version FROM tenant_counts WHERE tenant = ?", counts.tenant)[0];
  const version = (row?.["version"] as number | undefined) ?? 0;
  if (row !== undefined && counts.version <= version) return { version };
  sql.run(
    `INSERT OR REPLACE INTO tenant_counts (tenant, version, told_at, body, containers_overdue_from)
     VALUES (?, ?, ?, ?, ?)`,
    ...[counts.tenant, counts.version, now, JSON.stringify(counts), counts.overdueContainers?.[0]?.from ?? null],
  );
  return { version: counts.version };
}

/** Past their bound at `now`, the longest first. */
export function readOverdueContainers(
  sql: Sql,
  now: number,
  limit: number,
): readonly (OverdueContainer & { readonly tenant: TenantId })[] {
  const rows = sql.run(
    `SELECT body FROM tenant_counts WHERE containers_overdue_from IS NOT NULL AND containers_overdue_from <= ?
     ORDER BY containers_overdue_from LIMIT ?`,
    ...[now, limit],
  );
  return rows
    .map((row) => JSON.parse(row["body"] as string) as TenantCounts)
    .flatMap(({ tenant, overdueContainers = [] }) => overdueContainers.map((each) => ({ ...each, tenant })))
    .filter(({ from }) => from <= now)
    .toSorted((a, b) => a.from - b.from)
    .slice(0, limit);
}

/**
 * Near their budget for the month, or at it: those that used it up first. Without a column of its own: after a rollback older code
 * refuses a table that it does not know, and `asOf` of the stats reads every row here as well.
 */
export function readTenantBudgets(
  sql: Sql,
  now: number,
  limit: number,
): readonly (BudgetNews & { readonly tenant: TenantId })[] {
  const rows = sql.run(
    `SELECT tenant, body FROM tenant_counts WHERE json_extract(body, '$.budget.until') > ?
     ORDER BY json_extract(body, '$.budget.level') DESC, tenant LIMIT ?`,
    ...[now, limit],
  );
  return rows.flatMap((row) => {
    const { tenant, budget } = JSON.parse(row["body"] as string) as TenantCounts;
    return budget ? [{ ...budget, tenant }] : [];
  });
}

/** All counters anew from the rows: at the end of a build, and when rows went that were never counted down. */
export function recount(sql: Sql): void {
  const groups = [
    "SELECT 'status:' || status AS name, count(*) AS n FROM session WHERE erased_at IS NULL GROUP BY status",
    "SELECT 'stuck' AS name, count(*) AS n FROM session WHERE erased_at IS NULL AND stuck_since IS NOT NULL",
    `SELECT 'blocked:' || blocked AS name, count(*) AS n FROM session
     WHERE erased_at IS NULL AND blocked IS NOT NULL GROUP BY blocked`,
  ];
  const counted = groups.flatMap((group) => sql.run(group));
  writeAmounts(sql, "counters", new Map(counted.map((row) => [row["name"] as string, row["n"] as number])));
}

export const noStats: ShardStats = {
  provisioning: 0,
  active: 0,
  terminating: 0,
  created: 0,
  destroyed: 0,
  asserted: 0,
  tenants: 0,
  sessions: {},
  stuck: 0,
  blocked: {},
  asOf: null,
  oldestRunning: null,
  nanosPerSecond: 0,
};

/** The sandbox counts are added up here and not kept: a kept sum would be one more row written with each picture of a tenant. */
export function readStats(sql: Sql): ShardStats {
  const counters = readAmounts(sql, "counters");
  const under = (prefix: string) =>
    Object.fromEntries(
      [...counters]
        .filter(([name, amount]) => name.startsWith(prefix) && amount !== 0)
        .map(([name, amount]) => [name.slice(prefix.length), amount]),
    );
  const sums = sandboxCounts.map((name) => `coalesce(sum(json_extract(body, '$.${name}')), 0) AS ${name}`);
  const rate = "coalesce(sum(json_extract(body, '$.nanosPerSecond')), 0) AS nanos_per_second";
  const told = sql.run(
    `SELECT count(*) AS tenants, min(told_at) AS as_of, ${rate}, ${sums.join(", ")} FROM tenant_counts`,
  )[0];
  const of = (name: (typeof sandboxCounts)[number]) => Number(told?.[name] ?? 0);
  const asOf = told?.["as_of"];
  return {
    provisioning: of("reserved") + of("launching"),
    active: of("held"),
    terminating: of("stopping"),
    created: of("granted"),
    destroyed: of("proven") + of("cancelled") + of("asserted"),
    asserted: of("asserted"),
    tenants: Number(told?.["tenants"] ?? 0),
    sessions: under("status:"),
    stuck: counters.get("stuck") ?? 0,
    blocked: under("blocked:"),
    asOf: typeof asOf === "number" ? asOf : null,
    nanosPerSecond: Number(told?.["nanos_per_second"] ?? 0),
  };
}
