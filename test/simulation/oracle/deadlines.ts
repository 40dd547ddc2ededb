/**
 * Every instant at which a stored session must be looked at again, by name, and how much later than that it may still stand
 * there unchanged. Two checks use this list: the alarm is armed no later than the first of them (I5), and none of them is
 * long past (the upper bound of every limit).
 *
 * `within` counts from the deadline, beyond the lateness of the alarm itself. Where it is more than the work of one wake, the
 * reason stands beside it.
 */
import { openOf, owesSomething, type SeenHeld, type SeenOpenLease, type SeenSession, type Timers } from "./model.ts";

export interface Deadline {
  readonly name: string;
  readonly at: number;
  /** ms */
  readonly within: number;
}

/** A wake arms its own safety net this far ahead, so a wake that dies is made up for after it. */
export const wakeMs = 10_000;
/** What is due and cannot be done rests, doubling up to this. */
export const longestRestMs = 300_000;

export function deadlinesOf(session: SeenSession, timers: Timers): readonly Deadline[] {
  const due: Deadline[] = [];
  const add = (name: string, at: number | null, within = wakeMs) => {
    if (at !== null) due.push({ name, at, within });
  };
  for (const lease of openOf(session)) addLease(add, session, lease, timers);
  addPlace(add, session, timers);
  addClocks(add, session, timers);
  addDeletions(add, session, timers);
  // Its rows go only when registry and index have both heard of it, and what fails of that rests.
  add("erase", eraseAt(session, timers), longestRestMs + timers.observeMs);
  return due;
}

/** When it must be looked at again; null: never. What it owes without a date is due whatever the clock says, also one that was set back to before its creation. */
export function nextLookAt(session: SeenSession, timers: Timers): number | null {
  const due = deadlinesOf(session, timers);
  if (due.length > 0) return Math.min(...due.map(({ at }) => at));
  return owesSomething(session) ? 0 : null;
}

type Add = (name: string, at: number | null, within?: number) => void;

/** A call that is under way is waited for: nobody interrupts it before its own bound. */
export function lane(timers: Timers): number {
  return wakeMs + 3 * timers.observeMs;
}

function addLease(add: Add, session: SeenSession, lease: SeenOpenLease, timers: Timers): void {
  switch (lease.phase) {
    case "launching":
      if (lease.step.type === "waiting") add("launch", lease.step.notBefore, lane(timers));
      else add("readiness of a launch", lease.deadline);
      if (lease.step.type === "acting") add("launch call", lease.step.deadline);
      if (lease.step.type === "confirming") add("first renewal", lease.step.nextAt, lane(timers));
      return;
    case "held":
      return addHeld(add, session, lease, timers);
    case "stopping":
      if (lease.step.type === "waiting") add("stop attempt", lease.step.nextAttemptAt, lane(timers));
      if (lease.step.type === "acting") add("end of a stop attempt", lease.step.deadline);
      if (lease.step.type === "parked") add("probe", lease.step.nextProbeAt, lane(timers));
  }
}

function addHeld(add: Add, session: SeenSession, lease: SeenHeld, timers: Timers): void {
  // A renewal that is covered by what is stored is not written before it is answered; one that dies is made up for by the next.
  add("renewal", lease.nextRenewalAt, lane(timers) + timers.renewMs);
  const { gate } = lease;
  // Jobs that still run at the end of a drain are ended first.
  if (gate.type === "draining") add("drain", gate.deadline, lane(timers) + timers.jobGraceMs + 2 * timers.observeMs);
  if (gate.type === "saving" || gate.type === "copying") add("save", gate.deadline);
  if (gate.type === "preparing") {
    add("preparation", gate.deadline);
    add("look at a preparation", gate.nextAt, lane(timers) + timers.observeMs);
  }
  if (lease.failures > 0) add("lapse of a lease", lease.acceptedSentAt + timers.leaseTtlMs + timers.stopGraceMs);
  const { replacement } = lease.wrapper;
  const mayUpgrade = session.desired.type === "running" && gate.type === "open" && session.activity.activeJobs === 0;
  if (mayUpgrade && replacement.type === "due" && replacement.at !== undefined) add("upgrade", replacement.at);
}

