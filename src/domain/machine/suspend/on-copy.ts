/**
 * Cells for taking a snapshot of the tenant from a sandbox that goes on running.
 *
 * The registry has a row for the snapshot before the session hears of it, and deletes what it never hears the end of. So every
 * copy ends in exactly one entry of `taken`, however it ends: `interrupted` adds it for a sandbox that was stopped meanwhile.
 */
import type { EventOf } from "../events.ts";
import type { Gate, Held } from "../../state/lease.ts";
import { nextCalls, say } from "../../state/next-calls.ts";
import { ignored, moved, note, rejected, type Context, type Moved, type Outcome } from "../outcome.ts";
import type { Session, TakenSnapshot } from "../../state/session.ts";

type Copying = Extract<Gate, { type: "copying" }>;

function copyOf(session: Session): { readonly lease: Held; readonly gate: Copying } | null {
  const lease = session.newest;
  return lease?.phase === "held" && lease.gate.type === "copying" ? { lease, gate: lease.gate } : null;
}

export function begin(session: Session, { snapshotId }: EventOf<"copyRequested">, { now, policy }: Context): Outcome {
  const lease = session.newest;
  if (lease?.phase !== "held") return ignored("nothing runs");
  if (lease.gate.type !== "open")
    return rejected(
      "conflict",
      `${busyWords[lease.gate.type]} No snapshot was taken. ${say(nextCalls.read)} tells how far it is; send this again then.`,
    );
  const gate: Copying = { type: "copying", snapshotId, deadline: now + policy.snapshotMs };
  const noted = note("snapshot_taking", "asked for", lease.generation, { snapshot: snapshotId });
  return moved({ ...session, newest: { ...lease, gate } }, noted);
}

const busyWords: Readonly<Record<Exclude<Gate["type"], "open">, string>> = {
  preparing: "Its workspace is still being prepared.",
  draining: "Its files are about to be saved for something else.",
  saving: "Its files are being saved for something else.",
  copying: "Another snapshot of it is being taken.",
};

export function succeeded(session: Session, event: EventOf<"copySucceeded">): Outcome {
  const { snapshotId: id, bytes } = event;
  const current = copyOf(session);
  if (current?.gate.snapshotId !== id) return ignored("an older copy");
  const { generation } = current.lease;
  const noted = note("snapshot_taken", "it was read back whole", generation, { snapshot: id, bytes });
  return over(session, current.lease, { id, outcome: "saved", bytes, generation }, noted);
}

export function failed(session: Session, event: EventOf<"copyFailed">): Outcome {
  const current = copyOf(session);
  if (current?.gate.snapshotId !== event.snapshotId) return ignored("an older copy");
  const { code, message, effect } = event.failure;
  return withoutIt(session, current, `${code}: ${message}`, effect);
}

/** The session runs on: its sandbox lets everything go on by itself when it was told to stand still for no longer than this. */
export function overdueCopy(session: Session, { now }: Context): Outcome {
  const current = copyOf(session);
  if (current === null || now < current.gate.deadline) return ignored("no copy is overdue");
  return withoutIt(session, current, "Saving took longer than its bound.", "unknown");
}

function withoutIt(
  session: Session,
  { lease, gate }: { lease: Held; gate: Copying },
  why: string,
  effect: "none" | "unknown",
): Outcome {
  const id = gate.snapshotId;
  const noted = note("snapshot_failed", why, lease.generation, { snapshot: id });
  return over(session, lease, { id, outcome: "failed", why, effect }, noted);
}

function over(session: Session, lease: Held, taken: TakenSnapshot, noted: ReturnType<typeof note>): Outcome {
  return moved({ ...session, newest: { ...lease, gate: { type: "open" } }, taken: [...session.taken, taken] }, noted);
}

/** Whatever took the sandbox or its gate away: the copy under way came to nothing. */
export function interrupted(before: Session, outcome: Moved): Moved {
  const current = copyOf(before);
  if (current === null) return outcome;
  const { session } = outcome;
  const id = current.gate.snapshotId;
  if (copyOf(session)?.gate.snapshotId === id || session.taken.some((each) => each.id === id)) return outcome;
  const why = "The session paused, was rebuilt or lost its sandbox before its files were saved.";
  return {
    ...outcome,
    session: { ...session, taken: [...session.taken, { id, outcome: "failed", why, effect: "unknown" }] },
    effects: [...outcome.effects, note("snapshot_failed", why, current.lease.generation, { snapshot: id })],
  };
}

export function settled(session: Session, { snapshotId }: EventOf<"copySettled">): Outcome {
  if (!session.taken.some(({ id }) => id === snapshotId)) return ignored("the registry was told already");
  return moved({ ...session, taken: session.taken.filter(({ id }) => id !== snapshotId) });
}

export const notCopying = (): Outcome => ignored("nothing is being copied");
