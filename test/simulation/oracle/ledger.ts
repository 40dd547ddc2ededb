/**
 * The registry as its rows have it: what may be counted as what (I11), and that a reservation is given back only with a
 * receipt or when no lease was ever opened for it (I4).
 */
import type { SeenSession } from "./model.ts";
import { keptAmounts, type Rows } from "./stored.ts";

const states = ["reserved", "launching", "held", "stopping", "asserted", "proven", "cancelled"] as const;
export type ReservationState = (typeof states)[number];
const counted: ReadonlySet<ReservationState> = new Set(["reserved", "launching", "held", "stopping"]);
const released: ReadonlySet<ReservationState> = new Set(["proven", "cancelled"]);

export function reservationKey(sessionId: string, generation: number): string {
  return `${sessionId}/${generation}`;
}

export class LedgerWatch {
  readonly #rows: Rows;
  readonly #cap: number;
  /** By how many the cap may be passed: what was asserted gone, and what came without asking, is reserved all the same. */
  readonly #beyond: () => number;
  #seenWrites = -1;
  #reservations: ReadonlyMap<string, ReservationState> = new Map();

  constructor(rows: Rows, cap: number, beyond: () => number) {
    this.#rows = rows;
    this.#cap = cap;
    this.#beyond = beyond;
  }

  /** Every reservation row, released ones included; by session and generation. */
  get reservations(): ReadonlyMap<string, ReservationState> {
    return this.#reservations;
  }

  check(): readonly string[] {
    if (!this.#rows.hasTables) return nothing;
    const writes = this.#rows.writesTo("reservation", "tallies");
    if (writes === this.#seenWrites) return nothing;
    this.#seenWrites = writes;
    const before = this.#reservations;
    const rows = this.#rows.run("SELECT session_id, generation, state FROM reservation");
    const now = new Map<string, ReservationState>();
    const open = new Map<ReservationState, number>();
    for (const row of rows) {
      const state = row["state"] as ReservationState;
      now.set(reservationKey(String(row["session_id"]), Number(row["generation"])), state);
      open.set(state, (open.get(state) ?? 0) + 1);
    }
    this.#reservations = now;
    return [...this.#moveFaults(before), ...this.#tallyFaults(open, rows.length), ...this.#capFaults(open)];
  }

  #moveFaults(before: ReadonlyMap<string, ReservationState>): readonly string[] {
    const found: string[] = [];
    for (const [key, state] of this.#reservations) {
      const old = before.get(key);
      if (old === state || old === undefined) continue;
      if (old === "proven") found.push(`I11: ${key} was proven gone and is ${state} again`);
      if (state === "cancelled" && old !== "reserved") found.push(`I4: ${key} was ${old} and is cancelled`);
      if (state === "proven" && !this.#hasReceipt(key)) found.push(`I4: ${key} is proven without a receipt`);
    }
    return found;
  }

  #hasReceipt(key: string): boolean {
    const [session, generation] = key.split("/");
    const rows = this.#rows.run("SELECT session_id, generation, body FROM receipt");
    const row = rows.find((each) => each["session_id"] === session && String(each["generation"]) === generation);
    return row !== undefined && String(row["body"]).includes('"verified_absent_at":"');
  }

  receipt(session: string, generation: number): boolean {
    return this.#hasReceipt(reservationKey(session, generation));
  }

  /** What is reserved or asserted, in words. */
  unreleased(): readonly string[] {
    return Array.from(this.#reservations).flatMap(([key, state]) => (released.has(state) ? [] : [`${key} ${state}`]));
  }

  get used(): number {
    return Array.from(this.#reservations.values()).filter((state) => counted.has(state)).length;
  }

  /** What was kept while rows came, changed and went is what the rows say. */
  #tallyFaults(rows: ReadonlyMap<ReservationState, number>, all: number): readonly string[] {
    const kept = keptAmounts(this.#rows, "tallies");
    const amount = (name: string) => kept.get(name) ?? 0;
    const found: string[] = [];
    const pruned = amount("pruned_proven") + amount("pruned_cancelled");
    if (amount("granted") !== all + pruned)
      found.push(`I11: ${amount("granted")} were granted, and there are ${all} rows and ${pruned} pruned ones`);
    for (const state of states) {
      const there = (rows.get(state) ?? 0) + amount(`pruned_${state}`);
      if (amount(state) !== there) found.push(`I11: ${amount(state)} are kept as ${state}, there are ${there}`);
    }
    return found;
  }

  #capFaults(rows: ReadonlyMap<ReservationState, number>): readonly string[] {
    const used = [...rows].reduce((sum, [state, count]) => sum + (counted.has(state) ? count : 0), 0);
    return used > this.#cap + this.#beyond()
      ? [`CAP-5: ${used} sandboxes are reserved, ${this.#cap} are allowed`]
      : nothing;
  }
}

const nothing: readonly string[] = [];

/** As the registry should count the leases of a session once everything was told; null: nothing is counted. */
export function shouldCount(session: SeenSession, generation: number): ReservationState | null {
  const { newest, ghosts } = session;
  const ghost = ghosts.find((each) => each.generation === generation);
  if (ghost !== undefined) return ghost.assertion === null ? "stopping" : "asserted";
  if (newest?.generation !== generation) return null;
  if (newest.phase === "closed") return "proven";
  return newest.phase === "stopping" && newest.assertion !== null ? "asserted" : newest.phase;
}
