/** What FleetControl keeps for others: the admin log, runs of the layers, documents. Bounded, each by its newest. */
import type { Sql, SqlRow } from "../../storage/sql.ts";
import type { AdminAct, AdminLogEntry, FleetDocument, FleetRun, LayerSummary, RunQuery } from "./control-api.ts";

/** An operator's acts are few; runs come some thousand a week. */
export const logKept = 100_000;
export const runsKept = 2_000;
export const documentsKept = 1_000;
/** Far below the 2 MB that a row may have. */
const maxBody = 1_000_000;
/** A success rate over more than a week of one layer says nothing about today. */
const summarised = 100;

export function appendLog(sql: Sql, act: AdminAct, now: number): AdminLogEntry {
  const { actor, action, target, reason, requestId, outcome } = act;
  const row = sql.run(
    `INSERT INTO admin_log (at, actor, action, target, reason, request_id, outcome)
     VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING sequence`,
    ...[now, actor, action, target, reason, requestId, outcome],
  )[0];
  const sequence = Number(row?.["sequence"]);
  sql.run("DELETE FROM admin_log WHERE sequence <= ?", sequence - logKept);
  return { ...act, sequence, at: now };
}

export function logBefore(sql: Sql, before: number | null, limit: number): readonly AdminLogEntry[] {
  const statement = "SELECT * FROM admin_log WHERE sequence < ? ORDER BY sequence DESC LIMIT ?";
  return sql.run(statement, before ?? Number.MAX_SAFE_INTEGER, limit).map((row) => ({
    sequence: row["sequence"] as number,
    at: row["at"] as number,
    actor: row["actor"] as string,
    action: row["action"] as string,
    target: row["target"] as string,
    reason: row["reason"] as string,
    requestId: row["request_id"] as string,
    outcome: row["outcome"] as string,
  }));
}

export function putRun(sql: Sql, run: FleetRun): void {
  bounded(run.detail, `the detail of run ${run.id}`);
  const { id, layer, by, reason, startedAt, endedAt, outcome, found, done, skipped, failed, detail } = run;
  sql.run(
    "INSERT OR REPLACE INTO run VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    ...[id, layer, by, reason, startedAt, endedAt, outcome, found, done, skipped, failed, detail],
  );
  sql.run("DELETE FROM run WHERE id IN (SELECT id FROM run ORDER BY started_at DESC LIMIT -1 OFFSET ?)", runsKept);
}

export function readRun(sql: Sql, id: string): FleetRun | null {
  const row = sql.run("SELECT * FROM run WHERE id = ?", id)[0];
  return row === undefined ? null : parseRun(row);
}

export function readRuns(sql: Sql, query: RunQuery): readonly FleetRun[] {
  const statement = `SELECT * FROM run WHERE (?1 IS NULL OR layer = ?1) AND started_at < ?2 ORDER BY started_at DESC, id LIMIT ?3`;
  return sql.run(statement, query.layer, query.before ?? Number.MAX_SAFE_INTEGER, query.limit).map(parseRun);
}

export function summariseLayers(sql: Sql): readonly LayerSummary[] {
  const layers = sql.run("SELECT DISTINCT layer FROM run ORDER BY layer").map((row) => row["layer"] as string);
  return layers.map((layer) => {
    const started = sql.run("SELECT max(started_at) AS at FROM run WHERE layer = ?", layer)[0]?.["at"] as number;
    const runs = sql.run(
      `SELECT ended_at, outcome FROM run WHERE layer = ? AND outcome IS NOT NULL ORDER BY started_at DESC LIMIT ?`,
      ...[layer, summarised],
    );
    const firstOk = runs.findIndex((run) => run["outcome"] === "ok");
    return {
      layer,
      lastStartedAt: started,
      lastEndedAt: (runs[0]?.["ended_at"] as number | null | undefined) ?? null,
      lastOutcome: (runs[0]?.["outcome"] as FleetRun["outcome"] | undefined) ?? null,
      lastOkAt: (runs[firstOk]?.["ended_at"] as number | null | undefined) ?? null,
      ended: runs.length,
      ok: runs.filter((run) => run["outcome"] === "ok").length,
      failuresInRow: firstOk === -1 ? runs.length : firstOk,
    };
  });
}

export function putDocument(sql: Sql, document: Omit<FleetDocument, "at">, now: number): FleetDocument {
  const { kind, id, body } = document;
  bounded(body, `${kind} ${id}`);
  const row = sql.run(
    `INSERT INTO document (kind, id, at, body) VALUES (?, ?, ?, ?)
     ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body RETURNING at`,
    ...[kind, id, now, body],
  )[0];
  sql.run(
    `DELETE FROM document WHERE kind = ?1 AND id IN
       (SELECT id FROM document WHERE kind = ?1 ORDER BY at DESC LIMIT -1 OFFSET ?2)`,
    ...[kind, documentsKept],
  );
  return { kind, id, at: Number(row?.["at"]), body };
}

export function readDocument(sql: Sql, kind: FleetDocument["kind"], id: string): FleetDocument | null {
  const row = sql.run("SELECT * FROM document WHERE kind = ? AND id = ?", kind, id)[0];
  return row === undefined ? null : parseDocument(row);
}

export function readDocuments(sql: Sql, kind: FleetDocument["kind"], limit: number): readonly FleetDocument[] {
  return sql.run("SELECT * FROM document WHERE kind = ? ORDER BY at DESC, id LIMIT ?", kind, limit).map(parseDocument);
}

export function dropDocument(sql: Sql, kind: FleetDocument["kind"], id: string): boolean {
  return sql.run("DELETE FROM document WHERE kind = ? AND id = ? RETURNING id", kind, id).length > 0;
}

function bounded(text: string, what: string): void {
  if (text.length > maxBody) throw new Error(`${what} has ${text.length} characters; at most ${maxBody} are kept`);
}

function parseRun(row: SqlRow): FleetRun {
  return {
    id: row["id"] as string,
    layer: row["layer"] as string,
    by: row["by"] as string,
    reason: row["reason"] as string,
    startedAt: row["started_at"] as number,
    endedAt: row["ended_at"] as number | null,
    outcome: row["outcome"] as FleetRun["outcome"],
    found: row["found"] as number,
    done: row["done"] as number,
    skipped: row["skipped"] as number,
    failed: row["failed"] as number,
    detail: row["detail"] as string,
  };
}

function parseDocument(row: SqlRow): FleetDocument {
  return {
    kind: row["kind"] as FleetDocument["kind"],
    id: row["id"] as string,
    at: row["at"] as number,
    body: row["body"] as string,
  };
}
