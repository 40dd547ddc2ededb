/**
 * Who may start a sandbox: reserve and cancel. Each runs inside one transaction of the caller.
 *
 * A generation is granted at most once. Generations that were released, cancelled or skipped stay below the session's watermark, so
 * an order or a cancel that arrives late or twice frees and grants nothing. Only the exact open reservation is
 * answered `granted` again, because its first reply may have been lost.
 */
import type { ContainerTerms } from "../../domain/state/container.ts";
import type { ContainerId, Generation, SessionId } from "../../domain/state/ids.ts";
import type { Policy } from "../../domain/rules/policy.ts";
import type { ReserveOrder, ReserveReply } from "../../session/reports/reports.ts";
import type { Sql } from "../../storage/sql.ts";
import { afterGivenBack, afterGrant, type Breaker, type BreakerTerms, heldUntil, newBreaker } from "./breaker.ts";
import { join } from "../containers/containers.ts";
import { readNamed, writeNamed } from "../named-values.ts";
import { defaultPauseTerms, type PauseTerms } from "./pauses.ts";
import { grant, isOpenState, move, openCount, readReservation } from "./reservations.ts";
import { isSpent, monthSpend } from "./spending.ts";
import {
  isFinal,
  withGeneration,
  readSession,
  type RegisteredSession,
  unknownSession,
  writeSession,
} from "../sessions.ts";

export interface QuotaTerms {
  readonly maxSandboxes: number;
  /** A reservation that is still without a lease after this long: its session is asked. ms */
  readonly orphanAfterMs: number;
  readonly breaker: BreakerTerms;
  readonly containers: ContainerTerms;
  readonly pauses: PauseTerms;
  /** What may be spent in a month, in billionths of the currency; null: no bound. */
  readonly monthlyNanos: number | null;
}

/** Members of one shared container. A lite instance holds some twenty idle wrappers; figures: docs/shared.md. */
const defaultMaxMembers = 20;

const second = 1_000;
const minute = 60 * second;

/** A reservation without a sandbox settles within the provision deadline and two stop attempts; after that its session is asked. */
export function quotaTerms(
  policy: Policy,
  maxSandboxes: number,
  maxMembers = defaultMaxMembers,
  pauses = defaultPauseTerms,
  monthlyNanos: number | null = null,
): QuotaTerms {
  return {
    maxSandboxes,
    orphanAfterMs: policy.provisionMs + 2 * policy.stopAttemptMs,
    // Five in a row is no bad luck. A minute lets a provider come back; a quarter of an hour is what a client may be told to wait.
    breaker: {
      threshold: 5,
      windowMs: 10 * minute,
      openMs: minute,
      openCapMs: 15 * minute,
      probeMs: policy.launchCallMs + policy.readyWaitMs,
      // A launch takes one to six seconds where nothing is wrong.
      askAgainMs: 10 * second,
    },
    containers: { maxMembers, policy },
    pauses,
    monthlyNanos,
  };
}

/** What `reserve` would answer, without writing anything. */
export type QuotaDecision =
  /** It holds this reservation already. */
  | { readonly type: "repeated"; readonly container: ContainerId | null }
  | { readonly type: "refused"; readonly reply: Extract<ReserveReply, { granted: false }> }
  /** `room`: how many more of this tenant its own cap lets through. */
  | { readonly type: "free"; readonly session: RegisteredSession; readonly room: number };

