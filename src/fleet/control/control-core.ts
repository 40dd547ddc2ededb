/**
 * FleetControl over one database, synchronous: what the object is a shell around. Every method that writes is one
 * transaction, which is all that 100 tenants asking at once need to share one cap.
 */
import type { TenantId } from "../../domain/state/ids.ts";
import type { Clock } from "../../runtime/clock-ids-logger.ts";
import { migrate } from "../../storage/migrate.ts";
import type { Sql } from "../../storage/sql.ts";
import { allow, readTotal, tenantsAfter } from "./control-allowance.ts";
import type {
  AdminAct,
  AdminLogEntry,
  AllowanceOrder,
  AllowanceReply,
  CapacityView,
  DrainView,
  FleetDocument,
  FleetRun,
  LayerSummary,
  RunQuery,
  TenantEntry,
} from "./control-api.ts";
import {
  appendLog,
  dropDocument,
  logBefore,
  putDocument,
  putRun,
  readDocument,
  readDocuments,
  readRun,
  readRuns,
  summariseLayers,
} from "./control-records.ts";
import { controlMigrations } from "./control-schema.ts";

export interface ControlTerms {
  /** GLOBAL_MAX_SANDBOXES. */
  readonly maxSandboxes: number;
}

export class ControlCore {
  readonly #sql: Sql;
  readonly #clock: Pick<Clock, "now">;
  readonly #terms: ControlTerms;

  constructor(sql: Sql, clock: Pick<Clock, "now">, terms: ControlTerms) {
    this.#sql = sql;
    this.#clock = clock;
    this.#terms = terms;
    const outcome = migrate(sql, controlMigrations);
    if (outcome.type === "newer") {
      throw new Error(
        `the control's schema ${outcome.stored} is newer than ${outcome.known}, the last this code knows`,
      );
    }
  }

  allow(order: AllowanceOrder): AllowanceReply {
    return this.#write((sql, now) =>
      allow(sql, order, { limit: this.#terms.maxSandboxes, draining: readDrain(sql) !== null }, now),
    );
  }

  tenants(after: TenantId | null, limit: number): readonly TenantEntry[] {
    return tenantsAfter(this.#sql, after, limit);
  }

  capacity(): CapacityView {
    const { allowed, tenants } = readTotal(this.#sql);
    return { limit: this.#terms.maxSandboxes, used: allowed, tenants, draining: readDrain(this.#sql) };
  }

  /** null ends it. A second order while it drains keeps the first one's time. */
  drain(order: { readonly by: string; readonly reason: string } | null): DrainView | null {
    return this.#write((sql, now) => {
      if (order === null) sql.run("DELETE FROM drain");
      else
        sql.run(
          `INSERT INTO drain (only, since, by, reason) VALUES (1, ?, ?, ?)
           ON CONFLICT (only) DO UPDATE SET by = excluded.by, reason = excluded.reason`,
          ...[now, order.by, order.reason],
        );
      return readDrain(sql);
    });
  }

  /** The id of this control plane. The first call stores the minted one; every later call answers that same id. */
  identity(mint: () => string): string {
    return this.#write((sql) => {
      sql.run("INSERT OR IGNORE INTO identity (only, id) VALUES (1, ?)", `cp_${mint()}`);
      return String(sql.run("SELECT id FROM identity")[0]?.["id"]);
    });
  }

  log(act: AdminAct): AdminLogEntry {
    return this.#write((sql, now) => appendLog(sql, act, now));
  }

  logPage(before: number | null, limit: number): readonly AdminLogEntry[] {
    return logBefore(this.#sql, before, limit);
  }

  putRun(run: FleetRun): void {
    this.#write((sql) => putRun(sql, run));
  }

  run(id: string): FleetRun | null {
    return readRun(this.#sql, id);
  }

  runs(query: RunQuery): readonly FleetRun[] {
    return readRuns(this.#sql, query);
  }

  layers(): readonly LayerSummary[] {
    return summariseLayers(this.#sql);
  }

  putDocument(document: Omit<FleetDocument, "at">): FleetDocument {
    return this.#write((sql, now) => putDocument(sql, document, now));
  }

  document(kind: FleetDocument["kind"], id: string): FleetDocument | null {
    return readDocument(this.#sql, kind, id);
  }

  documents(kind: FleetDocument["kind"], limit: number): readonly FleetDocument[] {
    return readDocuments(this.#sql, kind, limit);
  }

  dropDocument(kind: FleetDocument["kind"], id: string): boolean {
    return this.#write((sql) => dropDocument(sql, kind, id));
  }

  #write<T>(body: (sql: Sql, now: number) => T): T {
    return this.#sql.transaction(() => body(this.#sql, this.#clock.now()));
  }
}

function readDrain(sql: Sql): DrainView | null {
  const row = sql.run("SELECT since, by, reason FROM drain")[0];
  if (row === undefined) return null;
  return { since: row["since"] as number, by: row["by"] as string, reason: row["reason"] as string };
}
