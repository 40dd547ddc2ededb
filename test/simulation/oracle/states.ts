/** What must hold of every stored state by itself (I2, I5, I6, I10, and when an end is dated). */
import { nextLookAt } from "./deadlines.ts";
import { openOf, owesSomething, type SeenLease, type SeenSession, type Timers } from "./model.ts";

export function stateFaults(session: SeenSession, timers: Timers): readonly string[] {
  const found: string[] = [];
  const leases: readonly SeenLease[] = session.newest === null ? session.ghosts : [...session.ghosts, session.newest];
  let last = 0;
  for (const lease of leases) {
    if (lease.generation <= last) found.push("I2: generations of the leases do not increase");
    last = lease.generation;
    if (lease.generation >= session.nextGeneration) found.push("I2: a lease's generation could be minted again");
    if (lease.sandboxId !== `${session.id}-g${lease.generation}`)
      found.push("I6: a sandbox id serves another generation");
    if (session.isolation === "session" && lease.container !== undefined)
      found.push("I6: an isolated session is in a shared container");
  }
  found.push(...desiredFaults(session));
  if (!isFinished(session) && nextLookAt(session, timers) === null)
    found.push("I5: an unfinished state without a deadline");
  return found;
}

function desiredFaults(session: SeenSession): readonly string[] {
  const found: string[] = [];
  const { desired, newest } = session;
  if (desired.type !== "running" && newest?.phase === "launching") found.push("I10: a launch that nobody wants");
  if (desired.type === "terminated") {
    if (newest?.phase === "held") found.push("I10: a terminated session holds a lease");
    const left =
      (newest !== null && newest.phase !== "closed") ||
      session.discarded.length > 0 ||
      session.ghosts.some((ghost) => ghost.assertion === null);
    if (desired.endedAt === null && !left) found.push("I10: nothing of it is left, and its end has no date");
    if (session.snapshot !== null) found.push("DEL-13: a terminated session keeps a snapshot");
  }
  if (desired.type === "suspended" && newest?.phase === "held" && newest.gate.type === "open")
    found.push("DEL-12: a suspended session admits jobs");
  if (desired.type === "running") {
    if (newest?.phase === "held" && desired.provision !== null) found.push("a held session is still provisioning");
    if (newest?.phase !== "held" && desired.provision === null) found.push("I5: nothing is on the way");
  }
  return found;
}

function isFinished(session: SeenSession): boolean {
  return session.desired.type === "terminated" && openOf(session).length === 0 && !owesSomething(session);
}
