/**
 * The reservation rows, one per (session, generation), and the kept tallies beside them. The only writer of both: a row
 * enters at `grant`, changes state at `move`, leaves at `prune`, and each of the three moves its tally in the same
 * transaction. Decides nothing: quota.ts and apply-report.ts do.
 */
import type { ContainerId, Generation, SandboxId, SessionId } from "../../domain/state/ids.ts";
import { addAmounts, readAmounts } from "../../storage/amounts.ts";
import type { Sql, SqlRow } from "../../storage/sql.ts";

/** Counted against the cap: something physical may exist. */
const openStates = ["reserved", "launching", "held", "stopping"] as const;
/** Given back: `proven` by two looks after retirement; `cancelled` because no lease was ever opened for it. */
const releasedStates = ["proven", "cancelled"] as const;
/** `asserted`: an operator's word, in a column of its own: neither counted against the cap nor proven. */
export const reservationStates = [...openStates, "asserted", ...releasedStates] as const;
export type ReservationState = (typeof reservationStates)[number];

export interface Reservation {
  readonly sessionId: SessionId;
  readonly generation: Generation;
  readonly sandboxId: SandboxId;
  /** The shared container it is a place in; null: a container of its own. */
  readonly container: ContainerId | null;
  /** The host that answered its launch first; null: none was reported. No other host's answer proves anything about it. */
  readonly host: string | null;
  readonly state: ReservationState;
  readonly ghost: boolean;
  /** The newest report of its session names it. Always false for one no lease was opened for. */
  readonly listed: boolean;
  readonly reservedAt: number;
  readonly changedAt: number;
  /** Still `reserved` by then: its session is asked. */
  readonly lookAt: number;
}

/**
 * Kept amounts: every grant there was, what is in each state, of those what pruning took, how often any of it changed, and when a
 * place was last taken or given back.
 */
export type Tally =
  "granted" | ReservationState | "pruned_proven" | "pruned_cancelled" | "counts_version" | "changed_at";

const columns =
  "session_id, generation, sandbox_id, container, host, state, ghost, listed, reserved_at, changed_at, look_at";

export function isOpenState(state: ReservationState): boolean {
  return (openStates as readonly string[]).includes(state);
}

export function readReservation(sql: Sql, sessionId: SessionId, generation: Generation): Reservation | null {
  const statement = `SELECT ${columns} FROM reservation WHERE session_id = ? AND generation = ?`;
  const row = sql.run(statement, sessionId, generation)[0];
  return row === undefined ? null : parse(row);
}

export function reservationsOf(sql: Sql, sessionId: SessionId): readonly Reservation[] {
  return sql.run(`SELECT ${columns} FROM reservation WHERE session_id = ? ORDER BY generation`, sessionId).map(parse);
}

/** Not released, asserted ones included; in the order of (session, generation), strictly after `after`. */
export function unreleased(
  sql: Sql,
  after: { readonly sessionId: SessionId; readonly generation: Generation } | null,
  limit: number,
): readonly Reservation[] {
  const statement = `SELECT ${columns} FROM reservation
    WHERE state NOT IN ('proven', 'cancelled') AND (session_id, generation) > (?, ?)
    ORDER BY session_id, generation LIMIT ?`;
  return sql.run(statement, after?.sessionId ?? "", after?.generation ?? 0, limit).map(parse);
}

/** Still `reserved` although their session should have opened a lease or given them back by `now`. */
export function overdueReservations(sql: Sql, now: number, limit: number): readonly Reservation[] {
  const statement = `SELECT ${columns} FROM reservation
    WHERE state = 'reserved' AND look_at <= ? ORDER BY look_at LIMIT ?`;
  return sql.run(statement, now, limit).map(parse);
}

export function earliestLook(sql: Sql): number | null {
  const look = sql.run("SELECT min(look_at) AS look FROM reservation WHERE state = 'reserved'")[0]?.["look"];
  return typeof look === "number" ? look : null;
}

