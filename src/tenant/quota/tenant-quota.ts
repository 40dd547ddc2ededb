/** The places of one tenant: what its cap and its breaker grant, and what must be looked after because nobody used it. */
import type { Generation, SessionId } from "../../domain/state/ids.ts";
import type { PauseOrder, PauseReply, ReserveOrder, ReserveReply } from "../../session/reports/reports.ts";
import { markVanished } from "../sessions.ts";
import type { OpenCursor } from "../tenant-api.ts";
import type { TenantRows } from "../tenant-rows.ts";
import { type Breaker, newBreaker } from "./breaker.ts";
import { admitPause } from "./pauses.ts";
import { cancelReservation, judge, type QuotaDecision, readBreaker, reserve } from "./quota.ts";
import {
  isOpenState,
  lookAgainAt,
  overdueReservations,
  readReservation,
  type Reservation,
  unreleased,
} from "./reservations.ts";

export class TenantQuota {
  readonly #rows: TenantRows;

  constructor(rows: TenantRows) {
    this.#rows = rows;
  }

  /** What `reserve` would answer now. Writes nothing but, for a tenant that never was, its tables. */
  judge(order: ReserveOrder): QuotaDecision {
    this.#rows.migrate();
    return judge(this.#rows.sql, order, this.#rows.terms, this.#rows.now());
  }

  /** By the tenant's own cap and breaker. The global cap comes before it (allowance-keeper.ts). */
  reserve(order: ReserveOrder): ReserveReply {
    return this.#rows.write((sql, now) => this.#rows.reviewed(sql, now, reserve(sql, order, this.#rows.terms, now)));
  }

  cancel(sessionId: SessionId, generation: Generation): void {
    this.#rows.write((sql, now) => this.#rows.reviewed(sql, now, cancelReservation(sql, sessionId, generation, now)));
  }

  /** A place among the tenant's paused sessions. */
  admitPause(order: PauseOrder): PauseReply {
    return this.#rows.write((sql, now) => admitPause(sql, order, this.#rows.terms.pauses, now));
  }

  breaker(): Breaker {
    return this.#rows.read(readBreaker, newBreaker);
  }

  open(after: OpenCursor | null, limit: number): readonly Reservation[] {
    return this.#rows.read((sql) => unreleased(sql, after, limit), []);
  }

  /**
   * Reservations that should long have become a lease or been given back. Each is put off to the next turn by being
   * taken, so that one whose session cannot answer is asked again, but not at once.
   */
  takeOverdue(limit: number): readonly Reservation[] {
    return this.#rows.write((sql, now) => {
      const overdue = overdueReservations(sql, now, limit);
      for (const each of overdue) lookAgainAt(sql, each, now + this.#rows.terms.orphanAfterMs);
      return overdue;
    });
  }

  /**
   * The session of `reservation` says that it has no record of itself. A session stores that it will launch before it does,
   * and keeps that until its receipt is told: so a reservation that no report ever listed was never used (a create that was
   * refused, whose request arrived once more), and is given back with its tombstone. A reservation that was listed proves a
   * sandbox that nobody accounts for: nothing is freed, the ledger names it, and an audit has the sandbox id to look at.
   */
  sessionVanished(reservation: Reservation): void {
    this.#rows.write((sql, now) => {
      const still = readReservation(sql, reservation.sessionId, reservation.generation);
      if (still === null || !isOpenState(still.state)) return;
      if (still.state === "reserved" && !still.listed) cancelReservation(sql, still.sessionId, still.generation, now);
      else markVanished(sql, still.sessionId, now);
      this.#rows.reviewed(sql, now, undefined);
    });
  }
}
