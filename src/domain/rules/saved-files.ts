/** What a session has saved: which snapshot is its own, which are to be deleted, and how large they are. */
import type { DiscardedSnapshot, RestoreProof, Session, SnapshotRef } from "../state/session.ts";

/** This session's own saved files. A tenant's snapshot that it is to start from is not among them: the tenant keeps that. */
export function ownSnapshot({ snapshot }: Pick<Session, "snapshot">): SnapshotRef | null {
  return snapshot?.source === undefined ? snapshot : null;
}

/** What a drill found of the files that would be restored now; null: these were not tried. A newer save has to prove itself again. */
export function currentRestoreProof({ snapshot, restoreProof }: Session): RestoreProof | null {
  return restoreProof?.snapshotId === snapshot?.id ? restoreProof : null;
}

/** Nobody will restore this snapshot, so its deletion is due now. A tenant's snapshot is left alone: only the tenant deletes it. */
export function discard(session: Session, snapshot: SnapshotRef | null, now: number): Session {
  if (snapshot === null || snapshot.source !== undefined) return session;
  return { ...session, discarded: [...session.discarded, toDiscard(snapshot, now)] };
}

export function toDiscard(snapshot: SnapshotRef, now: number): DiscardedSnapshot {
  return {
    ...snapshot,
    discardedAt: now,
    deletion: { type: "waiting", notBefore: now },
    failures: 0,
    lastError: null,
  };
}

/** Deletions that the provider has refused or not confirmed at least once. */
export function failingDeletions(session: Session): readonly DiscardedSnapshot[] {
  return session.discarded.filter((snapshot) => snapshot.failures > 0);
}

/** As far as it is known: what the provider answered of each snapshot that is not deleted yet. */
export function savedBytes(session: Session): number {
  return [ownSnapshot(session), ...session.discarded].reduce((sum, each) => sum + (each?.bytes ?? 0), 0);
}

/** The save under way, or one whose end was never heard, by the name its snapshot would have; null: none is. */
export function saveUnderWay({ newest: lease }: Pick<Session, "newest">, now: number): SnapshotRef | null {
  if (lease === null) return null;
  const saving = lease.phase === "held" && lease.gate.type === "saving" ? lease.gate.attemptId : undefined;
  const id = saving ?? lease.unsettledSave;
  return id === undefined ? null : { id, provider: lease.provider, takenAt: now, generation: lease.generation };
}
