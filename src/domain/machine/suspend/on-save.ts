/** Cells for saving a sandbox's contents, for a pause or a rebuild. A failed save leaves the sandbox running. */
import type { EventOf, Note } from "../events.ts";
import type { Gate, Held } from "../../state/lease.ts";
import { beginStop } from "../stop/begin-stop.ts";
import { afterFailedPause } from "../lifetime/on-expiry.ts";
import { upgradeLater } from "../launch/on-upgrade.ts";
import { ignored, moved, note, type Context, type Outcome } from "../outcome.ts";
import { type PauseTries, type Session, startProvision } from "../../state/session.ts";
import { discard, saveUnderWay } from "../../rules/saved-files.ts";

function saving(session: Session): { lease: Held; gate: Extract<Gate, { type: "saving" }> } | null {
  const lease = session.newest;
  return lease?.phase === "held" && lease.gate.type === "saving" ? { lease, gate: lease.gate } : null;
}

/** Stored before the wrapper is asked: an answer to an earlier drain, or to one of an earlier life, then changes nothing. */
export function drainStarted(session: Session, event: EventOf<"drainStarted">): Outcome {
  const lease = session.newest;
  if (lease?.phase !== "held" || lease.gate.type !== "draining") return ignored("nothing is to be drained");
  return moved({ ...session, newest: { ...lease, gate: { ...lease.gate, attemptId: event.attemptId } } });
}

export function drained(session: Session, event: EventOf<"drained">, context: Context): Outcome {
  const lease = session.newest;
  if (lease?.phase !== "held" || lease.gate.type !== "draining") return ignored("nothing is being drained");
  if (lease.gate.attemptId !== event.attemptId) return ignored("an older drain");
  const gate: Gate = {
    type: "saving",
    for: lease.gate.for,
    attemptId: event.saveAttemptId,
    deadline: context.now + context.policy.snapshotMs,
  };
  return moved({ ...session, newest: { ...lease, gate } }, note("saving", lease.gate.for, lease.generation));
}

/** What may still run is not saved around. Nothing was saved yet, so nothing of it is to be forgotten. */
export function drainFailed(session: Session, event: EventOf<"drainFailed">, context: Context): Outcome {
  const lease = session.newest;
  if (lease?.phase !== "held" || lease.gate.type !== "draining") return ignored("nothing is being drained");
  return lease.gate.attemptId === event.attemptId
    ? reopenGate(session, lease, event.why, context)
    : ignored("an older drain");
}

const stopFor = { pause: "paused", rebuild: "rebuilt", upgrade: "upgraded" } as const;

/** Saved and verified readable: only now may the sandbox go. */
export function saveSucceeded(session: Session, event: EventOf<"saveSucceeded">, context: Context): Outcome {
  const now = saving(session);
  if (now === null || now.gate.attemptId !== event.attemptId) return ignored("an older save");
  const purpose = now.gate.for === "upgrade" ? "upgrade" : "rebuild";
  const replaced = now.gate.for !== "pause";
  return moved(
    {
      ...discard(session, session.snapshot, context.now),
      snapshot: event.snapshot,
      pauseTries: null,
      setback: null,
      newest: beginStop(now.lease, stopFor[now.gate.for], context.now, context.policy),
      desired:
        replaced && session.desired.type === "running"
          ? { type: "running", provision: startProvision(purpose, context.now, context.policy.provisionMs) }
          : session.desired,
    },
    note("saved", "the snapshot was read back", now.lease.generation, { snapshot: event.snapshot.id }),
  );
}

export function saveFailed(session: Session, event: EventOf<"saveFailed">, context: Context): Outcome {
  const now = saving(session);
  if (now === null || now.gate.attemptId !== event.attemptId) return ignored("an older save");
  return reopenGate(session, now.lease, event.failure.message, context, event.failure.code === "unsupported");
}

/** Also when the save's deadline passes: nothing was lost, the session runs on. `never`: this provider cannot save at all. */
export function reopenGate(session: Session, lease: Held, why: string, context: Context, never = false): Outcome {
  const { gate } = lease;
  const purpose = gate.type === "draining" || gate.type === "saving" ? gate.for : "rebuild";
  const forPause = purpose === "pause";
  const pauseTries = forPause ? afterFailedPause(session.pauseTries, why, context) : session.pauseTries;
  return moved(
    {
      // It may still land: its name is to be deleted all the same.
      ...discard(session, saveUnderWay(session, context.now), context.now),
      pauseTries,
      // A client did not ask for the upgrade, so only the history says that it failed.
      setback:
        purpose === "upgrade"
          ? session.setback
          : { code: `${purpose}_failed`, message: `${failedWords[purpose]}: ${why}`, at: context.now },
      newest: {
        ...lease,
        gate: { type: "open" },
        wrapper: purpose === "upgrade" ? upgradeLater(lease, never, context) : lease.wrapper,
      },
      desired: forPause ? { type: "running", provision: null } : session.desired,
    },
    note(`${purpose}_failed`, why, lease.generation, triesFacts(forPause, pauseTries, context)),
  );
}

const failedWords = {
  pause: "It could not be paused and runs on",
  rebuild: "It could not be rebuilt and runs on as it is",
} as const;

/** What a client needs to know while it can still do something: how often it was tried, and when it is tried again. */
function triesFacts(forPause: boolean, tries: PauseTries | null, { policy }: Context): Note["facts"] {
  if (!forPause || tries === null) return {};
  return { try: tries.tries, of: policy.pauseTries, next_try_at: new Date(tries.notBefore).toISOString() };
}

export const notSaving = (): Outcome => ignored("nothing is being saved");
