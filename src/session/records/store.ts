/**
 * A session's rows: one write for everything that a move changes. Owns the table `session`; loading is in load.ts, leases are in
 * lease-rows.ts, events in history.ts, jobs in job-store.ts.
 */
import type { Note } from "../../domain/machine/events.ts";
import type { Closed, Lease } from "../../domain/state/lease.ts";
import type { Session } from "../../domain/state/session.ts";
import type { EventView } from "../../protocol/resources/session/events.ts";
import { migrate } from "../../storage/migrate.ts";
import { isSealed } from "../../storage/seals.ts";
import type { Sql } from "../../storage/sql.ts";
import { recordVersionOf, sessionMigrations } from "../migrations/session-tables.ts";
import { sessionTablesAtOnce } from "../migrations/session-tables-at-once.ts";
import type { UsageFigure } from "../reports/reports.ts";
import { newestOfJobs, type StoredActivity } from "./activity.ts";
import { sessionHistory, type Actor, type Happening } from "./history.ts";
import { leaseRows } from "./lease-rows.ts";
import { loadSession, type Loaded } from "./load.ts";
import type { SavedFiles } from "./session-record.ts";
import { encodeSession, rowFields, savedOf, type LeaseWithStanding } from "./row-codec.ts";
import { sessionUsage } from "./usage.ts";

export const firstVersion = 1;

/** A text that is sealed, or should be. */
export interface SealedRow {
  /** What the seal is bound to, within the session. */
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
  /**
   * Inside a transaction of the caller's. Writes what differs and answers the row version after it. `activityIsStored`: with a job, by
   * `withActivity`, so that an activity alone does not write the session's row.
   */
  save(
    change: Happening & { readonly before: Session },
    receipts: readonly Closed[],
    activityIsStored: boolean,
  ): number;
  /** Inside the transaction of a write that moves the activity: `write` may store it in the row of a job, and answers whether it did. */
  withActivity(session: Session, write: (activity: StoredActivity) => boolean): boolean;
  saveLease(lease: Lease, standing: LeaseWithStanding["standing"]): void;
  /** For a record that is not written: stores which of its saved files are left. */
  saveFiles(saved: SavedFiles): void;
  requestDelete(at: number): void;
  addNotes(happening: Happening): void;
  /** For news about a record that is not written: stores and answers the next row version. */
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
  const leases = leaseRows(sql);
  /** How many times the activity was stored with a job. null: not read since. */
  let activities: number | null = null;

  /** Answers the row version after the write. It is counted in the row: a rolled-back write then undoes the count as well. */
  function writeSession(session: Session, versioned: boolean, moved: string | null, recent: string | null): number {
    const lease = session.newest;
    const [row] = sql.run(
      `UPDATE session SET next_generation = ?, host = ?, sandbox_id = ?, instance_id = ?, delete_requested_at = coalesce(delete_requested_at, ?),
        version = version + ?, record_version = ?, record = ?, saved = ?,
        usage = coalesce(?, usage), recent = coalesce(?, recent), activity_count = ? RETURNING version`,
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
      recent,
      activityCount(),
    );
    return Number(row?.["version"]);
  }

  function forget(): void {
    leases.forget();
    activities = null;
  }

  function activityCount(): number {
    activities ??= Math.max(
      Number(sql.run("SELECT activity_count FROM session")[0]?.["activity_count"] ?? 0),
      newestOfJobs(sql)?.count ?? 0,
    );
    return activities;
  }

  function storedVersion(): number {
    return Number(sql.run("SELECT version FROM session")[0]?.["version"]);
  }

  return {
    load() {
      forget();
      return loadSession(sql);
    },
    migrate() {
      migrate(sql, sessionMigrations, sessionTablesAtOnce);
    },
    create(session, requestHash, secrets, notes, actor) {
      forget();
      sql.run(
        `INSERT INTO session (id, tenant, provider, isolation, created_at, next_generation, version, record_version, record,
           reported_version, reported_at, saved, request_hash, env, usage, recent)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?, ?, ?)`,
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
        history.add({ before: null, after: session, notes, actor, now: session.createdAt }),
      );
    },
    save({ before, after, notes, actor, now }, receipts, activityIsStored) {
      leases.write(before, after, receipts);
      const moved = usage.moved(before, after, now);
      // A renewal alone changes neither what a client reads nor what the index holds: no new version, no session row.
      const leasePhaseMoved =
        before.newest?.phase !== after.newest?.phase || before.newest?.generation !== after.newest?.generation;
      // Neither does activity alone: it is stored, but no reader keeps a copy of it that a new version would invalidate.
      const versioned = rowFields.some((field) => field !== "activity" && before[field] !== after[field]);
      const counts = versioned || leasePhaseMoved || notes.length > 0;
      const recent = history.add({ before, after, notes, actor, now });
      const writes = counts || moved !== null || (!activityIsStored && before.activity !== after.activity);
      return writes ? writeSession(after, counts, moved, recent) : storedVersion();
    },
    saveLease: (lease, standing) => leases.save(lease, standing),
    withActivity(session, write) {
      const activity = { ...session.activity, count: activityCount() + 1 };
      const stored = write(activity);
      if (stored) activities = activity.count;
      return stored;
    },
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
    addNotes(happening) {
      const recent = history.add(happening);
      if (recent !== null) sql.run("UPDATE session SET recent = ?", recent);
    },
    bumpVersion() {
      return Number(sql.run("UPDATE session SET version = version + 1 RETURNING version")[0]?.["version"]);
    },
    raiseVersion(above) {
      const [row] = sql.run("UPDATE session SET version = max(version, ?) + 1 RETURNING version", above);
      return Number(row?.["version"]);
    },
    forget,
    requestDelete(at) {
      sql.run("UPDATE session SET delete_requested_at = coalesce(delete_requested_at, ?)", at);
    },
    receipts: () => leases.receipts(),
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
