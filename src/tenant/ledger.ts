/**
 * The equation of one tenant's quota: granted = released + asserted + Σ open by phase, from the kept tallies and from the rows, and every way
 * in which the two or the rows themselves do not agree, by name. An empty list of imbalances is the claim.
 */
import type { Generation, SessionId } from "../domain/state/ids.ts";
import { addAmounts, readAmounts } from "../storage/amounts.ts";
import type { Sql } from "../storage/sql.ts";
import { reservationStates, type ReservationState } from "./quota/reservations.ts";
import { vanishedSessions } from "./sessions.ts";
import { countSnapshots, type SnapshotCounts } from "./snapshots/snapshot-rows.ts";

/** How many are, or ever were, in each state; `proven` and `cancelled` count from the beginning. */
export interface Counts extends Readonly<Record<ReservationState, number>> {
  readonly granted: number;
}

export type Imbalance =
  /** The kept tally and the counted rows differ. `rows` include what was pruned. */
  | { readonly type: "tally"; readonly name: string; readonly kept: number; readonly rows: number }
  /** The equation itself does not hold. */
  | { readonly type: "equation"; readonly granted: number; readonly accounted: number }
  /** Seen open, and the session's newest report no longer lists it, without proof. */
  | { readonly type: "unaccounted"; readonly sessionId: SessionId; readonly generation: Generation }
  /** Reservations of a session that answers that it does not exist. */
  | { readonly type: "vanished"; readonly sessionId: SessionId };

export interface Ledger {
  readonly counts: Counts;
  /** Counts against the cap: reserved + launching + held + stopping. */
  readonly used: number;
  readonly snapshots: SnapshotCounts;
  readonly imbalances: readonly Imbalance[];
}

/** The ledger of a tenant that never reserved anything. */
export const noLedger: Ledger = {
  counts: { granted: 0, reserved: 0, launching: 0, held: 0, stopping: 0, asserted: 0, proven: 0, cancelled: 0 },
  used: 0,
  snapshots: { count: 0, bytes: 0, deleting: 0 },
  imbalances: [],
};

/** At most this many rows of one kind are named: the first are enough to start looking. */
const namedAtMost = 100;

export function readLedger(sql: Sql): Ledger {
  const tallies = readAmounts(sql, "tallies");
  const states = amounts(sql, "SELECT state AS name, count(*) AS amount FROM reservation GROUP BY state");
  const kept = countsOf(tallies, new Map());
  const rows = countsOf(states, tallies);
  return {
    counts: kept,
    used: rows.reserved + rows.launching + rows.held + rows.stopping,
    snapshots: countSnapshots(sql),
    imbalances: [...compareCounts(kept, rows), ...unaccounted(sql), ...vanished(sql)],
  };
}

/** Pure. `rows.granted` is the number of rows, pruned ones included. */
export function compareCounts(kept: Counts, rows: Counts): readonly Imbalance[] {
  const found: Imbalance[] = [];
  for (const name of ["granted", ...reservationStates] as const) {
    if (kept[name] !== rows[name]) found.push({ type: "tally", name, kept: kept[name], rows: rows[name] });
  }
  const accounted = reservationStates.reduce((sum, state) => sum + kept[state], 0);
  if (kept.granted !== accounted) found.push({ type: "equation", granted: kept.granted, accounted });
  return found;
}

/** The kept tallies alone, as one picture under the count of their changes. */
export function readCounts(sql: Sql): Counts & { readonly version: number } {
  const tallies = readAmounts(sql, "tallies");
  return { ...countsOf(tallies, new Map()), version: tallies.get("counts_version") ?? 0 };
}

/** How often the kept tallies have changed; asked after every write, so it reads one row. */
export function countsVersion(sql: Sql): number {
  return readAmounts(sql, "tallies").get("counts_version") ?? 0;
}

/** The newest version of them that the index is known to have, as far as it was stored. */
export function countsConfirmed(sql: Sql): number {
  return readAmounts(sql, "tallies").get("counts_confirmed") ?? 0;
}

/** Inside a transaction of the caller. An older one changes nothing. */
export function noteCountsConfirmed(sql: Sql, version: number): void {
  addAmounts(sql, "tallies", [["counts_confirmed", Math.max(0, version - countsConfirmed(sql))]]);
}

function unaccounted(sql: Sql): readonly Imbalance[] {
  const rows = sql.run(
    `SELECT session_id, generation FROM reservation
     WHERE listed = 0 AND state IN ('launching', 'held', 'stopping') ORDER BY changed_at LIMIT ?`,
    namedAtMost,
  );
  return rows.map((row) => ({
    type: "unaccounted",
    sessionId: row["session_id"] as SessionId,
    generation: row["generation"] as Generation,
  }));
}

function vanished(sql: Sql): readonly Imbalance[] {
  return vanishedSessions(sql, namedAtMost).map(({ sessionId }) => ({ type: "vanished", sessionId }));
}

function countsOf(amount: ReadonlyMap<string, number>, pruned: ReadonlyMap<string, number>): Counts {
  const of = (state: ReservationState) => (amount.get(state) ?? 0) + (pruned.get(`pruned_${state}`) ?? 0);
  const states = {
    reserved: of("reserved"),
    launching: of("launching"),
    held: of("held"),
    stopping: of("stopping"),
    asserted: of("asserted"),
    proven: of("proven"),
    cancelled: of("cancelled"),
  };
  const total = reservationStates.reduce((sum, state) => sum + states[state], 0);
  return { ...states, granted: amount.get("granted") ?? total };
}

function amounts(sql: Sql, statement: string): ReadonlyMap<string, number> {
  return new Map(sql.run(statement).map((row) => [row["name"] as string, row["amount"] as number]));
}
