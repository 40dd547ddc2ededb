/**
 * Applies a step to one stopping lease, the newest or a ghost, and puts the result back into the session. When the lease
 * closes, its receipt gets the facts of the session, its jobs are settled, and a resume that waited for it goes on.
 */
import { beginResume, withoutSandbox } from "./ending.ts";
import type { Effect } from "../events.ts";
import type { Closed, ReceiptFacts, Stopping } from "../../state/lease.ts";
import type { Generation } from "../../state/ids.ts";
import {
  type Context,
  ignored,
  type Ignored,
  type Moved,
  moved,
  note,
  type Outcome,
  type Rejected,
} from "../outcome.ts";
import type { Session } from "../../state/session.ts";

export type LeaseOutcome =
  | { readonly type: "became"; readonly lease: Stopping | Closed; readonly effects: readonly Effect[] }
  | Ignored
  | Rejected;

export function became(lease: Stopping | Closed, ...effects: readonly Effect[]): LeaseOutcome {
  return { type: "became", lease, effects };
}

/** Applies a step to the stopping lease of this generation, wherever it stands. */
export function onLease(
  session: Session,
  generation: Generation,
  context: Context,
  step: (lease: Stopping) => LeaseOutcome,
): Outcome {
  const newest = session.newest;
  if (newest?.phase === "stopping" && newest.generation === generation) {
    const outcome = withFacts(step(newest), newest, session);
    if (outcome.type !== "became") return outcome;
    const next: Session = { ...session, newest: outcome.lease };
    return outcome.lease.phase === "closed"
      ? closeNewest(next, outcome.lease, outcome.effects, context)
      : moved(next, ...outcome.effects);
  }
  const ghost = session.ghosts.find((candidate) => candidate.generation === generation);
  if (ghost === undefined) return ignored("no lease of that generation is stopping");
  const outcome = withFacts(step(ghost), ghost, session);
  if (outcome.type !== "became") return outcome;
  const { lease } = outcome;
  if (lease.phase === "closed") {
    return moved(
      { ...session, ghosts: session.ghosts.filter((other) => other.generation !== generation) },
      ...outcome.effects,
      { type: "settleJobs", generation, as: "lost" },
      { type: "storeReceipt", lease },
    );
  }
  return moved(
    { ...session, ghosts: session.ghosts.map((other) => (other.generation === generation ? lease : other)) },
    ...outcome.effects,
  );
}

/** A lease that closes takes with it what its signed statement says of the session. */
function withFacts(outcome: LeaseOutcome, before: Stopping, session: Session): LeaseOutcome {
  if (outcome.type !== "became" || outcome.lease.phase !== "closed") return outcome;
  const { lease } = outcome;
  const { generation } = lease;
  const kept = session.snapshot?.generation === generation ? session.snapshot : null;
  const saved = kept ?? session.discarded.findLast((each) => each.generation === generation) ?? null;
  const facts: ReceiptFacts = {
    cause: before.cause ?? { by: "mooring", terminateReason: null },
    heldAt: before.heldAt ?? null,
    endAt: session.endAt,
    limits: session.limits,
    charge: before.charge ?? null,
    snapshot:
      saved === null ? null : { id: saved.id, bytes: saved.bytes ?? null, fate: kept === null ? "discarded" : "kept" },
  };
  return { ...outcome, lease: { ...lease, receipt: { ...lease.receipt, facts } } };
}

/** The newest sandbox is proven gone: whatever waited for that goes on. */
function closeNewest(session: Session, lease: Closed, effects: readonly Effect[], context: Context): Moved {
  const settle: Effect = {
    type: "settleJobs",
    generation: lease.generation,
    as: session.desired.type === "terminated" ? "interrupted" : "lost",
  };
  const free = withoutSandbox(session, context.now);
  return resumeIfQueued(free, context, ...effects, settle);
}

/** The place is free: a resume that waited for it goes on. Its end was set when it was asked for. */
export function resumeIfQueued(session: Session, context: Context, ...effects: readonly Effect[]): Moved {
  const { desired, endAt, refreshedAt } = session;
  if (desired.type !== "suspended" || desired.cause !== "pause" || !desired.resumeQueued)
    return moved(session, ...effects);
  return moved(
    { ...beginResume(session, 0, context), endAt, refreshedAt },
    ...effects,
    note("resuming", "queued until its old sandbox made way", null),
  );
}
