/**
 * Cells for deleting snapshots that nobody will restore. One deletion runs at a time. Each attempt is stored before the
 * provider is asked, and each failure stores when to try again, so neither an eviction nor a wake for something else
 * repeats one early. Attempts go on without end; an operator may remove what cannot be deleted from the session's list.
 */
import type { EventOf } from "../events.ts";
import { deleteBackoff } from "../../rules/backoff.ts";
import { nextCalls, say } from "../../state/next-calls.ts";
import { ignored, moved, note, rejected, type Context, type Outcome } from "../outcome.ts";
import type { DiscardedSnapshot, ForgottenSnapshot, Session } from "../../state/session.ts";
import { failingDeletions, ownSnapshot } from "../../rules/saved-files.ts";

/** Each is in a record of bounded size until it is erased; the history names them all. */
const forgottenKept = 100;

export function deletionStarted(
  session: Session,
  { snapshotId, attemptId }: EventOf<"snapshotDeletionStarted">,
  { now, policy }: Context,
): Outcome {
  if (session.discarded.some(({ deletion }) => deletion.type === "acting"))
    return ignored("another snapshot is being deleted");
  const due = find(session, snapshotId);
  if (due === null || due.deletion.type === "acting" || due.deletion.notBefore > now)
    return ignored("that snapshot is not to be deleted now");
  return moved(
    replaced(session, { ...due, deletion: { type: "acting", attemptId, deadline: now + policy.observeMs } }),
  );
}

/** A late answer counts as well: what a provider has confirmed deleted stays deleted. */
export function deleted(session: Session, { snapshotId }: EventOf<"snapshotDeleted">): Outcome {
  if (find(session, snapshotId) === null) return ignored("no such snapshot is to be deleted");
  return moved(
    { ...session, discarded: session.discarded.filter((snapshot) => snapshot.id !== snapshotId) },
    note("snapshot_deleted", "no longer needed", null, { snapshot: snapshotId }),
  );
}

export function deletionFailed(
  session: Session,
  { snapshotId, attemptId, failure, jitter }: EventOf<"snapshotDeletionFailed">,
  context: Context,
): Outcome {
  const tried = find(session, snapshotId);
  if (tried?.deletion.type !== "acting" || tried.deletion.attemptId !== attemptId)
    return ignored("the answer of an older attempt");
  return tryAgainLater(session, tried, `${failure.code}: ${failure.message}`, jitter, context);
}

/** The attempt's bound passed and nobody reported back: a crash in between. */
export function overdueDeletion(session: Session, jitter: number, context: Context): Outcome {
  const late = session.discarded.find(({ deletion }) => deletion.type === "acting" && deletion.deadline <= context.now);
  if (late === undefined) return ignored("no deletion is overdue");
  return tryAgainLater(session, late, "The attempt did not finish within its bound.", jitter, context);
}

function tryAgainLater(
  session: Session,
  tried: DiscardedSnapshot,
  lastError: string,
  jitter: number,
  { now, policy }: Context,
): Outcome {
  const failures = tried.failures + 1;
  const notBefore = now + deleteBackoff(failures, jitter, policy);
  const waiting: DiscardedSnapshot = { ...tried, failures, lastError, deletion: { type: "waiting", notBefore } };
  // The first failure is news. The hourly ones after it would only push older events out of the history.
  const news = failures === 1 ? [note("snapshot_not_deleted", lastError, null, { snapshot: tried.id })] : [];
  return moved(replaced(session, waiting), ...news);
}

/** An operator gives up: deletions that keep failing are no longer waited for. A deletion that was not tried yet is still tried. */
export function forget(session: Session, { by, reason }: EventOf<"snapshotsForgotten">, { now }: Context): Outcome {
  const failing = failingDeletions(session);
  if (failing.length === 0)
    return rejected(
      "not_stuck",
      `No snapshot of this session has failed to be deleted. ${say(nextCalls.inspect)} shows how it stands.`,
    );
  const forgotten = failing.map(({ id, provider, takenAt, generation }): ForgottenSnapshot => ({
    ...{ id, provider, takenAt, generation },
    ...{ forgottenAt: now, by, reason },
  }));
  return moved(
    {
      ...session,
      discarded: session.discarded.filter((snapshot) => !failing.includes(snapshot)),
      forgotten: [...session.forgotten, ...forgotten].slice(-forgottenKept),
    },
    note("snapshots_forgotten", reason, null, { by, snapshots: failing.map(({ id }) => id).join(" ") }),
  );
}

/** Only of what would be restored now: a drill takes minutes, and the session may have gone on meanwhile. */
export function drilled(session: Session, { snapshotId, found }: EventOf<"restoreDrilled">, { now }: Context): Outcome {
  if (ownSnapshot(session)?.id !== snapshotId) return ignored("that snapshot is not what would be restored now");
  if ("failed" in found) return moved(session, note("restore_failed", found.failed, null, { snapshot: snapshotId }));
  const { files, bytes } = found;
  return moved(
    { ...session, restoreProof: { at: now, snapshotId, ...found } },
    note("restore_proven", "its files were restored elsewhere and read whole", null, {
      snapshot: snapshotId,
      files,
      bytes,
    }),
  );
}

function find(session: Session, id: string): DiscardedSnapshot | null {
  return session.discarded.find((snapshot) => snapshot.id === id) ?? null;
}

function replaced(session: Session, changed: DiscardedSnapshot): Session {
  return {
    ...session,
    discarded: session.discarded.map((snapshot) => (snapshot.id === changed.id ? changed : snapshot)),
  };
}
