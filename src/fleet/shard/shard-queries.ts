/** The reads of a shard as SQL: a tenant's page, and an operator's selection. Filters run in SQL, so a page is never short. */
import type { SessionListItem } from "../../protocol/resources/session/sessions.ts";
import type { Sql, SqlValue } from "../../storage/sql.ts";
import type { FleetQuery, ListQuery } from "./shard-api.ts";
import type { RecentEnd } from "./recent-ends.ts";

export interface Statement {
  readonly text: string;
  readonly bindings: readonly SqlValue[];
}

/** What one call may ask for at most: a row is about a kilobyte, and the answer travels whole. */
export const selectAtMost = 1_000;

export function asFleetQuery(query: ListQuery): FleetQuery {
  return {
    tenant: query.tenant,
    limit: query.limit,
    order: "newest",
    labels: query.labels,
    ...(query.after === null ? {} : { after: query.after }),
    ...(query.status === null ? {} : { statuses: [query.status] }),
    ...(query.template === null ? {} : { template: query.template }),
    ...(query.blocked === null ? {} : { blocked: query.blocked }),
    ...(query.createdAfter === null ? {} : { createdAfter: query.createdAfter }),
  };
}

/**
 * A label that at most so many sessions of a tenant have is where a page begins: all of them are read, and sorted. Otherwise the page walks
 * the sessions in their order and looks at the labels of each. Smaller: a walk passes more sessions until 50 have the label. Larger: more to
 * read and sort for each page.
 */
const rareAtMost = 1_000;

/** The name of the label of the query that the fewest sessions have, if those are few; null: walk the sessions. */
export function rareLabel(sql: Sql, { tenant, labels = {} }: FleetQuery): string | null {
  // The table of labels is sorted by tenant: without one there is nothing to begin with.
  if (tenant === undefined) return null;
  const counted = Object.entries(labels).map(([name, value]) => {
    const [row] = sql.run(
      `SELECT COUNT(*) AS sessions FROM (SELECT 1 FROM label WHERE tenant = ? AND name = ? AND value = ? LIMIT ?)`,
      ...[tenant, name, value, rareAtMost + 1],
    );
    return { name, sessions: Number(row?.["sessions"]) };
  });
  const fewest = counted.toSorted((one, other) => one.sessions - other.sessions)[0];
  return fewest === undefined || fewest.sessions > rareAtMost ? null : fewest.name;
}

const orders = {
  newest: { by: "created_at DESC, session_id", passed: ["created_at <= ?", "(created_at < ? OR session_id > ?)"] },
  oldest: { by: "created_at ASC, session_id", passed: ["created_at >= ?", "(created_at > ? OR session_id > ?)"] },
  idlest: { by: "last_activity_at, session_id", passed: null },
} as const;

const over: ReadonlySet<SessionListItem["status"]> = new Set(["terminated", "failed"]);
const notOver = "status NOT IN ('terminated', 'failed')";

/** `rare`: what `rareLabel` says of the same query. `ends`: what stands in for the status of some rows. */
export function selectStatement(
  query: FleetQuery,
  rare: string | null,
  ends: ReadonlyMap<string, RecentEnd["status"]>,
): Statement {
  const conditions = ["erased_at IS NULL"];
  const bindings: SqlValue[] = [];
  const where = (condition: string, ...values: readonly SqlValue[]) => {
    conditions.push(condition);
    bindings.push(...values);
  };
  if (query.tenant !== undefined) where("tenant = ?", query.tenant);
  const order = orders[query.order];
  if (query.after !== undefined) {
    if (order.passed === null) throw new Error(`a page cannot go on in the order ${query.order}`);
    const { createdAt, id } = query.after;
    where(order.passed[0], createdAt);
    where(order.passed[1], createdAt, id);
  }
  if (query.statuses !== undefined) {
    const { statuses } = query;
    const wanted = `status IN (${places(statuses)})`;
    if (ends.size === 0) where(wanted, ...statuses);
    else {
      // One binding for any number of ids: the platform allows a hundred.
      const ids = (those: boolean) =>
        JSON.stringify([...ends].flatMap(([id, status]) => (statuses.includes(status) === those ? [id] : [])));
      const listed = "session_id IN (SELECT value FROM json_each(?))";
      const shown = [...ends.values()].some((status) => statuses.includes(status));
      where(
        `((${wanted} AND NOT ${listed})${shown ? ` OR ${listed}` : ""})`,
        ...[...statuses, ids(false), ...(shown ? [ids(true)] : [])],
      );
    }
    // In the words of the index of sessions that are not over: SQLite uses a partial index only for a query that repeats its condition.
    if (!statuses.some((status) => over.has(status))) where(notOver);
  }
  if (query.phases !== undefined) where(`phase IN (${places(query.phases)})`, ...query.phases);
  if (query.open !== undefined) where(query.open ? "open = 1" : "open = 0");
  if (query.provider !== undefined) where("provider = ?", query.provider);
  if (query.template !== undefined) {
    if (query.templateLabel === undefined) where("template = ?", query.template);
    else where("COALESCE(json_extract(labels, ?), template) = ?", `$."${query.templateLabel}"`, query.template);
  }
  if (query.agentType !== undefined) where("agent_type = ?", query.agentType);
  if (query.taskId !== undefined) where("task_id = ?", query.taskId);
  if (query.critical !== undefined) where("critical = ?", Number(query.critical));
  if (query.blocked !== undefined) where("blocked = ?", query.blocked);
  if (query.createdAfter !== undefined) where("created_at > ?", query.createdAfter);
  if (query.createdBefore !== undefined) where("created_at <= ?", query.createdBefore);
  if (query.stuckBefore !== undefined) where("stuck_since IS NOT NULL AND stuck_since <= ?", query.stuckBefore);
  if (query.teardownOverdueBefore !== undefined)
    where("teardown_overdue_from IS NOT NULL AND teardown_overdue_from <= ?", query.teardownOverdueBefore);
  if (query.expiredBefore !== undefined) where("expires_at <= ?", query.expiredBefore);
  if (query.idleBefore !== undefined) where("active_jobs = 0 AND last_activity_at <= ?", query.idleBefore);
  const from: { text: string; readonly bindings: SqlValue[] } = { text: "session", bindings: [] };
  for (const [name, value] of Object.entries(query.labels ?? {})) {
    if (query.tenant === undefined)
      where("session_id IN (SELECT session_id FROM label WHERE name = ? AND value = ?)", name, value);
    else if (name === rare) {
      // CROSS JOIN: SQLite, which counts no rows, would walk the sessions first.
      from.text =
        "(SELECT session_id AS labelled FROM label WHERE tenant = ? AND name = ? AND value = ?) CROSS JOIN session ON session_id = labelled";
      from.bindings.push(query.tenant, name, value);
    }
    // Not `IN (SELECT …)`: that makes a list of every session that has the label before it reads the first.
    else
      where(
        "EXISTS (SELECT 1 FROM label WHERE label.tenant = ? AND name = ? AND value = ? AND label.session_id = session.session_id)",
        ...[query.tenant, name, value],
      );
  }
  const text = `SELECT session.* FROM ${from.text} WHERE ${conditions.join(" AND ")} ORDER BY ${order.by} LIMIT ?`;
  return { text, bindings: [...from.bindings, ...bindings, Math.min(query.limit, selectAtMost)] };
}

function places(values: readonly unknown[]): string {
  return values.map(() => "?").join(", ");
}
