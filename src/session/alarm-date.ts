/** When the alarm of a session must fire: for its next deadline, for work that is due, or to look again at a record that cannot be used. */
import { nextDeadline, hasPendingRegistryCalls } from "../domain/rules/reconcile.ts";
import type { Policy } from "../domain/rules/policy.ts";
import type { Session } from "../domain/state/session.ts";
import type { RecordMode } from "./record-mode.ts";

/**
 * What the alarm must cover besides the state machine's deadlines. The engine answers it; it is built on the session's state, so
 * it is asked only once both exist.
 */
export interface PendingWork {
  /** When reports or waiting jobs are due, for this row version. Epoch ms; null: nothing waits. */
  dueAt(version: number): number | null;
  /** When work that is due already is tried again. Epoch ms, after `now`. */
  retryAt(now: number): number;
  /** Another session begins in this object, or its rows are gone: forget everything about the old one. */
  reset(): void;
}

/** The parts of the stored session on which the date of the alarm depends. */
interface Stored {
  readonly mode: RecordMode["type"];
  readonly session: Session | null;
  readonly version: number;
  /** A delete was stored while the record could not be read, and is still to be carried out. */
  readonly deleteAsked: boolean;
}

/** If the object is evicted during a launch call, the instance waits for its first renewal: the next incarnation looks this soon. */
const launchLookMs = 10_000;

/** Epoch ms. Never null: a finished session still has rows to erase. */
export function alarmDate(
  { mode, session, version, deleteAsked }: Stored,
  pendingWork: PendingWork,
  now: number,
  policy: Policy,
): number {
  const due: number[] = [];
  if (mode === "newer") due.push(now + policy.newerRetryMs);
  if (mode === "unreadable") due.push(now + policy.unreadableRetryMs);
  const deadline = session === null ? null : nextDeadline(session, policy);
  // Something overdue may be cooling down: it must not hide the next deadline.
  const ahead = session === null ? null : nextDeadline(session, policy, now);
  if (ahead !== null) due.push(ahead);
  const newest = session?.newest;
  if (newest?.phase === "launching" && newest.step.type === "acting") due.push(now + launchLookMs);
  // Due already, or without a date: it is under way, or cooling down after it changed nothing.
  if (session !== null && ((deadline !== null && deadline <= now) || hasPendingRegistryCalls(session)))
    due.push(pendingWork.retryAt(now));
  const pendingAt = pendingWork.dueAt(version);
  if (pendingAt !== null) due.push(Math.max(pendingAt, now + 1));
  if (deleteAsked && mode === "readable") due.push(pendingWork.retryAt(now));
  return due.length === 0 ? now + policy.unreadableRetryMs : Math.min(...due);
}
