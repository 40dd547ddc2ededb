/**
 * A session's rows: what is loaded, and one write for everything a move changes. Owns the tables `session` and `lease`;
 * events are in history.ts, jobs in job-store.ts. Loading has three outcomes besides "nothing there"; only `readable` is acted on freely.
 */
import type { Note } from "../../domain/machine/events.ts";
import type { Generation, SessionId, TenantId } from "../../domain/state/ids.ts";
import { type Closed, type Lease, type Stopping } from "../../domain/state/lease.ts";
import type { Session } from "../../domain/state/session.ts";
import type { EventView } from "../../protocol/resources/session/events.ts";
import { migrate, schemaVersion } from "../../storage/migrate.ts";
import { isSealed } from "../../storage/seals.ts";
import type { Sql, SqlRow } from "../../storage/sql.ts";
import { sessionHistory, type Actor } from "./history.ts";
import { recordVersion, recordVersionOf, sessionMigrations } from "../migrations/session-tables.ts";
import { sessionTablesAtOnce } from "../migrations/session-tables-at-once.ts";
import { sessionRecord, type SavedFiles } from "./record.ts";
import {
  decodeLease,
  encodeLease,
  encodeSession,
  identityColumnsOf,
  isProvider,
  parseJson,
  plainOf,
  rowFields,
  savedOf,
  type LeaseRemains,
  type PlainSession,
  type StandingLease,
} from "./row-codec.ts";
import type { UsageFigure } from "../reports/reports.ts";
import { sessionUsage } from "./usage.ts";

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
      readonly leases: readonly StandingLease[];
      /** Lease rows of which only the identity can be read. */
      readonly remains: readonly LeaseRemains[];
      readonly why: string;
    };

export const firstVersion = 1;

/** How many closed leases (receipts) stay beside the open ones. */
const receiptsKept = 20;

/** A text that is sealed, or should be. */
export interface SealedRow {
  /** What its seal is bound to, within the session. */
  readonly place: string;
  /** null: it is gone by now. */
  read(): string | null;
  /** Inside a transaction of the caller's. Does nothing when something else stands there by now. */
  replace(stored: string, sealed: string): void;
}

export interface SessionStore {
  load(): Loaded;
  /** Makes the tables. Has transactions of its own. */
  migrate(): void;
  /** Inside a transaction of the caller's: the first row. `secrets` (secrets.ts) are kept apart: written once and read at launches only. */
  create(session: Session, requestHash: string | null, secrets: string, notes: readonly Note[], actor: Actor): void;
  /** Inside a transaction of the caller's. Writes what differs and answers the row version after it. */
  save(
    before: Session,
    after: Session,
    receipts: readonly Closed[],
    notes: readonly Note[],
    actor: Actor,
    now: number,
  ): number;
  saveLease(lease: Lease, standing: "newest" | "ghost" | "past"): void;
  /** Of a record that is not written: what of its saved files is left. */
  saveFiles(saved: SavedFiles): void;
  requestDelete(at: number): void;
  addNotes(before: Session, after: Session, notes: readonly Note[], actor: Actor, now: number): void;
  /** For what is told of a record that is not written: the next row version, stored. */
  bumpVersion(): number;
  /** The next row version above one that somebody holds of this session although its row never reached it. */
  raiseVersion(above: number): number;
  /** A transaction was rolled back: nothing that was read inside it may be remembered. */
  forget(): void;
  /** The last version that the registry and the index have both confirmed, and when. */
  reported(): { readonly version: number; readonly at: number };
  confirmReport(version: number, at: number): void;
  receipts(): readonly Closed[];
  requestHash(): string | null;
  /** As they are stored: see secrets.ts. */
  launchSecrets(): string;
  /** false: they are not `before` any more. Inside a transaction of the caller's. */
  replaceLaunchSecrets(before: string, after: string): boolean;
  /** Everything of it that is, or should be, sealed. */
  sealedRows(): readonly SealedRow[];
  /** Time in each status, up to `now`. */
  usage(session: Session, now: number): readonly UsageFigure[];
  events(after: number, limit: number): readonly EventView[];
  transaction<T>(body: () => T): T;
}

function isUpgrading({ desired }: Session): boolean {
  return desired.type === "running" && desired.provision?.purpose === "upgrade";
}

/** What older code would not carry out. */
function hasTerms({ template, network }: Session): boolean {
  return template !== undefined || network !== undefined;
}

/** What older code would drop at its next write. */
function hasBudget({ budget }: Session): boolean {
  return budget.maxNanos !== null || budget.spentNanos > 0 || budget.tenantSpentAt !== null;
}

