/**
 * The tenant's side of the global cap: how many sandboxes FleetControl has allowed it, as stored here. Sandboxes in use never
 * exceed what control has booked: the allowance is given up in the same write that makes an order, and taken back only from
 * the answer to the newest order (see fleet/control/control-allowance.ts).
 *
 * What was given back is kept for a minute when the last answer said that the fleet has plenty: the next sandbox of a tenant that
 * creates often is then covered already, which saves the eight rows of an order and of its answer, twice.
 */
import type { AllowanceReply } from "../../fleet/control/control-api.ts";
import type { Sql } from "../../storage/sql.ts";
import { readNamed, writeNamed } from "../named-values.ts";
import { countsChangedAt, openCount } from "./reservations.ts";

export interface Allowance {
  /** The version of the newest order. */
  readonly version: number;
  readonly allowed: number;
  /** The newest order was answered. */
  readonly answered: boolean;
  /** Until then the fleet counts as roomy. Absent: it does not. */
  readonly roomyUntil?: number;
}

/** How old an answer may be to say that the fleet has plenty. */
const roomyMs = 600_000;
/** How long a place that is not used is kept. */
const spareMs = 60_000;

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

export function allowanceAnswered(sql: Sql, draft: AllowanceDraft, reply: AllowanceReply, now: number): void {
  const before = readAllowance(sql);
  if (draft.version !== before.version) return;
  if (reply.type === "stale") writeNamed(sql, "allowance", before, { ...before, version: reply.version });
  else {
    const { version } = before;
    const roomy = reply.roomy === true ? { roomyUntil: now + roomyMs } : {};
    writeNamed(sql, "allowance", before, { version, allowed: reply.allowed, answered: true, ...roomy });
  }
}

/** One more reservation would stay within it. */
export function coversOneMore(sql: Sql): boolean {
  const { allowed, answered } = readAllowance(sql);
  return answered && openCount(sql) < allowed;
}

/**
 * When control should hear how it stands: something was given back, turned up unasked, or the last order has no answer. null: it knows.
 * In the future: what is not used is kept until then.
 */
export function settleAt(sql: Sql, now: number): number | null {
  const { allowed, answered, version, roomyUntil = 0 } = readAllowance(sql);
  const held = openCount(sql);
  if (version === 0) return held > 0 ? now : null;
  if (!answered || allowed < held) return now;
  if (allowed === held) return null;
  const changedAt = countsChangedAt(sql);
  // A time ahead of the clock means that the clock was set back: nothing is kept by it.
  if (changedAt > now || roomyUntil > now + roomyMs) return now;
  return Math.max(now, Math.min(roomyUntil, changedAt + spareMs));
}
