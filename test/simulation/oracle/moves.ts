/** What must hold of every change between two stored states: what may follow what, and what a loss leads to. */
import { endDue, lifetimeDue, replaceableFrom } from "./deadlines.ts";
import { openLeaseOf, openOf, type SeenSession, type Timers } from "./model.ts";

export function moveFaults(before: SeenSession, after: SeenSession, timers: Timers): readonly string[] {
  return [
    ...endingFaults(before, after, timers),
    ...leaseFaults(before, after),
    ...ghostFaults(before, after, timers),
    ...lossFaults(before, after, timers),
    ...suspensionFaults(before, after),
    ...moneyFaults(before, after),
  ];
}

function endingFaults(before: SeenSession, after: SeenSession, timers: Timers): readonly string[] {
  const found: string[] = [];
  if (after.createdAt !== before.createdAt) found.push("CLK-5: created_at changed");
  if (after.nextGeneration < before.nextGeneration) found.push("I2: the generation counter fell");
  if (before.desired.type === "terminated") {
    if (after.desired.type !== "terminated") return [...found, "I10: a terminated session came back"];
    if (after.desired.reason !== before.desired.reason || after.desired.at !== before.desired.at)
      found.push("I10: the reason or time of an end changed");
    if (before.desired.endedAt !== null && after.desired.endedAt !== before.desired.endedAt)
      found.push("I10: the date of an end changed");
    return found;
  }
  if (after.desired.type !== "terminated") return found;
  const { reason, at, endedAt } = after.desired;
  const early = (due: number | null) => due === null || at < due;
  // What ends it is still due at the moment of acting, by what was stored last.
  // Paused a moment ago, its end stood still until its sandbox was lost in this same wake.
  const endAt = before.desired.type === "suspended" ? before.endAt : endDue(before);
  if (reason === "timeout" && early(endAt)) found.push("CLK-9: ended by a timeout that was not due");
  if (reason === "idle_timeout" && early(quietUntil(before))) found.push("CLK-7: ended as idle before it was");
  if (reason === "max_lifetime" && early(lifetimeDue(before)))
    found.push("CLK-9: ended by a lifetime that was not over");
  if (reason === "provision_timeout" && !provisionOver(before, at))
    found.push("CLK-9: ended by a provision deadline that was not due");
  if (reason === "retention" && !retentionOver(before, at, timers))
    found.push("CLK-9: ended by a retention that was not over");
  // A snapshot of the tenant, which it was to begin with, is still there.
  const ownSaved = before.snapshot !== null && before.snapshot.source === undefined;
  if (reason === "max_lifetime" && ownSaved && before.newest?.phase !== "held")
    found.push("CLK-2: a lifetime ended what is saved");
  if (endedAt !== null && openOf(after).some((lease) => lease.phase !== "stopping" || lease.assertion === null))
    found.push("I10: its end is dated although something is left");
  return found;
}

/** The earliest that it can be idle; null: never. A pause whose save was given up may be followed by an idle end in the same wake. */
function quietUntil({ limits, activity }: SeenSession): number | null {
  return limits.idleTimeoutMs === null ? null : activity.lastAt + limits.idleTimeoutMs;
}

function provisionOver({ desired }: SeenSession, at: number): boolean {
  return desired.type === "running" && desired.provision !== null && at >= desired.provision.deadline;
}

function retentionOver({ desired }: SeenSession, at: number, timers: Timers): boolean {
  return desired.type === "suspended" && desired.cause === "pause" && at >= desired.since + timers.pausedRetentionMs;
}

/** What was spent only grows, and nothing is ended or paused for a budget that is not used up. */
function moneyFaults(before: SeenSession, after: SeenSession): readonly string[] {
  const found: string[] = [];
  if (after.budget.spentNanos < before.budget.spentNanos) found.push("EVI-3: what was spent became less");
  const { maxNanos, tenantSpentAt } = before.budget;
  const { desired } = after;
  const ended = desired.type === "terminated" && desired.reason === "budget" && before.desired.type !== "terminated";
  const paused = desired.type === "suspended" && desired.by === "clock:budget" && before.desired.type === "running";
  if ((!ended && !paused) || tenantSpentAt !== null) return found;
  const { newest } = before;
  const at = desired.type === "suspended" ? desired.since : desired.at;
  const rate = newest?.phase === "held" ? (newest.terms?.nanosPerSecond ?? 0) : 0;
  const running = newest?.phase === "held" ? ((at - newest.heldAt) * rate) / 1_000 : 0;
  if (maxNanos === null || before.budget.spentNanos + running < maxNanos - rate)
    found.push("EVI-4: ended or paused for a budget that was not used up");
  return found;
}