/** One snapshot is deleted at a time: while an attempt is under way, the others wait for it. */
function addDeletions(add: Add, { discarded }: SeenSession, timers: Timers): void {
  const acting = discarded.filter(({ deletion }) => deletion.type === "acting");
  for (const { deletion } of acting.length > 0 ? acting : discarded) {
    if (deletion.type === "acting") add("end of a deletion", deletion.deadline);
    else add("deletion of a snapshot", deletion.notBefore, discarded.length * lane(timers));
  }
}

/** From when on the place of the newest lease is wanted for another. */
function wantedFrom({ desired }: SeenSession): number | null {
  if (desired.type === "running")
    return desired.provision?.step.type === "waiting" ? desired.provision.step.notBefore : null;
  return desired.type === "suspended" && desired.resumeQueued ? desired.since : null;
}

function addPlace(add: Add, session: SeenSession, timers: Timers): void {
  const { desired, newest } = session;
  if (desired.type === "running" && desired.provision?.step.type === "opening")
    add("opening", desired.provision.step.deadline);
  const wanted = wantedFrom(session);
  if (wanted === null) return;
  const free = newest === null || newest.phase === "closed";
  // Making room may take as long as the reclaim is allowed, and nobody interrupts it.
  if (desired.type === "running" && free)
    add("new lease", wanted, lane(timers) + timers.reclaimMs + 2 * timers.observeMs);
  if (newest?.phase === "stopping" && session.ghosts.length < timers.maxGhosts)
    add("replacement", Math.max(wanted, replaceableFrom(newest.certainExpiry, timers)));
}

/** A sandbox that is not proven gone may be replaced only once its lease has certainly run out. */
export function replaceableFrom(certainExpiry: number, timers: Timers): number {
  return certainExpiry + timers.stopGraceMs + timers.alarmSlipMs;
}

function addClocks(add: Add, session: SeenSession, timers: Timers): void {
  const { desired } = session;
  if (desired.type === "terminated") return;
  add("end_at", endDue(session));
  // A job's end is learned from a renewal: an idle clock that ran out is believed only after one more was sent.
  add("idle", idleDue(session, timers), lane(timers) + timers.renewRetryMs);
  add("max lifetime", lifetimeDue(session));
  if (desired.type === "running") add("provision", desired.provision?.deadline ?? null);
  if (desired.type === "suspended" && desired.cause === "pause") {
    add("retention of a pause", desired.since + timers.pausedRetentionMs);
    if (session.warnedOfPause !== desired.since)
      add("warning of a pause", desired.since + timers.pausedRetentionMs - timers.pausedWarningMs);
  }
}

/** A pause that could not save is tried again later. */
function putOff(session: SeenSession, at: number): number {
  return session.pauseTries === null ? at : Math.max(at, session.pauseTries.notBefore);
}

export function endDue(session: SeenSession): number | null {
  const { desired } = session;
  const stands = desired.type === "terminated" || (desired.type === "suspended" && desired.cause === "pause");
  return stands ? null : putOff(session, session.endAt);
}

export function idleDue(session: SeenSession, timers: Timers): number | null {
  const { idleTimeoutMs } = session.limits;
  const { desired, newest } = session;
  if (idleTimeoutMs === null || desired.type !== "running" || newest?.phase !== "held") return null;
  if (newest.gate.type === "preparing") return null;
  const { lastAt, activeJobs, reportedAt } = session.activity;
  if (activeJobs === 0) return putOff(session, lastAt + idleTimeoutMs);
  return putOff(session, Math.max(lastAt, reportedAt) + Math.max(idleTimeoutMs, timers.staleActivityMs));
}

export function lifetimeDue({ alive, limits, desired }: SeenSession): number | null {
  if (desired.type === "terminated" || alive.since === null) return null;
  return alive.since + Math.max(0, limits.maxLifetimeMs - alive.totalMs);
}

/** null: not while something of it may be left. */
export function eraseAt(session: SeenSession, timers: Timers): number | null {
  const { desired, newest, ghosts, cancellations, taken } = session;
  if (desired.type !== "terminated" || desired.endedAt === null) return null;
  if (newest !== null && newest.phase !== "closed") return null;
  if (cancellations.length > 0 || taken.length > 0 || ghosts.some((ghost) => ghost.assertion === null)) return null;
  return desired.endedAt + timers.retentionMs;
}
