/** The rows of a session's leases: one for each generation that may physically exist, and the last receipts beside them. */
import type { Closed, Lease } from "../../domain/state/lease.ts";
import type { Session } from "../../domain/state/session.ts";
import type { Sql } from "../../storage/sql.ts";
import { recordVersionOf } from "../migrations/session-tables.ts";
import { decodeLease, encodeLease, type LeaseWithStanding } from "./row-codec.ts";

/** How many closed leases (receipts) stay beside the open ones. */
const receiptsKept = 20;

export interface LeaseRows {
  save(lease: Lease, standing: LeaseWithStanding["standing"]): void;
  /** Writes what differs. */
  write(before: Session, after: Session, receipts: readonly Closed[]): void;
  /** The closed ones, oldest first. */
  receipts(): readonly Closed[];
  /** Forgets what it remembers: a transaction was rolled back after it was read, or another session begins in this object. */
  forget(): void;
}

export function leaseRows(sql: Sql): LeaseRows {
  /** Asked for by every read of a running session, changed by a write of a lease only. null: not read since. */
  let receiptsKnown: readonly Closed[] | null = null;

  function save(lease: Lease, standing: LeaseWithStanding["standing"]): void {
    receiptsKnown = null;
    sql.run(
      `INSERT INTO lease (generation, instance_id, sandbox_id, container, provider, host, secret, opened_at, standing, phase, record_version, record)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (generation) DO UPDATE SET host = excluded.host, standing = excluded.standing, phase = excluded.phase,
         record_version = excluded.record_version, record = excluded.record`,
      lease.generation,
      lease.instanceId,
      lease.sandboxId,
      lease.container ?? null,
      lease.provider,
      lease.host,
      lease.secret,
      lease.openedAt,
      standing,
      lease.phase,
      recordVersionOf(lease.provider, lease.container !== undefined),
      encodeLease(lease),
    );
  }

  function write(before: Session, after: Session, receipts: readonly Closed[]): void {
    if (
      before.newest !== after.newest &&
      before.newest !== null &&
      before.newest.generation !== after.newest?.generation
    ) {
      // The newest stepped aside: a receipt becomes a past one; a ghost is written below.
      if (before.newest.phase === "closed") save(before.newest, "past");
    }
    if (after.newest !== null && after.newest !== before.newest) save(after.newest, "newest");
    for (const ghost of after.ghosts) if (!before.ghosts.includes(ghost)) save(ghost, "ghost");
    for (const receipt of receipts) save(receipt, "past");
    if (receipts.length > 0 || (after.newest !== null && after.newest.generation !== before.newest?.generation)) {
      sql.run(
        "DELETE FROM lease WHERE standing = 'past' AND generation NOT IN (SELECT generation FROM lease WHERE standing = 'past' ORDER BY generation DESC LIMIT ?)",
        receiptsKept,
      );
    }
  }

  return {
    save,
    write,
    receipts() {
      receiptsKnown ??= sql
        .run("SELECT * FROM lease WHERE phase = 'closed' ORDER BY generation")
        .map(decodeLease)
        .filter((lease): lease is Closed => lease?.phase === "closed");
      return receiptsKnown;
    },
    forget() {
      receiptsKnown = null;
    },
  };
}
