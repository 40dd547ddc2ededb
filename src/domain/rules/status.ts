/** The public status: one pure, total function of the state, never stored (docs/SPEC.md). */
import { isSpaceRefusal, type SpaceRefusal } from "./cold-admission.ts";
import { terminateReasons } from "../state/reasons.ts";
import {
  type DesiredKey,
  desiredKey,
  type DiscardedSnapshot,
  type PhaseKey,
  phaseKey,
  type Session,
} from "../state/session.ts";
import { failingDeletions } from "./saved-files.ts";

export type Status =
  "provisioning" | "running" | "recovering" | "pausing" | "paused" | "lost" | "terminating" | "terminated" | "failed";

/** `ended` is told apart below: terminated or failed, by its reason. */
const table: Record<DesiredKey, Record<PhaseKey, Exclude<Status, "terminated" | "failed"> | "ended">> = {
  running: {
    none: "provisioning",
    closed: "provisioning",
    launching: "provisioning",
    held: "running",
    stopping: "recovering",
  },
  paused: { none: "paused", closed: "paused", launching: "pausing", held: "pausing", stopping: "pausing" },
  lost: { none: "lost", closed: "lost", launching: "recovering", held: "recovering", stopping: "recovering" },
  terminated: {
    none: "ended",
    closed: "ended",
    launching: "terminating",
    held: "terminating",
    stopping: "terminating",
  },
};

export function statusOf(session: Session): Status {
  const cell = table[desiredKey(session.desired)][phaseKey(session)];
  // There is a sandbox, but not yet what the client asked to find in it.
  if (cell === "running" && session.newest?.phase === "held" && session.newest.gate.type === "preparing")
    return "provisioning";
  if (cell !== "ended" && session.desired.type !== "terminated") return cell;
  if (session.desired.type !== "terminated") return "terminating";
  // Ended once, it stays so while a latecomer is reaped. Before that a snapshot or a ghost may still be on its way out.
  if (session.desired.endedAt === null) return "terminating";
  return terminateReasons[session.desired.reason].endsAs;
}

export type BlockedCode =
  | "parked"
  | "unreadable"
  | "newer_record"
  | "adapter_missing"
  | "env_unreadable"
  | "no_capacity"
  | "quota_exhausted"
  /** Its tenant has spent what it may in this month. */
  | "budget_spent"
  /** An ended session whose snapshot the provider does not delete. */
  | "snapshot_not_deleted"
  /** Its end has come and asks for a pause, and the save fails. */
  | "pause_failing"
  /** Neither its provider nor its registry has said what a start needs to know. */
  | "unavailable"
  | SpaceRefusal;

export interface Blocked {
  readonly code: BlockedCode;
  readonly since: number;
  readonly retryAt: number | null;
}

/** What keeps it from going on by itself; null when nothing does. `adapterMissing`: no adapter answers for a lease's provider. */
export function blockedBy(session: Session, adapterMissing: boolean): Blocked | null {
  const { newest, desired } = session;
  if (adapterMissing) return { code: "adapter_missing", since: newest?.openedAt ?? session.createdAt, retryAt: null };
  if (newest?.phase === "stopping" && newest.step.type === "parked") {
    return { code: "parked", since: newest.step.since, retryAt: newest.step.nextProbeAt };
  }
  if (desired.type === "running" && desired.provision?.lastError && desired.provision.step.type === "waiting") {
    const { lastError, step } = desired.provision;
    const { code } = lastError;
    if (
      code === "unavailable" ||
      code === "no_capacity" ||
      code === "quota_exhausted" ||
      code === "budget_spent" ||
      code === "env_unreadable" ||
      isSpaceRefusal(code)
    )
      return { code, since: lastError.since ?? lastError.at, retryAt: step.notBefore };
  }
  const { pauseTries } = session;
  if (desired.type === "running" && pauseTries !== null && pauseTries.error !== null)
    return { code: "pause_failing", since: pauseTries.since, retryAt: pauseTries.notBefore };
  return desired.type === "terminated" ? blockedByDeletion(failingDeletions(session)) : null;
}

function blockedByDeletion(failing: readonly DiscardedSnapshot[]): Blocked | null {
  if (failing.length === 0) return null;
  const next = failing.map(({ deletion }) => (deletion.type === "waiting" ? deletion.notBefore : deletion.deadline));
  const since = Math.min(...failing.map(({ discardedAt }) => discardedAt));
  return { code: "snapshot_not_deleted", since, retryAt: Math.min(...next) };
}
