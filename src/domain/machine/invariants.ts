/**
 * What must hold of every stored state and of every move between two. Checked by the simulation after each step and by
 * the shell before each write: a bug then refuses to be stored instead of spreading.
 */
import { isOpen, type Lease } from "../state/lease.ts";
import type { Policy } from "../rules/policy.ts";
import { nextDeadline, hasPendingRegistryCalls } from "../rules/reconcile.ts";
import { openLeases, type Session } from "../state/session.ts";

/**
 * What an event would break. `odd`: violations that stood before it, which are not held against the event: a state that was
 * inconsistent before must not be stuck for ever.
 */
export function newViolations(
  before: Session,
  after: Session,
  policy: Policy,
): { readonly odd: readonly string[]; readonly broken: readonly string[] } {
  const odd = stateViolations(before, policy);
  const broken = stateViolations(after, policy).filter((each) => !odd.includes(each));
  return { odd, broken: [...broken, ...moveViolations(before, after, policy)] };
}

/** Empty: all hold. Each line names the invariant of docs/SPEC.md that does not. */
export function stateViolations(session: Session, policy: Policy): readonly string[] {
  const found: string[] = [];
  const leases: readonly Lease[] = session.newest === null ? session.ghosts : [...session.ghosts, session.newest];
  for (const [index, lease] of leases.entries()) {
    const previous = leases[index - 1];
    if (previous !== undefined && previous.generation >= lease.generation)
      found.push("I2: generations of the open leases do not increase");
    if (lease.generation >= session.nextGeneration) found.push("I2: a lease's generation could be minted again");
    if (lease.sandboxId !== `${session.id}-g${lease.generation}`)
      found.push("I6: a sandbox id serves another generation");
    if (session.isolation === "session" && lease.container !== undefined)
      found.push("I6: an isolated session is a member of a shared container");
  }
  if (session.newest?.phase === "held" && session.desired.type === "terminated")
    found.push("I10: a terminated session holds a lease");
  if (session.newest?.phase === "launching" && session.desired.type !== "running")
    found.push("I10: a launch that nobody wants");
  if (session.newest?.phase === "held" && session.desired.type === "suspended" && session.newest.gate.type === "open")
    found.push("a suspended session holds an open lease");
  if (session.desired.type === "running" && session.newest?.phase === "held" && session.desired.provision !== null)
    found.push("a held session is still provisioning");
  if (session.desired.type === "running" && session.newest?.phase !== "held" && session.desired.provision === null)
    found.push("I5: running is wanted and nothing is on the way");
  if (session.discarded.filter(({ deletion }) => deletion.type === "acting").length > 1)
    found.push("I7: two snapshots are deleted at once");
  const finished =
    session.desired.type === "terminated" &&
    openLeases(session).length === 0 &&
    !hasPendingRegistryCalls(session) &&
    session.discarded.length === 0;
  // Suspended after a loss: `end_at` runs, so even that has a deadline. Nothing waits for ever without one.
  if (!finished && nextDeadline(session, policy) === null) found.push("I5: an unfinished state without a deadline");
  return found;
}

export function moveViolations(before: Session, after: Session, policy: Policy): readonly string[] {
  const found: string[] = [];
  // Checked for the move, not for the state: an orphan, or a ghost whose assertion proves wrong, may be one ghost too many and must be
  // stored all the same. A replacement must not add one more.
  const replaced = after.ghosts.some(
    (ghost) => ghost.assertion === null && ghost.generation === before.newest?.generation,
  );
  if (replaced && after.ghosts.length > policy.maxGhosts) found.push("LEA-18: more ghosts than allowed");
  if (after.createdAt !== before.createdAt) found.push("CLK-5: created_at changed");
  if (after.nextGeneration < before.nextGeneration) found.push("I2: the generation counter fell");
  if (before.desired.type === "terminated") {
    if (after.desired.type !== "terminated") found.push("I10: a terminated session came back");
    else {
      if (after.desired.reason !== before.desired.reason || after.desired.at !== before.desired.at)
        found.push("I10: the reason or time of an end changed");
      if (before.desired.endedAt !== null && after.desired.endedAt !== before.desired.endedAt)
        found.push("I10: the time of an end changed");
    }
  }
  const left = openLeases(before).filter(
    (lease) => !openLeases(after).some((other) => other.generation === lease.generation),
  );
  for (const lease of left) {
    if (lease.phase !== "stopping") found.push(`I3: generation ${lease.generation} closed without having been stopped`);
    if (
      after.newest?.generation === lease.generation &&
      after.newest.phase === "closed" &&
      after.newest.receipt.verifiedAbsentAt === null
    )
      found.push("I3: closed without a proof");
  }
  for (const lease of openLeases(after)) {
    const old = openLeases(before).find((other) => other.generation === lease.generation);
    if (old?.phase === "stopping" && lease.phase !== "stopping") found.push("I7: a stop was taken back");
    if (old?.phase === "stopping" && lease.phase === "stopping" && old.requestedAt !== lease.requestedAt)
      found.push("LEA-5: a stop began twice");
  }
  if (isOpen(before.newest) && after.newest !== null && after.newest.generation !== before.newest.generation) {
    const known = after.ghosts.some((ghost) => ghost.generation === before.newest?.generation);
    if (!known) found.push("LEA-1: a lease opened over an open one");
  }
  return found;
}
