/**
 * What happens to a tenant's snapshots, each inside one transaction of the caller.
 *
 * A slot is reserved before anything is saved. A snapshot whose save did not report in time is deleted, never kept: a save that lands
 * later is refused by the provider, because a deletion leaves a tombstone. The tombstone alone is no proof: a writer that passed its last
 * check for it and then crashed leaves files behind. So while a save may be under way, no look that finds nothing makes it `gone`.
 */
import type { TakenSnapshot } from "../../domain/state/session.ts";
import { rfc3339 } from "../../protocol/primitives.ts";
import type { SessionId } from "../../domain/state/ids.ts";
import type { SnapshotOrder, SnapshotReply } from "../../session/reports/reports.ts";
import type { Sql } from "../../storage/sql.ts";
import { savedBeside, type PauseTerms } from "../quota/pauses.ts";
import {
  countSnapshots,
  dueSnapshots,
  named,
  readSnapshot,
  writeSnapshot,
  type TenantSnapshot,
} from "./snapshot-rows.ts";
import { backoffAfter } from "../../domain/rules/backoff.ts";

const minute = 60_000;
/** After the bound of the save itself: the session may have been restarted, and tells it then. */
const settleGraceMs = 5 * minute;
/** Forks are made at once; the longest that they may take to start is some minutes. */
const forkMs = 20 * minute;
/** A deletion that did not answer by then is tried again. */
const deletionMs = minute;
const deletionBackoff = { baseMs: 5_000, capMs: 60 * minute };

export function reserveSnapshot(sql: Sql, order: SnapshotOrder, terms: PauseTerms, now: number): SnapshotReply {
  if (readSnapshot(sql, order.id) !== null) return { granted: true };
  const holder = order.name === null || order.replaces ? undefined : named(sql, order.name)[0];
  if (holder !== undefined) return { granted: false, of: "name", holder: holder.id };
  const { count, bytes } = countSnapshots(sql);
  if (count >= terms.maxSnapshots) return { granted: false, of: "snapshots", limit: terms.maxSnapshots, used: count };
  const used = bytes + savedBeside(sql, null);
  if (used >= terms.maxSnapshotBytes)
    return { granted: false, of: "snapshot_bytes", limit: terms.maxSnapshotBytes, used };
  writeSnapshot(sql, {
    ...{ id: order.id, sessionId: order.sessionId, name: order.name, provider: order.provider },
    ...{ template: order.template, purpose: order.purpose, replaces: order.replaces },
    phase: "taking",
    bytes: null,
    createdAt: now,
    lookAt: now + order.withinMs + settleGraceMs,
    generation: null,
    mayLandUntil: null,
    failure: null,
    deletion: null,
  });
  return { granted: true };
}

/** The outcome of a save. It may arrive late or twice. A snapshot deleted meanwhile stays deleted; its save has ended now. */
export function settleSnapshot(sql: Sql, sessionId: SessionId, taken: TakenSnapshot, now: number): void {
  const snapshot = readSnapshot(sql, taken.id);
  if (snapshot === null || snapshot.sessionId !== sessionId) return;
  const hasEnded = taken.outcome === "saved" || taken.effect === "none";
  if (snapshot.phase === "deleting" && snapshot.mayLandUntil !== null && hasEnded)
    return writeSnapshot(sql, { ...snapshot, mayLandUntil: null, lookAt: now });
  if (snapshot.phase !== "taking") return;
  if (taken.outcome === "failed")
    return void deleted(sql, { ...snapshot, failure: taken.why, mayLandUntil: hasEnded ? null : snapshot.lookAt }, now);
  const kept = snapshot.name === null ? [] : named(sql, snapshot.name).filter(({ phase }) => phase === "kept");
  const [holder] = kept;
  // Another snapshot that replaces this name was kept meanwhile, and no two snapshots share a name.
  if (holder !== undefined && !snapshot.replaces) {
    const failure = `Meanwhile another snapshot, ${holder.id}, took the place of those of this name.`;
    return void deleted(sql, { ...snapshot, failure }, now);
  }
  for (const older of kept) deleted(sql, older, now);
  const { bytes, generation } = taken;
  const lookAt = snapshot.purpose === "fork" ? now + forkMs : null;
  writeSnapshot(sql, { ...snapshot, phase: "kept", bytes, generation, lookAt });
}

/** Its deletion is due now. Asked again, nothing changes. */
export function deleteSnapshot(sql: Sql, snapshot: TenantSnapshot, now: number): TenantSnapshot {
  // The session was given until `lookAt` to save it and to tell: until then files of it may land.
  if (snapshot.phase === "taking") return deleted(sql, { ...snapshot, mayLandUntil: snapshot.lookAt }, now);
  return snapshot.phase === "kept" ? deleted(sql, snapshot, now) : snapshot;
}

function deleted(sql: Sql, snapshot: TenantSnapshot, now: number): TenantSnapshot {
  const begun = { requestedAt: now, attempts: 0, lastError: null, verifiedAbsentAt: null, evidence: null };
  const deleting: TenantSnapshot = { ...snapshot, phase: "deleting", lookAt: now, deletion: begun };
  writeSnapshot(sql, deleting);
  return deleting;
}

/** Deletions to try now. Each try is stored, with the time of the next one, before the provider is asked. */
export function takeDueSnapshots(sql: Sql, now: number, limit: number): readonly TenantSnapshot[] {
  return dueSnapshots(sql, now, limit).flatMap((due) => {
    const failure = "Nobody told in time what became of it.";
    const row =
      due.phase === "taking"
        ? deleted(sql, { ...due, failure }, now)
        : due.phase === "kept"
          ? deleted(sql, due, now)
          : due;
    if (row.deletion === null) return [];
    const deletion = { ...row.deletion, attempts: row.deletion.attempts + 1 };
    const tried: TenantSnapshot = { ...row, lookAt: now + deletionMs, deletion };
    writeSnapshot(sql, tried);
    return [tried];
  });
}

export type DeletionResult =
  | { readonly type: "absent"; readonly at: number; readonly evidence: string }
  | { readonly type: "failed"; readonly why: string };

export function deletionFinished(sql: Sql, id: string, result: DeletionResult, now: number): void {
  const snapshot = readSnapshot(sql, id);
  if (snapshot?.phase !== "deleting" || snapshot.deletion === null) return;
  const { deletion, mayLandUntil } = snapshot;
  if (result.type === "absent" && mayLandUntil !== null && now < mayLandUntil) {
    const lastError = `No file of it was found, but its save may still be under way until ${rfc3339(mayLandUntil)}; it is looked for again then.`;
    writeSnapshot(sql, { ...snapshot, lookAt: mayLandUntil, deletion: { ...deletion, lastError } });
    return;
  }
  if (result.type === "absent") {
    const proven = { ...deletion, lastError: null, verifiedAbsentAt: result.at, evidence: result.evidence };
    writeSnapshot(sql, { ...snapshot, phase: "gone", lookAt: null, deletion: proven });
    return;
  }
  const lookAt = now + backoffAfter(deletion.attempts, deletionBackoff);
  writeSnapshot(sql, { ...snapshot, lookAt, deletion: { ...deletion, lastError: result.why } });
}