function leaseFaults(before: SeenSession, after: SeenSession): readonly string[] {
  const found: string[] = [];
  for (const lease of openOf(before)) {
    const now = openLeaseOf(after, lease.generation);
    if (now === null) {
      if (lease.phase !== "stopping")
        found.push(`I3: generation ${lease.generation} closed without having been stopped`);
      continue;
    }
    if (lease.phase === "stopping" && now.phase !== "stopping") found.push("I7: a stop was taken back");
    if (lease.phase === "held" && now.phase === "launching") found.push("LEA-1: a held lease launches again");
    if (lease.phase === "stopping" && now.phase === "stopping") {
      if (lease.requestedAt !== now.requestedAt) found.push("LEA-5: a stop began twice");
      if (lease.certainExpiry > now.certainExpiry) found.push("I8: the expiry of a stopping lease came nearer");
    }
    if (now.phase !== "stopping" && lease.instanceId !== now.instanceId) found.push("I6: a lease changed its instance");
    if (lease.host !== null && now.host !== lease.host) found.push("I3: a lease changed its host");
  }
  const { newest } = before;
  const replaced = newest !== null && newest.phase !== "closed" && after.newest?.generation !== newest.generation;
  if (replaced && after.newest !== null && openLeaseOf(after, newest.generation) === null)
    found.push("LEA-1: a lease opened over an open one");
  if (after.newest?.phase === "held" && newest?.generation !== after.newest.generation)
    found.push("LEA-1: a lease is held that was never launched");
  return found;
}

function ghostFaults(before: SeenSession, after: SeenSession, timers: Timers): readonly string[] {
  const found: string[] = [];
  const { newest } = before;
  if (newest === null || newest.phase === "closed" || after.newest?.generation === newest.generation) return found;
  const ghost = after.ghosts.find((each) => each.generation === newest.generation);
  if (ghost === undefined || newest.phase !== "stopping") return found;
  // An operator's word makes room whatever the number of ghosts is.
  if (ghost.assertion === null && after.ghosts.length > timers.maxGhosts)
    found.push("LEA-18: more ghosts than allowed");
  const at = ghost.assertion?.at ?? null;
  if (at !== null && at < replaceableFrom(newest.certainExpiry, timers))
    found.push("LEA-20: an absence was asserted before the lease had certainly expired");
  return found;
}

const losses: ReadonlySet<string> = new Set(["lost", "lapsed", "foreign", "protocol"]);

/** A held sandbox is lost: one rule for every way to lose one. */
function lossFaults(before: SeenSession, after: SeenSession, timers: Timers): readonly string[] {
  const { newest, desired } = before;
  if (newest?.phase !== "held") return [];
  const stopping = openLeaseOf(after, newest.generation);
  if (stopping?.phase !== "stopping" || !losses.has(stopping.reason)) return [];
  const got = after.desired;
  if (desired.type === "suspended") {
    const lost = got.type === "suspended" && got.cause === "loss";
    return lost || got.type === "terminated" ? [] : [`a loss while it pauses led to ${got.type}`];
  }
  if (desired.type !== "running") return [];
  // Another clock was due in the same wake.
  if (got.type === "terminated" && got.reason !== "failed") return [];
  const { onLoss } = before.lifecycle;
  const held = got.type === "suspended" && got.cause === "loss";
  if (onLoss === "terminate")
    return got.type === "terminated" && got.reason === "failed" ? [] : [wrongLoss(onLoss, got.type)];
  if (onLoss === "hold") return held ? [] : [wrongLoss(onLoss, got.type)];
  const spent = before.relaunches >= timers.relaunchBudget;
  if (spent) return held ? [] : ["on_loss: relaunched past its budget"];
  const relaunches = got.type === "running" && got.provision?.purpose === "relaunch";
  return relaunches && after.relaunches === before.relaunches + 1 ? [] : [wrongLoss(onLoss, got.type)];
}

function wrongLoss(onLoss: string, got: string): string {
  return `on_loss: ${onLoss} led to ${got}`;
}

/** A sandbox is given up for a pause only once what is in it is saved, and what is saved is given up only for something. */
function suspensionFaults(before: SeenSession, after: SeenSession): readonly string[] {
  const found: string[] = [];
  const kept = before.snapshot;
  const gone = kept !== null && after.snapshot?.id !== kept.id;
  if (gone && kept.source === undefined && !after.discarded.some(({ id }) => id === kept.id))
    found.push("DEL-13: a snapshot was forgotten, not deleted");
  const held = before.newest?.phase === "held" ? before.newest : null;
  const now = held === null ? null : openLeaseOf(after, held.generation);
  const savedReasons = ["paused", "rebuilt", "upgraded"];
  if (held !== null && now?.phase === "stopping" && savedReasons.includes(now.reason)) {
    if (held.gate.type !== "saving") found.push(`DEL-12: stopped as ${now.reason} without having been saved`);
    else if (after.snapshot?.id !== held.gate.attemptId)
      found.push("DEL-12: another snapshot than the one that was taken");
  }
  // A sandbox that was never held left nothing newer than the snapshot that it began with.
  const restored = after.newest?.phase === "held" && before.newest?.phase === "launching";
  const ended = after.desired.type === "terminated";
  if (gone && !restored && !ended && after.snapshot === null) found.push("DEL-12: a snapshot was given up for nothing");
  return found;
}