/** The reservations in one container that were not released. */
export function membersOf(sql: Sql, container: ContainerId): readonly Reservation[] {
  const statement = `SELECT ${columns} FROM reservation
    WHERE container = ? AND state NOT IN ('proven', 'cancelled') ORDER BY session_id, generation`;
  return sql.run(statement, container).map(parse);
}

/** From the kept tallies, which move in the write that moves a row: an index by state would be a row more for each of its moves. */
export function openCount(sql: Sql): number {
  const tallies = readAmounts(sql, "tallies");
  return openStates.reduce((sum, state) => sum + (tallies.get(state) ?? 0), 0);
}

/** Makes the row. `listed` and `ghost` as its report says; a fresh reservation is neither. */
export function grant(sql: Sql, reservation: Reservation): void {
  const { sessionId, generation, sandboxId, container, host, state, ghost, listed } = reservation;
  const { reservedAt, changedAt, lookAt } = reservation;
  const flags = [Number(ghost), Number(listed)];
  const values = [sessionId, generation, sandboxId, container, host, state, ...flags, reservedAt, changedAt, lookAt];
  sql.run(`INSERT INTO reservation (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, ...values);
  tally(sql, ["granted", 1], [state, 1], ["counts_version", 1], changedAtNow(sql, changedAt));
}

export type Standing = Pick<Reservation, "state" | "ghost" | "listed" | "host">;

/** Writes nothing when nothing changes: most reports repeat what is known, and a row written is a row billed. */
export function move(sql: Sql, from: Reservation, to: Standing, now: number): void {
  // The first host that is reported stays: a host that answers later for the same sandbox is another one.
  const host = from.host ?? to.host;
  const stands = from.state === to.state && from.ghost === to.ghost && from.listed === to.listed;
  if (stands && host === from.host) return;
  sql.run(
    "UPDATE reservation SET state = ?, ghost = ?, listed = ?, host = ?, changed_at = ? WHERE session_id = ? AND generation = ?",
    ...[to.state, Number(to.ghost), Number(to.listed), host, stands ? from.changedAt : now],
    ...[from.sessionId, from.generation],
  );
  if (from.state !== to.state)
    tally(sql, [from.state, -1], [to.state, 1], ["counts_version", 1], changedAtNow(sql, now));
}

export function lookAgainAt(sql: Sql, reservation: Reservation, at: number): void {
  const { sessionId, generation } = reservation;
  sql.run("UPDATE reservation SET look_at = ? WHERE session_id = ? AND generation = ?", at, sessionId, generation);
}

/** Forgets a released row; what it counted stays in the tallies. */
export function prune(sql: Sql, reservation: Reservation): void {
  const { sessionId, generation, state } = reservation;
  if (state !== "proven" && state !== "cancelled") throw new Error(`what is ${state} is never pruned`);
  sql.run("DELETE FROM reservation WHERE session_id = ? AND generation = ?", sessionId, generation);
  tally(sql, [`pruned_${state}`, 1]);
}

/** Something else of the tenant's picture changed: the index is told anew. */
export function countsChanged(sql: Sql): void {
  tally(sql, ["counts_version", 1]);
}

/** When a place was last taken or given back; 0: never, or not since older code counted. */
export function countsChangedAt(sql: Sql): number {
  return readAmounts(sql, "tallies").get("changed_at") ?? 0;
}

function changedAtNow(sql: Sql, now: number): readonly [name: Tally, change: number] {
  return ["changed_at", now - countsChangedAt(sql)];
}

function tally(sql: Sql, ...changes: readonly (readonly [name: Tally, change: number])[]): void {
  addAmounts(sql, "tallies", changes);
}

function parse(row: SqlRow): Reservation {
  return {
    sessionId: row["session_id"] as SessionId,
    generation: row["generation"] as Generation,
    sandboxId: row["sandbox_id"] as SandboxId,
    container: row["container"] as ContainerId | null,
    host: row["host"] as string | null,
    state: row["state"] as ReservationState,
    ghost: row["ghost"] === 1,
    listed: row["listed"] === 1,
    reservedAt: row["reserved_at"] as number,
    changedAt: row["changed_at"] as number,
    lookAt: row["look_at"] as number,
  };
}
