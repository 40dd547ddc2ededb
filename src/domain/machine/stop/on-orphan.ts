/**
 * Cells for something that was found running although no lease is open for it: a launch that landed late, a container that
 * came back. It is stopped like any other, under a reservation of its own, and whatever is newer is left alone.
 */
import { withoutCandidate } from "./ending.ts";
import type { EventOf } from "../events.ts";
import { nextGeneration, type Generation } from "../../state/ids.ts";
import type { Stopping } from "../../state/lease.ts";
import { stoppingFrom } from "./begin-stop.ts";
import { provisionOf, withProvision } from "../launch/on-open.ts";
import { ignored, moved, note, type Context, type Outcome } from "../outcome.ts";
import { openLeases, type Session } from "../../state/session.ts";

type Found = EventOf<"orphanFound">;

/** The newest lease is closed, or a ghost: what was found takes its place, unless it is older than what the session knows of. */
export function orphanWithoutOpenLease(session: Session, event: Found, context: Context): Outcome {
  if (event.observation.answer !== "present") return ignored("nothing was found");
  const { generation } = event.candidate;
  if (hasOpen(session, generation)) return itsOwn();
  const newestKnown = Math.max(session.newest?.generation ?? 0, ...session.ghosts.map((ghost) => ghost.generation));
  if (generation < newestKnown) return asGhost(session, event, context);
  // The orphan uses the reservation of the opening that met it; one made for another generation is given back.
  const met = provisionOf(session)?.candidate?.generation === generation;
  const free = met ? session : withoutCandidate(session);
  const base: Session = {
    ...free,
    newest: orphaned(event, context),
    nextGeneration: passing(free, generation),
  };
  const provision = provisionOf(base);
  const freed =
    provision === null
      ? base
      : withProvision(base, {
          ...provision,
          // Either way this opening is over: its place is taken, or it was given back above.
          candidate: null,
          failures: provision.failures + 1,
          step: { type: "waiting", notBefore: context.now },
        });
  return moved(freed, note("orphan_found", event.observation.detail, generation));
}

/** A newer lease is open. */
export function orphanBesideOpenLease(session: Session, event: Found, context: Context): Outcome {
  if (event.observation.answer !== "present") return ignored("nothing was found");
  const { generation } = event.candidate;
  if (hasOpen(session, generation)) return itsOwn();
  if (generation < (session.newest?.generation ?? 0)) return asGhost(session, event, context);
  // Only rows that were set back know nothing of a newer one. It is an audit's to end; its number is not used again.
  if (generation < session.nextGeneration) return ignored("it is newer than the open lease: an audit ends it");
  return moved(
    { ...session, nextGeneration: passing(session, generation) },
    note("orphan_found", `newer than any that is known: ${event.observation.detail}`, generation),
  );
}

function asGhost(session: Session, event: Found, context: Context): Outcome {
  const ghosts = [...session.ghosts, orphaned(event, context)].toSorted((a, b) => a.generation - b.generation);
  return moved({ ...session, ghosts }, note("orphan_found", event.observation.detail, event.candidate.generation));
}

function orphaned({ candidate, observation }: Found, { now, policy }: Context): Stopping {
  // The host that saw it: another one knows nothing of it.
  const found = stoppingFrom({ ...candidate, host: observation.host, openedAt: now }, now, policy);
  return { ...found, reason: "orphaned", observations: [observation] };
}

function hasOpen(session: Session, generation: Generation): boolean {
  return openLeases(session).some((lease) => lease.generation === generation);
}

function passing(session: Session, generation: Generation): Generation {
  return Math.max(session.nextGeneration, nextGeneration(generation)) as Generation;
}

const itsOwn = (): Outcome => ignored("a lease is open: what was found is its own");
