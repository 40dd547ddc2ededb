/**
 * The machine: desired × newest phase × event → outcome. Total: the type of `table` makes a missing cell a compile error.
 *
 * Cells are named functions from the `on-*` files. An event about a lease that is not the newest (a ghost) is handled by the
 * stopping rules alone, through `onLease`. After every move `settle` draws the conclusions that hold whatever happened.
 */
import {
  always,
  byPhase,
  inAll,
  type Matrix,
  ofNewest,
  untilEnded,
  whenFree,
  whenHeld,
  whenLaunching,
  whenLive,
  whenStopping,
  whileRunning,
} from "./cells.ts";
import type { EventType, SessionEvent } from "./events.ts";
import type { Generation } from "../state/ids.ts";
import type { Stopping } from "../state/lease.ts";
import * as copy from "./suspend/on-copy.ts";
import * as intent from "./on-intent.ts";
import { nextCalls, say } from "../state/next-calls.ts";
import * as launch from "./launch/on-launch.ts";
import * as open from "./launch/on-open.ts";
import * as network from "./on-network.ts";
import * as orphan from "./stop/on-orphan.ts";
import * as prepare from "./launch/on-prepare.ts";
import * as rebuild from "./on-rebuild.ts";
import * as renewal from "./lifetime/on-renewal.ts";
import * as save from "./suspend/on-save.ts";
import * as snapshot from "./suspend/on-snapshot.ts";
import * as stop from "./stop/on-stop.ts";
import { type LeaseOutcome, onLease } from "./stop/stopping-lease.ts";
import { timePassed } from "./lifetime/on-time.ts";
import { settle } from "./settle.ts";
import { ignored, moved, type Context, type Outcome } from "./outcome.ts";
import { desiredKey, phaseKey, type Session } from "../state/session.ts";

const table: { readonly [E in EventType]: Matrix<E> } = {
  terminateRequested: untilEnded(intent.terminate, intent.alreadyEnded),
  pauseRequested: {
    running: whenHeld(intent.pause, intent.pauseWhileStarting),
    paused: whenStopping(intent.unqueueResume, intent.alreadyPausing),
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
      held: rebuild.rebuildLive,
      stopping: rebuild.alreadyReplacing,
      closed: intent.refuseNotRunning,
    },
    paused: inAll(intent.refusePaused),
    lost: {
      none: rebuild.rebuildLost,
      closed: rebuild.rebuildLost,
      launching: rebuild.alreadyReplacing,
      held: rebuild.rebuildLive,
      stopping: rebuild.rebuildUnproven,
    },
    terminated: inAll(intent.refuseEnded),
  },
  timeoutSet: {
    running: inAll(intent.setEnd),
    paused: inAll(intent.refusePaused),
    lost: inAll(intent.setEnd),
    terminated: inAll(intent.refuseEnded),
  },
  networkChanged: untilEnded(network.change, intent.refuseEnded),
  networkApplied: ofNewest(whenLive(network.confirm, network.nothingRuns)),
  hostsDenied: ofNewest(whenLive(network.denied, network.nothingRuns)),
  budgetSet: untilEnded(intent.setBudget, intent.refuseEnded),
  tenantBudgetSpent: untilEnded(intent.noteTenantSpent, intent.alreadyEnded),
  activityNoted: whileRunning(inAll(intent.noteActivity), intent.activityWithoutSandbox),
  wrapperFailed: ofNewest(whenHeld(renewal.wrapperFailed, renewal.notRenewed)),
  stopRetryRequested: always((session, event, context) =>
    onStopping(session, event, context, stop.retryStop, "not_stuck"),
  ),
  absenceAsserted: always(stop.assertAbsent),

  openingStarted: whileRunning(whenFree(open.startOpening, open.openingIsLate), open.openingIsLate),
  openingFailed: whileRunning(whenFree(open.openingFailed, open.openingIsLate), open.openingIsLate),
  leaseOpened: whileRunning(whenFree(open.openLease, open.openingIsLate), open.openingIsLate),
  spaceMeasured: whileRunning(whenFree(open.spaceMeasured, open.openingIsLate), open.openingIsLate),
  spaceReclaimed: whileRunning(whenFree(open.spaceReclaimed, open.openingIsLate), open.openingIsLate),
  reservationCancelled: always((session, event) =>
    session.cancellations.includes(event.generation)
      ? moved({
          ...session,
          cancellations: session.cancellations.filter((generation) => generation !== event.generation),
        })
      : ignored("no such cancellation is open"),
  ),
  launchStarted: ofNewest(whenLaunching(launch.launchStarted, launch.launchIsOver)),
  launchSucceeded: ofNewest(whenLaunching(launch.launchSucceeded, launch.launchIsOver)),
  launchFailed: ofNewest(whenLaunching(launch.launchFailed, launch.launchIsOver)),

  renewalStarted: ofNewest(whenLive(renewal.renewalStarted, renewal.notRenewed)),
  renewalAccepted: ofNewest(whenLive(renewal.renewalAccepted, renewal.notRenewed)),
  renewalFailed: ofNewest(whenLive(renewal.renewalFailed, renewal.notRenewed)),
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
  probeRequested: always((session, event, context) => onStopping(session, event, context, stop.probeNow)),
  probeFinished: always((session, event, context) => onStopping(session, event, context, stop.probeFinished)),
  containerGone: always(stop.containerGone),
  ghostNeeded: {
    running: whenStopping(rebuild.replaceWhenExpired, open.openingIsLate),
    paused: whenStopping(rebuild.replaceForResume, open.openingIsLate),
    lost: inAll(open.openingIsLate),
    terminated: inAll(open.openingIsLate),
  },
  orphanFound: byPhase(whenFree(orphan.orphanWithoutOpenLease, orphan.orphanBesideOpenLease)),

  preparationAsked: ofNewest(whenHeld(prepare.preparationAsked, prepare.notPreparing)),
  preparationReported: ofNewest(whenHeld(prepare.preparationReported, prepare.notPreparing)),
  preparationUnanswered: ofNewest(whenHeld(prepare.preparationUnanswered, prepare.notPreparing)),

  drainStarted: ofNewest(whenHeld(save.drainStarted, save.notSaving)),
  drained: ofNewest(whenHeld(save.drained, save.notSaving)),
  drainFailed: ofNewest(whenHeld(save.drainFailed, save.notSaving)),
  saveSucceeded: ofNewest(whenHeld(save.saveSucceeded, save.notSaving)),
  saveFailed: ofNewest(whenHeld(save.saveFailed, save.notSaving)),
  copyRequested: {
    running: whenHeld(copy.begin, intent.refuseNotRunning),
    paused: inAll(intent.refusePaused),
    lost: inAll(intent.refuseLost),
    terminated: inAll(intent.refuseEnded),
  },
  copySucceeded: ofNewest(whenHeld(copy.succeeded, copy.notCopying)),
  copyFailed: ofNewest(whenHeld(copy.failed, copy.notCopying)),
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
  step: (lease: Stopping, event: Event, context: Context) => LeaseOutcome,
  whenNone?: "not_stuck",
): Outcome {
  const outcome = onLease(session, event.generation, context, (lease) => step(lease, event, context));
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
