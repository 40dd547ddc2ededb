/**
 * The machine: desired × newest phase × event → outcome. Total: the type of `table` makes a missing cell a compile error.
 *
 * Cells are named functions from the `on-*` files. An event about a lease that is not the newest (a ghost) is handled by the
 * stopping rules alone, through `onLease`. After every move `settle` draws the conclusions that hold whatever happened.
 */
import { always, byPhase, inAll, ofNewest, whenFree, type Matrix } from "./cells.ts";
import type { EventType, SessionEvent } from "./events.ts";
import type { Generation } from "../state/ids.ts";
import type { Stopping } from "../state/lease.ts";
import * as copy from "./suspend/on-copy.ts";
import * as intent from "./on-intent.ts";
import { nextCalls, say } from "../state/next-calls.ts";
import * as launch from "./launch/on-launch.ts";
import * as network from "./on-network.ts";
import * as orphan from "./stop/on-orphan.ts";
import * as prepare from "./launch/on-prepare.ts";
import * as renewal from "./lifetime/on-renewal.ts";
import * as save from "./suspend/on-save.ts";
import * as snapshot from "./suspend/on-snapshot.ts";
import * as stop from "./stop/on-stop.ts";
import { timePassed } from "./lifetime/on-time.ts";
import { settle } from "./settle.ts";
import { ignored, moved, type Context, type Outcome } from "./outcome.ts";
import { desiredKey, phaseKey, type Session } from "../state/session.ts";