export function judge(sql: Sql, order: ReserveOrder, terms: QuotaTerms, now: number): QuotaDecision {
  const known = readReservation(sql, order.sessionId, order.generation);
  if (known !== null && known.sandboxId !== order.sandboxId) {
    throw new Error(
      `${order.sessionId} g${order.generation} was reserved for ${known.sandboxId}, now ${order.sandboxId}`,
    );
  }
  if (known !== null && isOpenState(known.state)) return { type: "repeated", container: known.container };
  const session = incarnationOf(sql, order);
  const passed = order.generation <= session.highestGeneration || order.createdAt < session.createdAt;
  // A session that is ending opens nothing more: this order was overtaken by its own end.
  if (passed || isFinal(session.status)) {
    // Also above an earlier session of this id: one that is made anew begins later than all of it, whatever its clock says.
    const above = Math.max(session.highestGeneration, order.generation, session.createdAt);
    return refused({ granted: false, code: "stale_generation", above });
  }
  const used = openCount(sql);
  const limit = terms.maxSandboxes;
  if (used >= limit) return refused({ granted: false, code: "quota_exhausted", limit, used });
  if (isSpent(sql, terms.monthlyNanos, now)) {
    const month = monthSpend(sql, terms.monthlyNanos, now);
    return refused({ granted: false, code: "budget_spent", month, currency: terms.containers.policy.prices.currency });
  }
  const closesAt = heldUntil(readBreaker(sql), spawnKey(order), terms.breaker, now);
  if (closesAt !== null) return refused({ granted: false, code: "spawn_breaker_open", closesAt });
  return { type: "free", session, room: limit - used };
}

function refused(reply: Extract<ReserveReply, { granted: false }>): QuotaDecision {
  return { type: "refused", reply };
}

export function readBreaker(sql: Sql): Breaker {
  return readNamed(sql, "breaker", newBreaker);
}

export function writeBreaker(sql: Sql, before: Breaker, after: Breaker): void {
  writeNamed(sql, "breaker", before, after);
}

export function spawnKey(spawn: { readonly sessionId: SessionId; readonly generation: Generation }): string {
  return `${spawn.sessionId}-g${spawn.generation}`;
}

export function reserve(sql: Sql, order: ReserveOrder, terms: QuotaTerms, now: number): ReserveReply {
  const judgement = judge(sql, order, terms, now);
  if (judgement.type === "repeated") return granted(judgement.container);
  if (judgement.type === "refused") return judgement.reply;
  const breaker = readBreaker(sql);
  writeBreaker(sql, breaker, afterGrant(breaker, spawnKey(order), terms.breaker, now));
  const container = order.shared === undefined ? null : join(sql, order, order.shared, terms.containers, now);
  grant(sql, {
    sessionId: order.sessionId,
    generation: order.generation,
    sandboxId: order.sandboxId,
    container,
    host: null,
    state: "reserved",
    ghost: false,
    listed: false,
    reservedAt: now,
    changedAt: now,
    lookAt: now + terms.orphanAfterMs,
  });
  writeSession(sql, withGeneration(judgement.session, order.generation));
  return granted(container);
}

function granted(container: ContainerId | null): ReserveReply {
  return container === null ? { granted: true } : { granted: true, container };
}

/** Reads the row of the session that asks. A session made anew under an erased id does not take over the reports of the old one. */
function incarnationOf(sql: Sql, order: ReserveOrder): RegisteredSession {
  const held = readSession(sql, order.sessionId);
  const fresh = unknownSession(sql, order.sessionId, order.createdAt);
  if (held === null) return fresh;
  return order.createdAt > held.createdAt ? withGeneration(fresh, held.highestGeneration) : held;
}

/**
 * Gives back a reservation for which no lease was ever opened, and refuses it for ever when it was not even made yet.
 * Once a report has shown it as a lease, this call frees nothing: only proof does.
 */
export function cancelReservation(sql: Sql, sessionId: SessionId, generation: Generation, now: number): void {
  const known = readReservation(sql, sessionId, generation);
  if (known?.state === "reserved") move(sql, known, { ...known, state: "cancelled" }, now);
  const breaker = readBreaker(sql);
  writeBreaker(sql, breaker, afterGivenBack(breaker, spawnKey({ sessionId, generation }), now));
  const session = readSession(sql, sessionId) ?? unknownSession(sql, sessionId, 0);
  if (generation > session.highestGeneration) writeSession(sql, withGeneration(session, generation));
}
