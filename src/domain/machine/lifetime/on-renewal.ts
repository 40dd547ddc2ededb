/** Cells for renewals and looks at a live lease. The first accepted renewal is what makes a launching lease held. */
import { launchAgainLater, loseSandbox } from "../stop/ending.ts";
import type { Effect, EventOf } from "../events.ts";
import type { Generation } from "../../state/ids.ts";
import { identityOf, type Held, type Launching, type LeaseIdentity } from "../../state/lease.ts";
import { launchBackoff } from "../../rules/backoff.ts";
import { ttlAfterSend } from "../../rules/lease-times.ts";
import type { Observation } from "../../state/observation.ts";
import { launchedVersion, renewedVersion } from "../launch/on-upgrade.ts";
import { ignored, moved, note, type Context, type Outcome } from "../outcome.ts";
import type { Policy } from "../../rules/policy.ts";
import type { Provision, Session } from "../../state/session.ts";
import { discard } from "../../rules/saved-files.ts";
import type { Workspace } from "../../state/workspace.ts";
import { preparesSince, wrapperStanding } from "../../state/wrapper-protocol.ts";

const confirmRetryMs = 1_000;
/** Renewals that come more often than this keep their exact distance. */
const beatFromMs = 5_000;

/** Renewals carry the activity the idle clock lives on: a session with a short idle timeout is asked more often. */
export function renewEvery(session: Session, policy: Policy): number {
  const { idleTimeoutMs } = session.limits;
  return idleTimeoutMs === null ? policy.renewMs : Math.min(policy.renewMs, Math.max(confirmRetryMs, idleTimeoutMs));
}

/** On whole seconds: the alarm that a wake arms first is then the one it needs when the renewal was accepted, and is set once. */
export function renewalDue(sentAt: number, every: number): number {
  const due = sentAt + every;
  return every < beatFromMs ? due : due - (due % 1_000);
}

/** This send is covered by what is stored already: certain expiry counts from `sendsUntil`, and its number is skipped after a crash. */
export function sendIsCovered(session: Session, now: number, policy: Policy): boolean {
  const lease = session.newest;
  if (lease?.phase !== "held") return false;
  const { lastSentAt, sendsUntil, ttlMs } = lease.renewals;
  // A deploy gave renewals a longer TTL than what is stored: certain expiry must count with it first.
  if (ttlMs === undefined || ttlMs < policy.leaseTtlMs) return false;
  // A clock that went back since the last send covers nothing: what it says now is stored first.
  return sendsUntil !== null && (lastSentAt ?? 0) <= now && now <= sendsUntil;
}

/** As loaded from storage: a renewal that needed no write of its own may have been sent. Its number is not used again. */
export function afterReload(session: Session): Session {
  const lease = session.newest;
  if (lease?.phase !== "held" || lease.renewals.sendsUntil === null) return session;
  return { ...session, newest: { ...lease, renewals: { ...lease.renewals, sequence: lease.renewals.sequence + 1 } } };
}

/**
 * A renewal whose reply is lost has extended the wrapper's life all the same, and certain expiry must cover that: the send is stored
 * before it happens, or was covered by what is stored. The next one is set as if this one failed, so that a crash in between loses nothing.
 */
export function renewalStarted(session: Session, event: EventOf<"renewalStarted">, context: Context): Outcome {
  const lease = session.newest;
  if (lease?.phase !== "launching" && lease?.phase !== "held") return ignored("nothing here is renewed");
  if (lease.phase === "launching" && lease.step.type !== "confirming") return ignored("it is not launched yet");
  if (event.sequence !== lease.renewals.sequence + 1) return ignored("another renewal was sent meanwhile");
  const { now, policy } = context;
  // One send is covered, not two: unless this one is known to have been accepted, the next is stored before it is sent.
  const renewals = {
    sequence: event.sequence,
    lastSentAt: Math.max(now, lease.renewals.lastSentAt ?? 0),
    sendsUntil: null,
    ttlMs: ttlAfterSend(lease.renewals, now, policy),
  };
  const again = now + policy.observeMs + confirmRetryMs;
  return lease.phase === "launching"
    ? moved({ ...session, newest: { ...lease, renewals, step: { type: "confirming", nextAt: again } } })
    : moved({ ...session, newest: { ...lease, renewals, nextRenewalAt: again } });
}

export function renewalAccepted(session: Session, event: EventOf<"renewalAccepted">, context: Context): Outcome {
  const lease = session.newest;
  if (lease?.phase !== "launching" && lease?.phase !== "held")
    return ignored("the stop wins: a stopping lease is not renewed");
  if (event.sequence !== lease.renewals.sequence) return ignored("the answer of an older renewal");
  if (wrapperStanding(event.protocol) === "unsupported") return protocolUnsupported(session, context);
  return lease.phase === "launching"
    ? becomeHeld(session, lease, event, context)
    : stayHeld(session, lease, event, context);
}

