/**
 * The tenant's side of the global cap: how many sandboxes FleetControl has allowed it, as stored here. What is in use never
 * passes what control has booked: the allowance is given up in the same write that makes an order, and taken back only from
 * the answer to the newest order (see fleet/control/control-allowance.ts).
 */
import type { AllowanceReply } from "../../fleet/control/control-api.ts";
import type { Sql } from "../../storage/sql.ts";
import { readNamed, writeNamed } from "../named-values.ts";
import { openCount } from "./reservations.ts";

export interface Allowance {
  /** Of the newest order. */
  readonly version: number;
  readonly allowed: number;
  /** The newest order was answered. */
  readonly answered: boolean;
}

/** An order without the tenant's name, which its shell knows. */
export interface AllowanceDraft {
  readonly version: number;
  readonly held: number;
  readonly wants: number;
}

const none: Allowance = { version: 0, allowed: 0, answered: true };

export function readAllowance(sql: Sql): Allowance {
  return readNamed(sql, "allowance", none);
}

/** Inside a transaction of the caller. `more`: how many beyond those held. */
export function draftAllowance(sql: Sql, more: number): AllowanceDraft {
  const before = readAllowance(sql);
  const held = openCount(sql);
  const version = before.version + 1;
  writeNamed(sql, "allowance", before, { version, allowed: held, answered: false });
  return { version, held, wants: held + more };
}

export function allowanceAnswered(sql: Sql, draft: AllowanceDraft, reply: AllowanceReply): void {
  const before = readAllowance(sql);
  if (draft.version !== before.version) return;
  if (reply.type === "stale") writeNamed(sql, "allowance", before, { ...before, version: reply.version });
  else writeNamed(sql, "allowance", before, { ...before, allowed: reply.allowed, answered: true });
}

/** One more reservation would stay within it. */
export function covered(sql: Sql): boolean {
  const { allowed, answered } = readAllowance(sql);
  return answered && openCount(sql) < allowed;
}

/** Control should hear how it stands: something was given back, turned up unasked, or the last order has no answer. */
export function unsettled(sql: Sql): boolean {
  const { allowed, answered, version } = readAllowance(sql);
  const held = openCount(sql);
  return version === 0 ? held > 0 : !answered || allowed !== held;
}
