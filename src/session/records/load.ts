/**
 * Loading a session's rows. There are three outcomes besides "nothing there"; only `readable` is acted on freely. Nothing is written
 * but the migration of older tables.
 */
import type { Generation, SessionId, TenantId } from "../../domain/state/ids.ts";
import type { Stopping } from "../../domain/state/lease.ts";
import type { Session } from "../../domain/state/session.ts";
import { migrate, schemaVersion } from "../../storage/migrate.ts";
import type { Sql, SqlRow } from "../../storage/sql.ts";
import { recordVersion, sessionMigrations } from "../migrations/session-tables.ts";
import { newerActivity, newestOfJobs } from "./activity.ts";
import { sessionRecord } from "./session-record.ts";
import {
  decodeLease,
  identityColumnsOf,
  isProvider,
  parseJson,
  plainOf,
  type UnreadableLease,
  type PlainSession,
  type LeaseWithStanding,
} from "./row-codec.ts";

export type Loaded =
  | { readonly type: "absent" }
  /** `deleteAsked`: the intent was stored while the record could not be acted on. */
  | { readonly type: "readable"; readonly session: Session; readonly version: number; readonly deleteAsked: boolean }
  /** Written by newer code: not touched but for the delete intent. */
  | { readonly type: "newer"; readonly plain: PlainSession }
  /** Not touched but for the delete intent and the leases that can still be read. */
  | {
      readonly type: "unreadable";
      readonly plain: PlainSession;
      readonly leases: readonly LeaseWithStanding[];
      /** Lease rows of which only the identity can be read. */
      readonly remains: readonly UnreadableLease[];
      readonly why: string;
    };

export function loadSession(sql: Sql): Loaded {
  if (schemaVersion(sql) === 0) return { type: "absent" };
  if (schemaVersion(sql) > sessionMigrations.length) {
    const row = sql.run("SELECT id, tenant, provider, created_at, delete_requested_at, version, saved FROM session")[0];
    return row === undefined ? { type: "absent" } : { type: "newer", plain: plainOf(row) };
  }
  migrate(sql, sessionMigrations);
  const row = sql.run("SELECT * FROM session")[0];
  if (row === undefined) return { type: "absent" };
  const rows = sql.run("SELECT * FROM lease ORDER BY generation");
  const newest = [row, ...rows].reduce((most, each) => Math.max(most, Number(each["record_version"])), 0);
  if (newest > recordVersion) return { type: "newer", plain: plainOf(row) };
  return read(sql, row, rows);
}

function read(sql: Sql, row: SqlRow, rows: readonly SqlRow[]): Loaded {
  const faults: string[] = [];
  const remains: UnreadableLease[] = [];
  const leases: LeaseWithStanding[] = [];
  for (const each of rows) {
    const lease = decodeLease(each);
    if (lease === null) {
      faults.push(`lease ${String(each["generation"])}`);
      remains.push({ ...identityColumnsOf(each), standing: String(each["standing"]) as UnreadableLease["standing"] });
    } else leases.push({ standing: String(each["standing"]) as LeaseWithStanding["standing"], lease });
  }
  const record = sessionRecord.safeParse(parseJson(row["record"]));
  if (!record.success) faults.push("session record");
  if (!record.success || faults.length > 0 || !isProvider(row["provider"])) {
    return {
      type: "unreadable",
      plain: plainOf(row),
      leases,
      remains,
      why: `cannot be read: ${faults.join(", ") || "provider"}`,
    };
  }
  const session: Session = {
    id: row["id"] as SessionId,
    tenant: row["tenant"] as TenantId,
    provider: row["provider"],
    isolation: row["isolation"] as Session["isolation"],
    createdAt: Number(row["created_at"]),
    nextGeneration: Number(row["next_generation"]) as Generation,
    ...record.data,
    activity: newerActivity(record.data.activity, Number(row["activity_count"]), newestOfJobs(sql)),
    newest: leases.find((each) => each.standing === "newest")?.lease ?? null,
    ghosts: leases.filter((each) => each.standing === "ghost").map((each) => each.lease as Stopping),
  };
  const deleteAsked = row["delete_requested_at"] !== null && session.desired.type !== "terminated";
  return { type: "readable", session, version: Number(row["version"]), deleteAsked };
}
