/**
 * What the tenant knows of its sessions: the newest report of each, applied to its reservations, and the receipts.
 *
 * A report lists every open lease and every closed one whose receipt we have not confirmed. So from one report follows:
 * - a lease it lists is as it says; `closed` frees quota only with `verified_absent_at`. Whatever is open counts, even when it
 *   was never reserved or was released before (a latecomer): physical ⊆ reserved comes before the cap;
 * - a mere reservation that it does not list was given up for certain when the session is ending or erased, or when a
 *   higher generation has a lease (generations open in order): `cancelled`. In every other case the session may be about to
 *   open it, so it stays; the session cancels it itself, and is asked when that takes too long (`lookAt`);
 * - a lease we saw open that it no longer lists was not proven gone to us: it stays counted, and the ledger names it.
 */
import type { Generation, SessionId } from "../domain/state/ids.ts";
import type { StopReason } from "../domain/state/reasons.ts";
import type { TeardownView } from "../protocol/resources/session/sessions.ts";
import type { LeaseReport, SessionReport } from "../session/reports/reports.ts";
import { keepForgotten } from "./forgotten.ts";
import type { Sql } from "../storage/sql.ts";
import { afterAccepted, afterFailed, afterGivenBack } from "./quota/breaker.ts";
import { recordHost, pruneContainers, takesMembers } from "./containers/containers.ts";
import { keepSaved } from "./quota/pauses.ts";
import { type QuotaTerms, readBreaker, spawnKey, writeBreaker } from "./quota/quota.ts";
import {
  grant,
  isOpenState,
  move,
  prune,
  reservationsOf,
  type Reservation,
  type ReservationState,
} from "./quota/reservations.ts";
import { enterStatement, pruneChain } from "./receipts/chain-rows.ts";
import { pruneSnapshots } from "./snapshots/snapshot-rows.ts";
import {
  forgetSession,
  isFinal,
  readSession,
  unknownSession,
  writeSession,
  type RegisteredSession,
} from "./sessions.ts";
import { noteSpending } from "./quota/spending.ts";
import { applyUsage, pruneUsage } from "./usage.ts";

const day = 86_400_000;
/** The evidence must outlive the question: a bill or an incident is looked into weeks later. */
export const receiptRetentionMs = 30 * day;

/** Inside one transaction of the caller. Answers the version held afterwards: at least the one sent. */
export function applyReport(
  sql: Sql,
  report: SessionReport,
  terms: QuotaTerms,
  now: number,
): { readonly version: number } {
  const held = readSession(sql, report.sessionId) ?? unknownSession(sql, report.sessionId, report.createdAt);
  if (!isNewer(report, held)) {
    // A report of an older incarnation gets its own version back; otherwise it would be repeated for ever.
    return { version: report.createdAt < held.createdAt ? report.version : held.version };
  }
  const reservations = new Map(reservationsOf(sql, report.sessionId).map((each) => [each.generation, each]));
  const newestListed = Math.max(0, ...report.leases.map((lease) => lease.generation));
  let proven: Reservation | null = null;
  for (const lease of report.leases) {
    const known = reservations.get(lease.generation) ?? null;
    applyLease(sql, report.sessionId, known, lease, terms, now);
    if (known !== null && isOpenState(known.state) && stateOf(lease) === "proven") proven = known;
    tellBreaker(sql, report.sessionId, known, lease, terms, now);
    reservations.delete(lease.generation);
  }
  for (const unlisted of reservations.values()) {
    const givenUp = report.erased || isFinal(report.status) || unlisted.generation < newestListed;
    const state = unlisted.state === "reserved" && givenUp ? "cancelled" : unlisted.state;
    move(sql, unlisted, { ...unlisted, state, listed: false }, now);
  }
  const highest = Math.max(held.highestGeneration, newestListed);
  const handedOn = proven !== null && handOn(sql, report, proven, highest, terms, now);
  // One made anew under an erased id counts its time from the start again: what the one before used is not counted.
  if (report.createdAt > held.createdAt) pruneUsage(sql, report.sessionId);
  const usage = applyUsage(sql, report.sessionId, report.usage, report.createdAt > held.createdAt);
  const session: RegisteredSession = {
    sessionId: report.sessionId,
    createdAt: report.createdAt,
    version: report.version,
    status: report.status,
    highestGeneration: handedOn ? Math.max(highest, report.successor?.generation ?? 0) : highest,
    reportedAt: now,
    erasedAt: report.erased ? now : null,
    vanishedAt: null,
  };
  writeSession(sql, session, { report, usage });
  keepForgotten(sql, report);
  keepSaved(sql, report, held.status, now);
  noteSpending(sql, report, now);
  return { version: report.version };
}

/**
 * The place of a sandbox that was just proven gone goes to the one that replaces it, in the same write: an upgrade is
 * nobody's request, so nobody may take its place meanwhile. A successor that was asked for or given back before needs none.
 * Answers whether it was reserved.
 */
function handOn(
  sql: Sql,
  { sessionId, successor }: SessionReport,
  proven: Reservation,
  highest: number,
  terms: QuotaTerms,
  now: number,
): boolean {
  if (successor === undefined || successor.generation <= highest) return false;
  const container = proven.container;
  // A container that is ending takes nobody in. The session then asks for a place like any other.
  if (container !== null && !takesMembers(sql, container)) return false;
  const times = { reservedAt: now, changedAt: now, lookAt: now + terms.orphanAfterMs };
  grant(sql, {
    sessionId,
    ...successor,
    container,
    host: null,
    state: "reserved",
    ghost: false,
    listed: false,
    ...times,
  });
  return true;
}

