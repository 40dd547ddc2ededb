/** The snapshots of one tenant that outlive their sessions. */
import type { SessionId } from "../../domain/state/ids.ts";
import type { TakenSnapshot } from "../../domain/state/session.ts";
import type { SnapshotOrder, SnapshotReply } from "../../session/reports/reports.ts";
import type { TenantRows } from "../tenant-rows.ts";
import {
  deleteSnapshot,
  deletionFinished,
  type DeletionResult,
  reserveSnapshot,
  settleSnapshot,
  takeDueSnapshots,
} from "./snapshot-life.ts";
import {
  countSnapshots,
  earliestSnapshotLook,
  findSnapshot,
  listSnapshots,
  type SnapshotCounts,
  type SnapshotQuery,
  type TenantSnapshot,
  unreleasedSnapshots,
} from "./snapshot-rows.ts";

export class TenantSnapshots {
  readonly #rows: TenantRows;

  constructor(rows: TenantRows) {
    this.#rows = rows;
  }

  reserve(order: SnapshotOrder): SnapshotReply {
    return this.#rows.write((sql, now) => reserveSnapshot(sql, order, this.#rows.terms.pauses, now));
  }

  settle(sessionId: SessionId, taken: TakenSnapshot): void {
    this.#rows.write((sql, now) => settleSnapshot(sql, sessionId, taken, now));
  }

  /** By id or name; null: there is none. */
  get(reference: string): TenantSnapshot | null {
    return this.#rows.read((sql) => findSnapshot(sql, reference), null);
  }

  list(query: SnapshotQuery): readonly TenantSnapshot[] {
    return this.#rows.read((sql) => listSnapshots(sql, query), []);
  }

  /** Everything whose bytes may be there, in the order of the id. */
  unreleased(after: string | null, limit: number): readonly TenantSnapshot[] {
    return this.#rows.read((sql) => unreleasedSnapshots(sql, after, limit), []);
  }

  snapshotCounts(): SnapshotCounts {
    return this.#rows.read(countSnapshots, { count: 0, bytes: 0, deleting: 0 });
  }

  /** null: there is none. */
  delete(reference: string): TenantSnapshot | null {
    return this.#rows.write((sql, now) => {
      const found = findSnapshot(sql, reference);
      return found && deleteSnapshot(sql, found, now);
    });
  }

  due(): boolean {
    return this.#rows.read((sql) => (earliestSnapshotLook(sql) ?? Infinity) <= this.#rows.now(), false);
  }

  takeDue(limit: number): readonly TenantSnapshot[] {
    return this.#rows.write((sql, now) => takeDueSnapshots(sql, now, limit));
  }

  deletionFinished(id: string, result: DeletionResult): void {
    this.#rows.write((sql, now) => deletionFinished(sql, id, result, now));
  }
}