/** Older code would misread a snapshot that is the tenant's: it would delete it, or take the row for broken. */
function sharesSnapshots({ newest, taken, snapshot }: Session): boolean {
  const copying = newest?.phase === "held" && newest.gate.type === "copying";
  return copying || taken.length > 0 || snapshot?.source !== undefined;
}

export function sessionStore(sql: Sql): SessionStore {
  const usage = sessionUsage(sql);
  const history = sessionHistory(sql);
  /** Asked for by every read of a running session, changed by a write of a lease only. null: not read since. */
  let receiptsKnown: readonly Closed[] | null = null;

  function load(): Loaded {
    receiptsKnown = null;
    if (schemaVersion(sql) === 0) return { type: "absent" };
    if (schemaVersion(sql) > sessionMigrations.length) {
      const row = sql.run(
        "SELECT id, tenant, provider, created_at, delete_requested_at, version, saved FROM session",
      )[0];
      return row === undefined ? { type: "absent" } : { type: "newer", plain: plainOf(row) };
    }
    migrate(sql, sessionMigrations);
    const row = sql.run("SELECT * FROM session")[0];
    if (row === undefined) return { type: "absent" };
    const rows = sql.run("SELECT * FROM lease ORDER BY generation");
    const newest = [row, ...rows].reduce((most, each) => Math.max(most, Number(each["record_version"])), 0);
    if (newest > recordVersion) return { type: "newer", plain: plainOf(row) };
    return read(row, rows);
  }

  function read(row: SqlRow, rows: readonly SqlRow[]): Loaded {
    const faults: string[] = [];
    const remains: LeaseRemains[] = [];
    const leases: StandingLease[] = [];
    for (const each of rows) {
      const lease = decodeLease(each);
      if (lease === null) {
        faults.push(`lease ${String(each["generation"])}`);
        remains.push({ ...identityColumnsOf(each), standing: String(each["standing"]) as LeaseRemains["standing"] });
      } else leases.push({ standing: String(each["standing"]) as StandingLease["standing"], lease });
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
      newest: leases.find((each) => each.standing === "newest")?.lease ?? null,
      ghosts: leases.filter((each) => each.standing === "ghost").map((each) => each.lease as Stopping),
    };
    const deleteAsked = row["delete_requested_at"] !== null && session.desired.type !== "terminated";
    return { type: "readable", session, version: Number(row["version"]), deleteAsked };
  }

  /** Answers the row version after the write. It is counted in the row: a rolled-back write then undoes the count as well. */
  function writeSession(session: Session, versioned: boolean, moved: string | null): number {
    const lease = session.newest;
    const [row] = sql.run(
      `UPDATE session SET next_generation = ?, host = ?, sandbox_id = ?, instance_id = ?, delete_requested_at = coalesce(delete_requested_at, ?),
        version = version + ?, record_version = ?, record = ?, saved = ?, usage = coalesce(?, usage) RETURNING version`,
      session.nextGeneration,
      lease?.host ?? null,
      lease?.sandboxId ?? null,
      lease?.instanceId ?? null,
      session.desired.type === "terminated" ? session.desired.at : null,
      versioned ? 1 : 0,
      recordVersionOf(session.provider, session.isolation === "shared", {
        isUpgrading: isUpgrading(session),
        hasTerms: hasTerms(session),
        sharesSnapshots: sharesSnapshots(session),
        hasBudget: hasBudget(session),
      }),
      encodeSession(session),
      JSON.stringify(savedOf(session)),
      moved,
    );
    return Number(row?.["version"]);
  }

  function storedVersion(): number {
    return Number(sql.run("SELECT version FROM session")[0]?.["version"]);
  }

  function saveLease(lease: Lease, standing: "newest" | "ghost" | "past"): void {
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

  function writeLeases(before: Session, after: Session, receipts: readonly Closed[]): void {
    if (
      before.newest !== after.newest &&
      before.newest !== null &&
      before.newest.generation !== after.newest?.generation
    ) {
      // The newest stepped aside: a receipt becomes a past one; a ghost is written below.
      if (before.newest.phase === "closed") saveLease(before.newest, "past");
    }
    if (after.newest !== null && after.newest !== before.newest) saveLease(after.newest, "newest");
    for (const ghost of after.ghosts) if (!before.ghosts.includes(ghost)) saveLease(ghost, "ghost");
    for (const receipt of receipts) saveLease(receipt, "past");
    if (receipts.length > 0 || (after.newest !== null && after.newest.generation !== before.newest?.generation)) {
      sql.run(
        "DELETE FROM lease WHERE standing = 'past' AND generation NOT IN (SELECT generation FROM lease WHERE standing = 'past' ORDER BY generation DESC LIMIT ?)",
        receiptsKept,
      );
    }
  }

  return {
    load,
    migrate() {
      migrate(sql, sessionMigrations, sessionTablesAtOnce);
    },
    create(session, requestHash, secrets, notes, actor) {
      receiptsKnown = null;
      sql.run(
        `INSERT INTO session (id, tenant, provider, isolation, created_at, next_generation, version, record_version, record,
           reported_version, reported_at, saved, request_hash, env, usage)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?, ?)`,
        session.id,
        session.tenant,
        session.provider,
        session.isolation,
        session.createdAt,
        session.nextGeneration,
        firstVersion,
        recordVersionOf(session.provider, session.isolation === "shared", {
          hasTerms: hasTerms(session),
          sharesSnapshots: sharesSnapshots(session),
          hasBudget: hasBudget(session),
        }),
        encodeSession(session),
        JSON.stringify(savedOf(session)),
        requestHash,
        secrets,
        usage.begun(session),
      );
      history.add(null, session, notes, actor, session.createdAt);
    },
    save(before, after, receipts, notes, actor, now) {
      writeLeases(before, after, receipts);
      const moved = usage.moved(before, after, now);
      // A renewal alone changes neither what a client reads nor what the index holds: no new version, no session row.
      const leasePhaseMoved =
        before.newest?.phase !== after.newest?.phase || before.newest?.generation !== after.newest?.generation;
      // Neither does activity alone: it is stored, but no reader keeps a copy of it that a new version would invalidate.
      const versioned = rowFields.some((field) => field !== "activity" && before[field] !== after[field]);
      const counts = versioned || leasePhaseMoved || notes.length > 0;
      const writes = counts || moved !== null || before.activity !== after.activity;
      const version = writes ? writeSession(after, counts, moved) : storedVersion();
      history.add(before, after, notes, actor, now);
      return version;
    },
    saveLease,
    saveFiles(saved) {
      sql.run("UPDATE session SET saved = ?", JSON.stringify(saved));
    },
    reported() {
      const row = sql.run("SELECT reported_version, reported_at FROM session")[0];
      return { version: Number(row?.["reported_version"] ?? 0), at: Number(row?.["reported_at"] ?? 0) };
    },
    confirmReport(reportedVersion, at) {
      sql.run("UPDATE session SET reported_version = ?, reported_at = ?", reportedVersion, at);
    },
    addNotes: (before, after, notes, actor, now) => history.add(before, after, notes, actor, now),
    bumpVersion() {
      return Number(sql.run("UPDATE session SET version = version + 1 RETURNING version")[0]?.["version"]);
    },
    raiseVersion(above) {
      const [row] = sql.run("UPDATE session SET version = max(version, ?) + 1 RETURNING version", above);
      return Number(row?.["version"]);
    },
    forget() {
      receiptsKnown = null;
    },
    requestDelete(at) {
      sql.run("UPDATE session SET delete_requested_at = coalesce(delete_requested_at, ?)", at);
    },
    receipts() {
      receiptsKnown ??= sql
        .run("SELECT * FROM lease WHERE phase = 'closed' ORDER BY generation")
        .map(decodeLease)
        .filter((lease): lease is Closed => lease?.phase === "closed");
      return receiptsKnown;
    },
    requestHash() {
      const hash = sql.run("SELECT request_hash FROM session")[0]?.["request_hash"];
      return typeof hash === "string" ? hash : null;
    },
    launchSecrets() {
      return String(sql.run("SELECT env FROM session")[0]?.["env"] ?? "{}");
    },
    replaceLaunchSecrets: (before, after) =>
      sql.run("UPDATE session SET env = ? WHERE env = ? RETURNING id", after, before).length === 1,
    sealedRows() {
      const column = (name: "env" | "request_hash", place: string): SealedRow => ({
        place,
        read() {
          const stored = sql.run(`SELECT ${name} AS stored FROM session`)[0]?.["stored"];
          // A digest in plain is of a create that carried no secret.
          return typeof stored === "string" && (name === "env" || isSealed(stored)) ? stored : null;
        },
        replace: (stored, sealed) => void sql.run(`UPDATE session SET ${name} = ? WHERE ${name} = ?`, sealed, stored),
      });
      return [column("env", "launch"), column("request_hash", "request")];
    },
    usage: (session, now) => usage.figures(session, now),
    events: (after, limit) => history.events(after, limit),
    transaction: (body) => sql.transaction(body),
  };
}