function protocolUnsupported(session: Session, context: Context): Outcome {
  const why = "its wrapper speaks a protocol version that is not supported";
  return session.newest?.phase === "held"
    ? loseSandbox(session, "protocol", why, context)
    : launchAgainLater(
        session,
        "protocol",
        { code: "protocol_unsupported", message: why },
        context.now + context.policy.launchBackoffCapMs,
        context,
      );
}

function becomeHeld(session: Session, lease: Launching, event: EventOf<"renewalAccepted">, context: Context): Outcome {
  const { now, policy } = context;
  const nextRenewalAt = renewalDue(event.sentAt, renewEvery(session, policy));
  const purpose = session.desired.type === "running" ? (session.desired.provision?.purpose ?? "create") : "create";
  const restored = session.snapshot !== null;
  const prepares = session.workspace !== null && !restored;
  if (prepares && event.protocol < preparesSince) return cannotPrepare(session, event.protocol, context);
  const held: Held = {
    ...identityOf(lease),
    ...(event.unproven === undefined ? {} : { unproven: event.unproven }),
    phase: "held",
    heldAt: now,
    renewals: { ...lease.renewals, sendsUntil: nextRenewalAt + policy.observeMs },
    acceptedSentAt: event.sentAt,
    acceptedTtlMs: policy.leaseTtlMs,
    nextRenewalAt,
    failures: 0,
    launchNotAfter: lease.launchNotAfter,
    wrapper: launchedVersion(event.protocol),
    gate: prepares
      ? { type: "preparing", purpose, nextAt: now, deadline: now + policy.prepareMs, attemptId: null }
      : { type: "open" },
  };
  const notes = arrivals(session, lease, purpose, prepares);
  const running: Session = {
    // Restored: the sandbox has it now, and a later loss must not bring back what is old.
    ...discard(session, session.snapshot, now),
    snapshot: null,
    workspace: workspaceIn(session, lease.generation, restored),
    newest: held,
    setback: null,
    startedAt: session.startedAt ?? now,
    // A client did not ask for the upgrade, so the idle clock continues where it stood.
    activity: {
      lastAt: purpose === "upgrade" ? session.activity.lastAt : Math.max(now, session.activity.lastAt),
      activeJobs: event.activeJobs,
      reportedAt: now,
    },
    desired: session.desired.type === "running" ? { type: "running", provision: null } : session.desired,
  };
  // Always noted: a reader of the history must see that this is another sandbox.
  return purpose === "relaunch" || purpose === "rebuild" || purpose === "upgrade"
    ? moved(running, ...notes, note("sandbox_replaced", purpose, lease.generation))
    : moved(running, ...notes);
}

function workspaceIn(session: Session, generation: Generation, restored: boolean): Workspace | null {
  if (session.workspace === null) return null;
  return { ...session.workspace, generation, steps: [], state: restored ? "restored" : "preparing" };
}

/** The history notes of a sandbox that has started. They say whether its workspace starts empty (cold) or restored (warm). */
function arrivals(
  session: Session,
  lease: Launching,
  purpose: Provision["purpose"],
  prepares: boolean,
): readonly Effect[] {
  const { generation } = lease;
  const facts = { purpose, launches: lease.attempts.length };
  const steps = session.workspace?.planned.length ?? 0;
  if (prepares) return [note("preparing", "the wrapper accepted its lease", generation, { ...facts, steps })];
  const started = note("running", "the wrapper accepted its lease", generation, facts);
  if (session.snapshot === null) return [started];
  const warm = { snapshot: session.snapshot.id, steps_skipped: steps };
  return [note("workspace_restored", "its files were restored", generation, warm), started];
}

/** A host whose bundle is behind: nothing of the session is started without what it was promised. */
function cannotPrepare(session: Session, protocol: number, context: Context): Outcome {
  const message = `The sandbox's wrapper speaks protocol ${protocol} and cannot prepare a workspace. Update the host's wrapper.`;
  return launchAgainLater(
    session,
    "protocol",
    { code: "protocol_unsupported", message },
    context.now + context.policy.launchBackoffCapMs,
    context,
  );
}

