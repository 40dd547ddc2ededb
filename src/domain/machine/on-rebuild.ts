/** Cells for replacing a sandbox: a rebuild that is asked for, and a stopping lease that steps aside as a ghost. */
import { withoutSandbox } from "./stop/ending.ts";
import type { EventOf } from "./events.ts";
import { ghostFrom } from "../rules/lease-times.ts";
import { nextCalls, say } from "../state/next-calls.ts";
import { budgetIsUsedUp } from "../rules/price.ts";
import { resumeIfQueued } from "./stop/stopping-lease.ts";
import { type Context, ignored, moved, note, type Outcome, rejected } from "./outcome.ts";
import { type Session, startProvision } from "../state/session.ts";
import { gateFor, refuseNotRunning, refuseSpent, refuseToSave } from "./on-intent.ts";

/** Live: its contents are saved first. */
export function rebuildLive(session: Session, _event: EventOf<"rebuildRequested">, context: Context): Outcome {
  const lease = session.newest;
  if (lease?.phase !== "held") return refuseNotRunning();
  if (lease.gate.type === "preparing") return refuseNotRunning();
  const isFree = lease.gate.type === "open" || lease.gate.type === "copying";
  const upgrading = !isFree && lease.gate.for === "upgrade";
  if (!isFree && !upgrading)
    return rejected(
      "conflict",
      `Its contents are being saved already. ${say(nextCalls.read)} tells how far it is; send this again when it is \`running\`.`,
    );
  if (!upgrading && session.discarded.length >= context.policy.maxDiscarded) return refuseToSave(session);
  return moved(
    { ...session, setback: null, newest: { ...lease, gate: gateFor("rebuild", lease.gate, context) } },
    note("rebuilding", "asked for; contents are saved first", lease.generation),
  );
}

/** Proven gone: nothing to save, nothing to wait for. */
export function rebuildLost(session: Session, _event: EventOf<"rebuildRequested">, context: Context): Outcome {
  if (budgetIsUsedUp(session)) return refuseSpent();
  return moved(
    rebuilt(session, context),
    note("rebuilding", "asked for; the sandbox is gone, there is nothing to save", null),
  );
}

function rebuilt(session: Session, context: Context): Session {
  return {
    ...session,
    setback: null,
    activity: { lastAt: context.now, activeJobs: 0, reportedAt: context.now },
    desired: { type: "running", provision: startProvision("rebuild", context.now, context.policy.provisionMs) },
  };
}

/** Not proven gone: only once it certainly cannot act any more may another take its place. */
export function rebuildUnproven(session: Session, _event: EventOf<"rebuildRequested">, context: Context): Outcome {
  const ghosted = becomeGhost(session, context);
  if (ghosted.type !== "moved") return ghosted;
  return moved(
    rebuilt(ghosted.session, context),
    ...ghosted.effects,
    note("rebuilding", "asked for; the old sandbox cannot be reached, so nothing of it is saved", null),
  );
}

export const alreadyReplacing = (): Outcome => ignored("its sandbox is being replaced already");

/** The newest, stopping lease steps aside: it stays open, probed and counted, but no longer blocks a successor. */
export function becomeGhost(session: Session, context: Context): Outcome {
  const lease = session.newest;
  if (lease?.phase !== "stopping") return ignored("there is no stopping lease to replace");
  const from = ghostFrom(lease, context.policy);
  if (context.now < from) {
    return rejected(
      "lease_not_expired",
      `The old sandbox is not proven gone and may still act. Send this again when its lease has expired (retry_at); ${say(nextCalls.teardown)} tells what is being done about it.`,
      from,
    );
  }
  if (session.ghosts.length >= context.policy.maxGhosts) {
    return rejected(
      "conflict",
      `${session.ghosts.length} replaced sandboxes are not proven gone yet; no further one is left behind. An operator can resolve them: ${say(nextCalls.retryStop)}, or ${say(nextCalls.abandon)}.`,
    );
  }
  return moved(
    withoutSandbox({ ...session, newest: null, ghosts: [...session.ghosts, lease] }, context.now),
    note("became_ghost", "replaced before it was proven gone", lease.generation),
  );
}

/** Reconcile's own wish, while a replacement waits: not an error when it is too early. */
export function replaceWhenExpired(session: Session, _event: EventOf<"ghostNeeded">, context: Context): Outcome {
  const outcome = becomeGhost(session, context);
  return outcome.type === "rejected" ? ignored(outcome.rejection.detail) : outcome;
}

/** The same for a resume that waits for the old sandbox: its contents were saved before that one was told to stop. */
export function replaceForResume(session: Session, event: EventOf<"ghostNeeded">, context: Context): Outcome {
  if (session.desired.type !== "suspended" || !session.desired.resumeQueued)
    return ignored("nothing waits for its place");
  const outcome = replaceWhenExpired(session, event, context);
  return outcome.type === "moved" ? resumeIfQueued(outcome.session, context, ...outcome.effects) : outcome;
}