const table: { readonly [E in EventType]: Matrix<E> } = {
  terminateRequested: {
    running: inAll(intent.terminate),
    paused: inAll(intent.terminate),
    lost: inAll(intent.terminate),
    terminated: inAll(intent.alreadyEnded),
  },
  pauseRequested: {
    running: {
      none: intent.pauseWhileStarting,
      launching: intent.pauseWhileStarting,
      held: intent.pause,
      stopping: intent.pauseWhileStarting,
      closed: intent.pauseWhileStarting,
    },
    paused: {
      none: intent.alreadyPausing,
      launching: intent.alreadyPausing,
      held: intent.alreadyPausing,
      stopping: intent.unqueueResume,
      closed: intent.alreadyPausing,
    },
    lost: inAll(intent.refuseLost),
    terminated: inAll(intent.refuseEnded),
  },
  resumeRequested: {
    running: inAll(intent.alreadyRunning),
    paused: {
      none: intent.resume,
      closed: intent.resume,
      launching: intent.alreadyRunning,
      held: intent.cancelPause,
      stopping: intent.queueResume,
    },
    lost: inAll(intent.refuseLost),
    terminated: inAll(intent.refuseEnded),
  },
  rebuildRequested: {
    running: {
      none: intent.refuseNotRunning,
      launching: intent.refuseNotRunning,
      held: intent.rebuildLive,
      stopping: intent.alreadyReplacing,
      closed: intent.refuseNotRunning,
    },
    paused: inAll(intent.refusePaused),
    lost: {
      none: intent.rebuildLost,
      closed: intent.rebuildLost,
      launching: intent.alreadyReplacing,
      held: intent.rebuildLive,
      stopping: intent.rebuildUnproven,
    },
    terminated: inAll(intent.refuseEnded),
  },
  timeoutSet: {
    running: inAll(intent.setEnd),
    paused: inAll(intent.refusePaused),
    lost: inAll(intent.setEnd),
    terminated: inAll(intent.refuseEnded),
  },
  networkChanged: {
    running: inAll(network.change),
    paused: inAll(network.change),
    lost: inAll(network.change),
    terminated: inAll(intent.refuseEnded),
  },
  networkApplied: ofNewest({
    none: network.nothingRuns,
    launching: network.confirm,
    held: network.confirm,
    stopping: network.nothingRuns,
    closed: network.nothingRuns,
  }),
  hostsDenied: ofNewest({
    none: network.nothingRuns,
    launching: network.denied,
    held: network.denied,
    stopping: network.nothingRuns,
    closed: network.nothingRuns,
  }),
  budgetSet: {
    running: inAll(intent.setBudget),
    paused: inAll(intent.setBudget),
    lost: inAll(intent.setBudget),
    terminated: inAll(intent.refuseEnded),
  },
  tenantBudgetSpent: {
    running: inAll(intent.noteTenantSpent),
    paused: inAll(intent.noteTenantSpent),
    lost: inAll(intent.noteTenantSpent),
    terminated: inAll(intent.alreadyEnded),
  },
  activityNoted: {
    running: inAll(intent.noteActivity),
    paused: inAll(intent.activityWithoutSandbox),
    lost: inAll(intent.activityWithoutSandbox),
    terminated: inAll(intent.activityWithoutSandbox),
  },
  wrapperFailed: ofNewest({
    none: renewal.notRenewed,
    launching: renewal.notRenewed,
    held: renewal.wrapperFailed,
    stopping: renewal.notRenewed,
    closed: renewal.notRenewed,
  }),
  stopRetryRequested: always((session, event, context) =>
    onStopping(session, event, context, stop.retryStop, "not_stuck"),
  ),
  absenceAsserted: always(stop.assertAbsent),

  openingStarted: {
    running: whenFree(launch.startOpening, launch.openingIsLate),
    paused: inAll(launch.openingIsLate),
    lost: inAll(launch.openingIsLate),
    terminated: inAll(launch.openingIsLate),
  },
  openingFailed: {
    running: whenFree(launch.openingFailed, launch.openingIsLate),
    paused: inAll(launch.openingIsLate),
    lost: inAll(launch.openingIsLate),
    terminated: inAll(launch.openingIsLate),
  },
  leaseOpened: {
    running: whenFree(launch.openLease, launch.openingIsLate),
    paused: inAll(launch.openingIsLate),
    lost: inAll(launch.openingIsLate),
    terminated: inAll(launch.openingIsLate),
  },
  roomMeasured: {
    running: whenFree(launch.roomMeasured, launch.openingIsLate),
    paused: inAll(launch.openingIsLate),
    lost: inAll(launch.openingIsLate),
    terminated: inAll(launch.openingIsLate),
  },
  roomReclaimed: {
    running: whenFree(launch.roomReclaimed, launch.openingIsLate),
    paused: inAll(launch.openingIsLate),
    lost: inAll(launch.openingIsLate),
    terminated: inAll(launch.openingIsLate),
  },
  reservationCancelled: always((session, event) =>
    session.cancellations.includes(event.generation)
      ? moved({
          ...session,
          cancellations: session.cancellations.filter((generation) => generation !== event.generation),
        })
      : ignored("no such cancellation is open"),
  ),
  launchStarted: ofNewest({
    none: launch.launchIsOver,
    launching: launch.launchStarted,
    held: launch.launchIsOver,
    stopping: launch.launchIsOver,
    closed: launch.launchIsOver,
  }),
  launchSucceeded: ofNewest({
    none: launch.launchIsOver,
    launching: launch.launchSucceeded,
    held: launch.launchIsOver,
    stopping: launch.launchIsOver,
    closed: launch.launchIsOver,
  }),
  launchFailed: ofNewest({
    none: launch.launchIsOver,
    launching: launch.launchFailed,
    held: launch.launchIsOver,
    stopping: launch.launchIsOver,
    closed: launch.launchIsOver,
  }),

  renewalStarted: ofNewest({
    none: renewal.notRenewed,
    launching: renewal.renewalStarted,
    held: renewal.renewalStarted,
    stopping: renewal.notRenewed,
    closed: renewal.notRenewed,
  }),
  renewalAccepted: ofNewest({
    none: renewal.notRenewed,
    launching: renewal.renewalAccepted,
    held: renewal.renewalAccepted,
    stopping: renewal.notRenewed,
    closed: renewal.notRenewed,
  }),
  renewalFailed: ofNewest({
    none: renewal.notRenewed,
    launching: renewal.renewalFailed,
    held: renewal.renewalFailed,
    stopping: renewal.notRenewed,
    closed: renewal.notRenewed,
  }),
  observedPresent: always(renewal.lookChangesNothing),
  observedUnknown: always(renewal.lookChangesNothing),
  observedAbsent: ofNewest({
    none: renewal.lookChangesNothing,
    launching: renewal.launchSeenAbsent,
    held: renewal.heldSeenAbsent,
    stopping: renewal.lookChangesNothing,
    closed: renewal.lookChangesNothing,
  }),

  stopStarted: always((session, event, context) => onStopping(session, event, context, stop.stopStarted)),
  stopFinished: always((session, event, context) => onStopping(session, event, context, stop.stopFinished)),
  probeStarted: always((session, event, context) => onStopping(session, event, context, stop.probeStarted)),
  probeRequested: always((session, event, context) => onStopping(session, event, context, stop.hastenProbe)),
  probeFinished: always((session, event, context) => onStopping(session, event, context, stop.probeFinished)),
  containerGone: always(stop.containerGone),
  ghostNeeded: {
    running: {
      none: launch.openingIsLate,
      launching: launch.openingIsLate,
      held: launch.openingIsLate,
      stopping: intent.replaceWhenExpired,
      closed: launch.openingIsLate,
    },
    paused: {
      none: launch.openingIsLate,
      launching: launch.openingIsLate,
      held: launch.openingIsLate,
      stopping: intent.makeWayForResume,
      closed: launch.openingIsLate,
    },
    lost: inAll(launch.openingIsLate),
    terminated: inAll(launch.openingIsLate),
  },
  orphanFound: byPhase(whenFree(orphan.foundWhereFree, orphan.foundBesideOpen)),

  preparationAsked: ofNewest({
    none: prepare.notPreparing,
    launching: prepare.notPreparing,
    held: prepare.preparationAsked,
    stopping: prepare.notPreparing,
    closed: prepare.notPreparing,
  }),
  preparationReported: ofNewest({
    none: prepare.notPreparing,
    launching: prepare.notPreparing,
    held: prepare.preparationReported,
    stopping: prepare.notPreparing,
    closed: prepare.notPreparing,
  }),
  preparationUnanswered: ofNewest({
    none: prepare.notPreparing,
    launching: prepare.notPreparing,
    held: prepare.preparationUnanswered,
    stopping: prepare.notPreparing,
    closed: prepare.notPreparing,
  }),

  drainStarted: ofNewest({
    none: save.notSaving,
    launching: save.notSaving,
    held: save.drainStarted,
    stopping: save.notSaving,
    closed: save.notSaving,
  }),
  drained: ofNewest({
    none: save.notSaving,
    launching: save.notSaving,
    held: save.drained,
    stopping: save.notSaving,
    closed: save.notSaving,
  }),
  drainFailed: ofNewest({
    none: save.notSaving,
    launching: save.notSaving,
    held: save.drainFailed,
    stopping: save.notSaving,
    closed: save.notSaving,
  }),
  saveSucceeded: ofNewest({
    none: save.notSaving,
    launching: save.notSaving,
    held: save.saveSucceeded,
    stopping: save.notSaving,
    closed: save.notSaving,
  }),
  saveFailed: ofNewest({
    none: save.notSaving,
    launching: save.notSaving,
    held: save.saveFailed,
    stopping: save.notSaving,
    closed: save.notSaving,
  }),
  copyRequested: {
    running: {
      none: intent.refuseNotRunning,
      launching: intent.refuseNotRunning,
      held: copy.begin,
      stopping: intent.refuseNotRunning,
      closed: intent.refuseNotRunning,
    },
    paused: inAll(intent.refusePaused),
    lost: inAll(intent.refuseLost),
    terminated: inAll(intent.refuseEnded),
  },
  copySucceeded: ofNewest({
    none: copy.notCopying,
    launching: copy.notCopying,
    held: copy.succeeded,
    stopping: copy.notCopying,
    closed: copy.notCopying,
  }),
  copyFailed: ofNewest({
    none: copy.notCopying,
    launching: copy.notCopying,
    held: copy.failed,
    stopping: copy.notCopying,
    closed: copy.notCopying,
  }),
  copySettled: always(copy.settled),
  snapshotDeletionStarted: always(snapshot.deletionStarted),
  snapshotDeleted: always(snapshot.deleted),
  snapshotDeletionFailed: always(snapshot.deletionFailed),
  snapshotsForgotten: always(snapshot.forget),
  restoreDrilled: always(snapshot.drilled),

  timePassed: always(timePassed),
};

/** Stopping rules find their lease by generation, the newest or a ghost. */
function onStopping<Event extends { readonly generation: Generation }>(
  session: Session,
  event: Event,
  context: Context,
  step: (lease: Stopping, event: Event, context: Context) => stop.LeaseOutcome,
  whenNone?: "not_stuck",
): Outcome {
  const outcome = stop.onLease(session, event.generation, context, (lease) => step(lease, event, context));
  return outcome.type === "ignored" && whenNone !== undefined
    ? {
        type: "rejected",
        rejection: {
          code: whenNone,
          detail: `No lease of that generation is stopping. ${say(nextCalls.inspect)} shows what is.`,
          retryAt: null,
        },
      }
    : outcome;
}

/** The decision, pure and total. */
export function transition(session: Session, event: SessionEvent, context: Context): Outcome {
  const matrix = table[event.type] as Matrix<EventType>;
  const outcome = matrix[desiredKey(session.desired)][phaseKey(session)](session, event, context);
  return outcome.type === "moved" ? settle(copy.interrupted(session, outcome), context, session) : outcome;
}
