/**
 * Who may start a sandbox: reserve and cancel. Each runs inside one transaction of the caller (CAP-5).
 *
 * A generation is granted at most once. What was released, cancelled or passed by stays below the session's watermark, so
 * an order or a cancel that arrives late or twice frees and grants nothing (CAP-6). Only the exact open reservation is
 * answered `granted` again, because its first reply may have been lost.
 */
import type { Generation, SessionId } from "../domain/ids.ts";
import type { Policy } from "../domain/policy.ts";
import type { ReserveOrder, ReserveReply } from "../session/reports.ts";
import type { Sql } from "../storage/sql.ts";
import { grant, isOpenState, move, openCount, readReservation } from "./reservations.ts";
import { isFinal, raised, readSession, type RegisteredSession, unknownSession, writeSession } from "./sessions.ts";

export interface QuotaTerms {
  readonly maxSandboxes: number;
  /** A reservation that is still without a lease after this long: its session is asked. ms */
  readonly orphanAfterMs: number;
}

/** I11: what has nothing physical converges within the provision deadline and two stop attempts; then it is asked about. */
export function quotaTerms(policy: Policy, maxSandboxes: number): QuotaTerms {
  return { maxSandboxes, orphanAfterMs: policy.provisionMs + 2 * policy.stopAttemptMs };
}

export function reserve(sql: Sql, order: ReserveOrder, terms: QuotaTerms, now: number): ReserveReply {
  const known = readReservation(sql, order.sessionId, order.generation);
  if (known !== null && known.sandboxId !== order.sandboxId) {
    throw new Error(
      `${order.sessionId} g${order.generation} was reserved for ${known.sandboxId}, now ${order.sandboxId}`,
    );
  }
  if (known !== null && isOpenState(known.state)) return { granted: true };
  const session = incarnationOf(sql, order);
  const passed = order.generation <= session.highestGeneration || order.createdAt < session.createdAt;
  // A session that is ending opens nothing more: this order was overtaken by its own end.
  if (passed || isFinal(session.status)) {
    const above = Math.max(session.highestGeneration, order.generation);
    return { granted: false, code: "stale_generation", above };
  }
  const used = openCount(sql);
  if (used >= terms.maxSandboxes) return { granted: false, code: "quota_exhausted", limit: terms.maxSandboxes, used };
  grant(sql, {
    sessionId: order.sessionId,
    generation: order.generation,
    sandboxId: order.sandboxId,
    state: "reserved",
    ghost: false,
    listed: false,
    reservedAt: now,
    changedAt: now,
    lookAt: now + terms.orphanAfterMs,
  });
  writeSession(sql, raised(session, order.generation));
  return { granted: true };
}

/** What is held of the session that asks. One made anew under an erased id starts without the reports of the one before. */
function incarnationOf(sql: Sql, order: ReserveOrder): RegisteredSession {
  const held = readSession(sql, order.sessionId);
  const fresh = unknownSession(sql, order.sessionId, order.createdAt);
  if (held === null) return fresh;
  return order.createdAt > held.createdAt ? raised(fresh, held.highestGeneration) : held;
}

/**
 * Gives back a reservation for which no lease was ever opened, and refuses it for ever when it was not even made yet.
 * One that a report showed as a lease is not this call's to free: only proof is.
 */
export function cancelReservation(sql: Sql, sessionId: SessionId, generation: Generation, now: number): void {
  const known = readReservation(sql, sessionId, generation);
  if (known?.state === "reserved") move(sql, known, { ...known, state: "cancelled" }, now);
  const session = readSession(sql, sessionId) ?? unknownSession(sql, sessionId, 0);
  if (generation > session.highestGeneration) writeSession(sql, raised(session, generation));
}
