/**
 * I11 from the registry's side: the ledger's equation, and the cap; counted from the rows here, after every write to them.
 * Only at the end, when everything must be given back, the registry is asked for its own ledger as an operator would.
 */
import type { Generation, SessionId } from "../../src/domain/ids.ts";
import type { QuotaTerms } from "../../src/tenant/quota.ts";
import { TenantCore } from "../../src/tenant/tenant-core.ts";
import type { SimStorage } from "./sim-storage.ts";

const states = ["reserved", "launching", "held", "stopping", "asserted", "proven", "cancelled"] as const;
export type ReservationState = (typeof states)[number];
const counted: ReadonlySet<ReservationState> = new Set(["reserved", "launching", "held", "stopping"]);

export class RegistryWatch {
  readonly #storage: SimStorage;
  readonly #core: TenantCore;
  readonly #cap: number;
  readonly #asserted: () => number;
  #seenWrites = -1;
  #reservations: ReadonlyMap<string, ReservationState> = new Map();

  constructor(storage: SimStorage, terms: QuotaTerms, now: () => number, asserted: () => number) {
    this.#asserted = asserted;
    this.#storage = storage;
    // A reader of its own: it sees what is stored, whatever became of the object.
    this.#core = new TenantCore(storage, { now }, terms);
    this.#cap = terms.maxSandboxes;
  }

  /** Every reservation row, released ones included; by session and generation. */
  get reservations(): ReadonlyMap<string, ReservationState> {
    return this.#reservations;
  }

  ledger(): ReturnType<TenantCore["ledger"]> {
    return this.#core.ledger();
  }

  receipt(session: SessionId, generation: Generation): ReturnType<TenantCore["receipt"]> {
    return this.#core.receipt(session, generation);
  }

  check(): readonly string[] {
    const writes = this.#storage.writesTo("reservation", "tally");
    if (writes === this.#seenWrites || !this.#storage.hasTables) return [];
    this.#seenWrites = writes;
    const rows = this.#storage.run("SELECT session_id, generation, state FROM reservation");
    const found = new Map<string, ReservationState>();
    const open = new Map<ReservationState, number>();
    for (const { session_id: session, generation, state } of rows) {
      const is = state as ReservationState;
      found.set(reservationKey(session as SessionId, generation as unknown as Generation), is);
      open.set(is, (open.get(is) ?? 0) + 1);
    }
    this.#reservations = found;
    return [...this.#tallyViolations(open, rows.length), ...this.#capViolations(open)];
  }

  /** What was kept while rows came, changed and went is what the rows say. */
  #tallyViolations(rows: ReadonlyMap<ReservationState, number>, all: number): readonly string[] {
    const kept = new Map(
      this.#storage.run("SELECT name, amount FROM tally").map((row) => [String(row["name"]), Number(row["amount"])]),
    );
    const amount = (name: string) => kept.get(name) ?? 0;
    const found: string[] = [];
    const pruned = amount("pruned_proven") + amount("pruned_cancelled");
    if (amount("granted") !== all + pruned)
      found.push(`I11: ${amount("granted")} were granted, and there are ${all} rows and ${pruned} pruned ones`);
    const accounted = states.reduce((sum, state) => sum + amount(state), 0);
    if (amount("granted") !== accounted)
      found.push(`I11: ${amount("granted")} were granted, ${accounted} are accounted for`);
    for (const state of states) {
      const there = (rows.get(state) ?? 0) + amount(`pruned_${state}`);
      if (amount(state) !== there) found.push(`I11: ${amount(state)} are kept as ${state}, there are ${there}`);
    }
    return found;
  }

  #capViolations(rows: ReadonlyMap<ReservationState, number>): readonly string[] {
    const used = [...rows].reduce((sum, [state, count]) => sum + (counted.has(state) ? count : 0), 0);
    // What was asserted gone and is seen alive is reserved again whatever the cap says.
    return used > this.#cap + this.#asserted()
      ? [`CAP-5: ${used} sandboxes are reserved, ${this.#cap} are allowed`]
      : [];
  }
}

export function reservationKey(sessionId: SessionId, generation: Generation): string {
  return `${sessionId}/${generation}`;
}
