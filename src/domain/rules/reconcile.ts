/**
 * Compares desired and observed and names every next step; and when to look again. Idempotent: it only reads.
 * Steps of different lanes may run side by side; a lane runs one step at a time (session/steps/step-table.ts says which).
 */
import { idleAt, idleIsConfirmed, runningClocks } from "./clocks.ts";
import type { AttemptId, Generation } from "../state/ids.ts";
import { renewalDue, renewEvery } from "../machine/lifetime/on-renewal.ts";
import type { Held, Launching, OpenLease, Stopping } from "../state/lease.ts";
import { ghostFrom, lapsesAt } from "./lease-times.ts";
import { upgradeAt } from "../machine/launch/on-upgrade.ts";
import type { Policy } from "./policy.ts";
import { endIsUndated, type DiscardedSnapshot, type Session } from "../state/session.ts";

export type Step =
  | { readonly type: "openLease" }
  | { readonly type: "launch"; readonly generation: Generation }
  | { readonly type: "renew"; readonly generation: Generation }
  | { readonly type: "stop"; readonly generation: Generation }
  | { readonly type: "probe"; readonly generation: Generation }
  | { readonly type: "prepare"; readonly generation: Generation }
  | { readonly type: "drain"; readonly generation: Generation }
  | { readonly type: "save"; readonly generation: Generation; readonly attemptId: AttemptId }
  | { readonly type: "copy"; readonly generation: Generation; readonly snapshotId: string }
  | { readonly type: "settleCopy"; readonly snapshotId: string }
  | { readonly type: "becomeGhost" }
  | { readonly type: "cancelReservation"; readonly generation: Generation }
  | { readonly type: "deleteSnapshot"; readonly snapshotId: string }
  | { readonly type: "erase" };

export function reconcile(session: Session, now: number, policy: Policy): readonly Step[] {
  const steps: Step[] = [];
  for (const lease of [...session.ghosts, session.newest]) {
    if (lease === null) continue;
    switch (lease.phase) {
      case "launching":
        steps.push(...launchingSteps(lease, now));
        break;
      case "held":
        steps.push(...heldSteps(session, lease, now, policy));
        break;
      case "stopping":
        steps.push(...stoppingSteps(lease, now));
        break;
      case "closed":
        break;
    }
  }
  steps.push(...sessionSteps(session, now, policy));
  return steps;
}

function launchingSteps(lease: Launching, now: number): readonly Step[] {
  const { generation, step } = lease;
  if (step.type === "waiting" && step.notBefore <= now) return [{ type: "launch", generation }];
  if (step.type === "confirming" && step.nextAt <= now) return [{ type: "renew", generation }];
  return [];
}

function heldSteps(session: Session, lease: Held, now: number, policy: Policy): readonly Step[] {
  const { generation, gate } = lease;
  const steps: Step[] = [];
  if (lease.nextRenewalAt <= now || idleMustBeAsked(session, lease, now, policy))
    steps.push({ type: "renew", generation });
  if (gate.type === "preparing" && gate.nextAt <= now) steps.push({ type: "prepare", generation });
  if (gate.type === "draining") steps.push({ type: "drain", generation });
  if (gate.type === "saving") steps.push({ type: "save", generation, attemptId: gate.attemptId });
  if (gate.type === "copying") steps.push({ type: "copy", generation, snapshotId: gate.snapshotId });
  return steps;
}

/** The idle clock ran out by what is stored; the wrapper may know better. Asked once. */
function idleMustBeAsked(session: Session, lease: Held, now: number, policy: Policy): boolean {
  const dueAt = idleAt(session, policy);
  return dueAt !== null && dueAt <= now && (lease.renewals.lastSentAt ?? 0) < dueAt;
}

function stoppingSteps(lease: Stopping, now: number): readonly Step[] {
  const { generation, step } = lease;
  if (step.type === "waiting" && step.nextAttemptAt <= now) return [{ type: "stop", generation }];
  if (step.type === "parked" && step.nextProbeAt <= now) return [{ type: "probe", generation }];
  return [];
}

function sessionSteps(session: Session, now: number, policy: Policy): readonly Step[] {
  const steps: Step[] = session.cancellations.map((generation) => ({ type: "cancelReservation", generation }));
  for (const { id } of session.taken) steps.push({ type: "settleCopy", snapshotId: id });
  const discarded = dueDeletion(session, now);
  if (discarded !== null) steps.push({ type: "deleteSnapshot", snapshotId: discarded.id });
  const { desired, newest } = session;
  const wanted = placeWantedFrom(session);
  if (wanted !== null && wanted <= now) {
    if (desired.type === "running" && !hasOpenNewest(session)) steps.push({ type: "openLease" });
    else if (newest?.phase === "stopping" && mayReplace(session, newest, now, policy))
      steps.push({ type: "becomeGhost" });
  }
  if (desired.type === "terminated") {
    const erase = eraseAt(session, policy);
    if (erase !== null && erase <= now) steps.push({ type: "erase" });
  }
  return steps;
}

/** One at a time: while an attempt runs none is due, and of those that wait the one that waited longest comes first. */
function dueDeletion({ discarded }: Session, now: number): DiscardedSnapshot | null {
  if (discarded.some(({ deletion }) => deletion.type === "acting")) return null;
  const [first] = discarded.toSorted((a, b) => deletionAt(a) - deletionAt(b));
  return first !== undefined && deletionAt(first) <= now ? first : null;
}

function deletionAt({ deletion }: DiscardedSnapshot): number {
  return deletion.type === "waiting" ? deletion.notBefore : deletion.deadline;
}