const failedLaunch: ReadonlySet<StopReason> = new Set(["launch_failed", "launch_timeout", "protocol"]);

/** Counts each launch for the breaker once: when its lease is first reported as accepted, failed or given back. */
function tellBreaker(
  sql: Sql,
  sessionId: SessionId,
  known: Reservation | null,
  lease: LeaseReport,
  terms: QuotaTerms,
  now: number,
): void {
  const pending = known === null || known.state === "reserved" || known.state === "launching";
  if (!pending || lease.phase === "launching") return;
  const breaker = readBreaker(sql);
  const { generation, stopReason } = lease;
  if (lease.phase === "held") writeBreaker(sql, breaker, afterAccepted());
  else if (stopReason !== null && failedLaunch.has(stopReason))
    writeBreaker(sql, breaker, afterFailed(breaker, terms.breaker, now));
  else writeBreaker(sql, breaker, afterGivenBack(breaker, spawnKey({ sessionId, generation }), now));
}

/** A session made anew under an id that was erased counts its versions from the start again. */
function isNewer(report: SessionReport, held: RegisteredSession): boolean {
  if (report.createdAt !== held.createdAt) return report.createdAt > held.createdAt;
  return held.reportedAt === null || report.version > held.version;
}

function applyLease(
  sql: Sql,
  sessionId: SessionId,
  known: Reservation | null,
  lease: LeaseReport,
  { containers }: QuotaTerms,
  now: number,
): void {
  const { generation, sandboxId, ghost } = lease;
  const state = stateOf(lease);
  const listed = true;
  const container = known?.container ?? lease.container ?? null;
  if (known === null) {
    const times = { reservedAt: lease.openedAt, changedAt: now, lookAt: now };
    const host = lease.host ?? null;
    grant(sql, { sessionId, generation, sandboxId, container, host, state, ghost, listed, ...times });
  } else {
    move(sql, known, { state, ghost, listed, host: lease.host ?? null }, now);
  }
  if (container !== null && lease.host !== undefined) recordHost(sql, container, lease.host, containers, now);
  if (lease.phase === "closed" && lease.receipt !== null) {
    // A session tells of its last leases for as long as it lives, and the chain forgets: what is old was told, and is not entered anew.
    const isRecent = Date.parse(lease.receipt.verified_absent_at ?? "") >= now - receiptRetentionMs;
    const chained = lease.statement !== undefined && isRecent;
    if (chained) enterStatement(sql, sessionId, generation, lease.statement, now);
    // Every report repeats it, and it does not change: a row written is a row billed.
    sql.run(
      `INSERT INTO receipt (session_id, generation, body, stored_at, chained) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (session_id, generation) DO UPDATE
       SET body = excluded.body, stored_at = excluded.stored_at, chained = excluded.chained
       WHERE body <> excluded.body`,
      ...[sessionId, generation, JSON.stringify(lease.receipt), now, chained ? 1 : 0],
    );
  }
}

function stateOf(lease: LeaseReport): ReservationState {
  if (lease.phase !== "closed") return lease.asserted ? "asserted" : lease.phase;
  if (lease.receipt !== null && lease.receipt.verified_absent_at !== null) return "proven";
  // Closed on an operator's word, or closed without any evidence, which is doubt and keeps its quota.
  return lease.asserted ? "asserted" : "stopping";
}

/** `generation` null: the newest there is. */
export function readReceipt(sql: Sql, sessionId: SessionId, generation: Generation | null): TeardownView | null {
  const rows = sql.run(
    `SELECT body FROM receipt WHERE session_id = ? AND (? IS NULL OR generation = ?) ORDER BY generation DESC LIMIT 1`,
    ...[sessionId, generation, generation],
  );
  const body = rows[0]?.["body"];
  return typeof body === "string" ? (JSON.parse(body) as TeardownView) : null;
}

/**
 * Forgets receipts past their retention and, as long after their erasure, sessions of which nothing is unproven. Their
 * generations stay refused through one common watermark. At most `limit` of each. true: there may be more.
 */
export function pruneRegistry(sql: Sql, now: number, limit: number): boolean {
  const before = now - receiptRetentionMs;
  const receipts = sql.run(
    `DELETE FROM receipt WHERE (session_id, generation) IN
       (SELECT session_id, generation FROM receipt WHERE chained = 0 AND stored_at < ? ORDER BY stored_at LIMIT ?)
     RETURNING generation`,
    ...[before, limit],
  );
  const erased = sql.run(
    `SELECT session_id FROM session WHERE erased_at < ? AND NOT EXISTS (
       SELECT 1 FROM reservation WHERE reservation.session_id = session.session_id AND state NOT IN ('proven', 'cancelled')
     ) ORDER BY erased_at LIMIT ?`,
    ...[before, limit],
  );
  const containers = pruneContainers(sql, before, limit);
  const moreInChain = pruneChain(sql, before, limit);
  const moreSnapshots = pruneSnapshots(sql, before, limit);
  for (const row of erased) {
    const session = readSession(sql, row["session_id"] as SessionId);
    if (session === null) continue;
    for (const reservation of reservationsOf(sql, session.sessionId)) prune(sql, reservation);
    pruneUsage(sql, session.sessionId);
    forgetSession(sql, session);
  }
  return (
    moreInChain || moreSnapshots || [receipts.length, erased.length, containers].some((removed) => removed >= limit)
  );
}