function stayHeld(session: Session, lease: Held, event: EventOf<"renewalAccepted">, context: Context): Outcome {
  const { now, policy } = context;
  const lastAt = event.activeJobs > 0 ? now : Math.max(session.activity.lastAt, event.sentAt - event.idleMs);
  const quiet = event.activeJobs === 0 && session.activity.activeJobs === 0 && lastAt === session.activity.lastAt;
  const nextRenewalAt = renewalDue(event.sentAt, renewEvery(session, policy));
  return moved({
    ...session,
    newest: {
      ...lease,
      renewals: { ...lease.renewals, sendsUntil: nextRenewalAt + policy.observeMs },
      acceptedSentAt: event.sentAt,
      acceptedTtlMs: policy.leaseTtlMs,
      nextRenewalAt,
      failures: 0,
      wrapper: renewedVersion(lease.wrapper, event.protocol, event.jitter, context),
    },
    // The same object when nothing happened: an idle session's renewal then writes its lease row only.
    activity: quiet ? session.activity : { lastAt, activeJobs: event.activeJobs, reportedAt: now },
  });
}

export function renewalFailed(session: Session, event: EventOf<"renewalFailed">, context: Context): Outcome {
  const lease = session.newest;
  if (lease?.phase !== "launching" && lease?.phase !== "held") return ignored("nothing here is renewed");
  if (event.sequence !== lease.renewals.sequence) return ignored("the failure of an older renewal");
  const { failure } = event;
  const { now, policy } = context;
  if (lease.phase === "held") {
    if (failure.code === "foreign_instance") return loseSandbox(session, "foreign", failure.message, context);
    if (failure.code === "protocol_unsupported") return protocolUnsupported(session, context);
    return moved({
      ...session,
      newest: {
        ...lease,
        renewals: { ...lease.renewals, sendsUntil: null },
        failures: lease.failures + 1,
        nextRenewalAt: now + policy.renewRetryMs,
      },
    });
  }
  if (failure.code === "foreign_instance") {
    const count = session.desired.type === "running" ? (session.desired.provision?.failures ?? 0) + 1 : 1;
    const notBefore = now + launchBackoff(count, event.jitter, null, policy);
    return launchAgainLater(session, "foreign", { code: failure.code, message: failure.message }, notBefore, context);
  }
  if (lease.step.type !== "confirming") return ignored("it is not launched yet");
  return moved({ ...session, newest: { ...lease, step: { type: "confirming", nextAt: now + confirmRetryMs } } });
}

/** A call to its wrapper failed: renew now, so that a look follows if it is gone. Never more often than a failed renewal is retried. */
export function wrapperFailed(session: Session, _event: EventOf<"wrapperFailed">, context: Context): Outcome {
  const lease = session.newest;
  if (lease?.phase !== "held") return ignored("nothing here is renewed");
  const { now, policy } = context;
  const nextRenewalAt = Math.max(now, (lease.renewals.lastSentAt ?? 0) + policy.renewRetryMs);
  if (nextRenewalAt >= lease.nextRenewalAt) return ignored("its next renewal is as near");
  return moved({ ...session, newest: { ...lease, nextRenewalAt } });
}

export const notRenewed = (): Outcome => ignored("no lease here is renewed");

function isElsewhere(lease: LeaseIdentity, look: Observation): boolean {
  return (
    look.provider !== lease.provider ||
    look.sandboxId !== lease.sandboxId ||
    look.generation !== lease.generation ||
    (lease.host !== null && look.host !== lease.host)
  );
}

/** Seen absent while held: lost. Its jobs may still live, so the lease stops and is verified like any other. */
export function heldSeenAbsent(session: Session, event: EventOf<"observedAbsent">, context: Context): Outcome {
  const lease = session.newest;
  const { observation } = event;
  if (lease?.phase !== "held") return ignored("nothing is held");
  if (isElsewhere(lease, observation))
    return ignored("another sandbox, or another host's answer: it says nothing here");
  if (observation.beganAt < lease.heldAt || observation.beganAt < lease.acceptedSentAt)
    return ignored("it was alive after that look began");
  return loseSandbox(session, "lost", observation.detail, context);
}

/** Seen absent while launching: it may still land until `launchNotAfter`; after that it never will. */
export function launchSeenAbsent(session: Session, event: EventOf<"observedAbsent">, context: Context): Outcome {
  const lease = session.newest;
  if (lease?.phase !== "launching" || lease.step.type !== "confirming") return ignored("no launch is being confirmed");
  const { observation } = event;
  if (isElsewhere(lease, observation))
    return ignored("another sandbox, or another host's answer: it says nothing here");
  if (observation.beganAt <= lease.launchNotAfter) return ignored("the launch may still land");
  const count = session.desired.type === "running" ? (session.desired.provision?.failures ?? 0) + 1 : 1;
  return launchAgainLater(
    session,
    "launch_failed",
    { code: "not_found", message: `The launch never started: ${observation.detail}` },
    context.now + launchBackoff(count, 0.5, null, context.policy),
    context,
  );
}

export const lookChangesNothing = (): Outcome => ignored("that look changes nothing here");