/** From when on the place of the newest lease is wanted for another: by a provision that waits, or a resume that is queued. */
function placeWantedFrom({ desired }: Session): number | null {
  if (desired.type === "running")
    return desired.provision?.step.type === "waiting" ? desired.provision.step.notBefore : null;
  return desired.type === "suspended" && desired.resumeQueued ? desired.since : null;
}

function mayReplace(session: Session, lease: Stopping, now: number, policy: Policy): boolean {
  return now >= ghostFrom(lease, policy) && session.ghosts.length < policy.maxGhosts;
}

function hasOpenNewest(session: Session): boolean {
  return session.newest !== null && session.newest.phase !== "closed";
}

/**
 * Where a wake is followed by the next, when all that is due is the renewal of a healthy held lease: known before it is sent.
 * null: something else is due as well, and what comes after it is not known.
 */
export function quietWakeEnds(session: Session, now: number, policy: Policy): number | null {
  const lease = session.newest;
  if (lease?.phase !== "held" || lease.failures > 0 || lease.nextRenewalAt > now) return null;
  // The last one is not known to have been accepted: it may be on its way still, and this one is then not sent now.
  if (lease.renewals.sendsUntil === null) return null;
  const steps = reconcile(session, now, policy);
  if (steps.length !== 1 || steps[0]?.type !== "renew") return null;
  const nextRenewalAt = renewalDue(now, renewEvery(session, policy));
  const next = nextDeadline({ ...session, newest: { ...lease, nextRenewalAt } }, policy);
  return next !== null && next > now ? next : null;
}

/** When a terminated session's rows go; null while anything of it may still be there. Somebody's word holds it no longer than that. */
export function eraseAt(session: Session, policy: Policy): number | null {
  const { desired } = session;
  if (desired.type !== "terminated" || desired.endedAt === null || hasOpenNewest(session)) return null;
  if (session.ghosts.some((ghost) => ghost.assertion === null) || hasPendingRegistryCalls(session)) return null;
  return desired.endedAt + policy.retentionMs;
}

/**
 * The next instant at which this state is to be looked at again, of those after `after`; null only when there is nothing left to
 * do, ever, or nothing after that.
 */
export function nextDeadline(session: Session, policy: Policy, after = -Infinity): number | null {
  const due: number[] = [];
  for (const lease of [...session.ghosts, session.newest]) {
    if (lease !== null && lease.phase !== "closed") due.push(...leaseDeadlines(lease, policy));
  }
  due.push(...placeDeadlines(session, policy));
  for (const clock of runningClocks(session, policy)) {
    if (clock.name === "idle" && idleAnswerPending(session, clock.dueAt, policy)) continue;
    due.push(clock.dueAt);
  }
  due.push(...deletionDeadlines(session));
  const upgrade = upgradeAt(session);
  if (upgrade !== null) due.push(upgrade);
  const erase = eraseAt(session, policy);
  if (erase !== null) due.push(erase);
  if (session.desired.type === "terminated" && endIsUndated(session)) due.push(session.desired.at);
  const later = due.filter((at) => at > after);
  if (later.length > 0) return Math.min(...later);
  if (due.length > 0 || after !== -Infinity) return null;
  // Giving back has no date: it is simply not done yet. Where anything else has one, it looks at that too.
  return hasPendingRegistryCalls(session)
    ? session.desired.type === "terminated"
      ? session.desired.at
      : session.createdAt
    : null;
}

/** A reservation is to be given back, or the registry is to be told what became of a snapshot. */
export function hasPendingRegistryCalls(session: Session): boolean {
  return session.cancellations.length > 0 || session.taken.length > 0;
}

/** While one attempt runs, the others wait for it, whatever their own dates say. */
function deletionDeadlines({ discarded }: Session): readonly number[] {
  const running = discarded.filter(({ deletion }) => deletion.type === "acting");
  return (running.length > 0 ? running : discarded).map(deletionAt);
}

/** Asked, not answered: the renewal's own retry is the deadline now. */
function idleAnswerPending(session: Session, dueAt: number, policy: Policy): boolean {
  const lease = session.newest;
  if (lease?.phase !== "held" || (lease.renewals.lastSentAt ?? 0) < dueAt) return false;
  return !idleIsConfirmed(session, dueAt, lease.renewals.lastSentAt ?? 0, policy);
}

function leaseDeadlines(lease: OpenLease, policy: Policy): readonly number[] {
  switch (lease.phase) {
    case "launching":
      return [lease.step.type === "waiting" ? lease.step.notBefore : lease.deadline, ...launchStepDeadline(lease)];
    case "held":
      return [
        lease.nextRenewalAt,
        ...(lease.gate.type === "open" ? [] : [lease.gate.deadline]),
        ...(lease.gate.type === "preparing" ? [lease.gate.nextAt] : []),
        ...(lease.failures > 0 ? [lapsesAt(lease, policy)] : []),
      ];
    case "stopping":
      switch (lease.step.type) {
        case "waiting":
          return [lease.step.nextAttemptAt];
        case "acting":
          return [lease.step.deadline];
        case "parked":
          return [lease.step.nextProbeAt];
      }
  }
}

function launchStepDeadline(lease: Launching): readonly number[] {
  switch (lease.step.type) {
    case "waiting":
      return [];
    case "acting":
      return [lease.step.deadline];
    case "confirming":
      return [lease.step.nextAt];
  }
}

function placeDeadlines(session: Session, policy: Policy): readonly number[] {
  const { desired, newest } = session;
  if (desired.type === "running" && desired.provision?.step.type === "opening")
    return [desired.provision.step.deadline];
  const wanted = placeWantedFrom(session);
  if (wanted === null) return [];
  if (desired.type === "running" && !hasOpenNewest(session)) return [wanted];
  if (newest?.phase === "stopping" && session.ghosts.length < policy.maxGhosts)
    return [Math.max(wanted, ghostFrom(newest, policy))];
  return [];
}
