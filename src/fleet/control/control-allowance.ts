/**
 * The global cap: how many sandboxes each tenant may have, and the sum that never passes the limit by a grant.
 *
 * A tenant tells its whole picture (`held`, `wants`) under a version. What it holds exists and is booked whatever the cap
 * says; only what it wants beyond is granted, as far as the cap goes. So an order may be lost, repeated or overtaken: the
 * newest stands. A tenant counts an allowance as its own only from the answer to its newest order, and gives up what it
 * had when it sends one; so the allowance in use anywhere is never above the one booked here.
 */
import type { TenantId } from "../../domain/state/ids.ts";
import type { Sql } from "../../storage/sql.ts";
import type { AllowanceOrder, AllowanceReply, TenantEntry } from "./control-api.ts";

/** Beside half of the cap, this many places must be free for it to be roomy: under a small cap each of them counts, and rows do not. */
const roomyPlaces = 500;

/** What a tenant keeps without using it is refused to nobody while so much is free. */
function isRoomy(limit: number, used: number): boolean {
  return limit - used >= Math.max(limit / 2, roomyPlaces);
}

/** Inside a transaction of the caller. Registers the tenant when it is new. */
export function allow(
  sql: Sql,
  order: AllowanceOrder,
  terms: { readonly limit: number; readonly draining: boolean },
  now: number,
): AllowanceReply {
  const row = sql.run("SELECT version, allowed FROM tenant WHERE tenant = ?", order.tenant)[0];
  const version = row === undefined ? 0 : (row["version"] as number);
  const before = row === undefined ? 0 : (row["allowed"] as number);
  const total = readTotal(sql);
  const { limit } = terms;
  // The same order again: its answer was lost, and it is the same one.
  if (order.version === version && row !== undefined) return answered(before, total.allowed, terms);
  if (order.version < version) return { type: "stale", version };
  const others = total.allowed - before;
  const room = Math.max(0, limit - others - order.held);
  const allowed = order.held + Math.min(Math.max(0, order.wants - order.held), room);
  if (row === undefined) {
    sql.run(
      "INSERT INTO tenant (tenant, registered_at, version, allowed) VALUES (?, ?, ?, ?)",
      ...[order.tenant, now, order.version, allowed],
    );
  } else {
    sql.run("UPDATE tenant SET version = ?, allowed = ? WHERE tenant = ?", order.version, allowed, order.tenant);
  }
  sql.run("UPDATE total SET allowed = ?, tenants = tenants + ?", others + allowed, row === undefined ? 1 : 0);
  return answered(allowed, others + allowed, terms);
}

function answered(
  allowed: number,
  used: number,
  { limit, draining }: { readonly limit: number; readonly draining: boolean },
): AllowanceReply {
  return { type: "answered", allowed, limit, used, draining, ...(isRoomy(limit, used) ? { roomy: true } : {}) };
}

export function readTotal(sql: Sql): { readonly allowed: number; readonly tenants: number } {
  const row = sql.run("SELECT allowed, tenants FROM total")[0];
  return { allowed: Number(row?.["allowed"]), tenants: Number(row?.["tenants"]) };
}

export function tenantsAfter(sql: Sql, after: TenantId | null, limit: number): readonly TenantEntry[] {
  const statement = "SELECT tenant, registered_at, allowed FROM tenant WHERE tenant > ? ORDER BY tenant LIMIT ?";
  return sql.run(statement, after ?? "", limit).map((row) => ({
    tenant: row["tenant"] as TenantId,
    registeredAt: row["registered_at"] as number,
    allowed: row["allowed"] as number,
  }));
}
