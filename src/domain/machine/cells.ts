/**
 * The shapes that rows of the transition table take. A matrix has a cell for each desired × phase, or it does not compile;
 * these say once what many of its cells share.
 */
import type { EventOf, EventType, SessionEvent } from "./events.ts";
import type { Generation } from "../state/ids.ts";
import { ignored, type Context, type Outcome } from "./outcome.ts";
import type { DesiredKey, PhaseKey, Session } from "../state/session.ts";

export type Cell<E extends EventType> = (session: Session, event: EventOf<E>, context: Context) => Outcome;
type Row<E extends EventType> = Readonly<Record<PhaseKey, Cell<E>>>;
export type Matrix<E extends EventType> = Readonly<Record<DesiredKey, Row<E>>>;

/** The same in every cell: for events whose handling depends on an attempt or a generation, not on the situation. */
export function always<E extends EventType>(cell: Cell<E>): Matrix<E> {
  return byPhase(inAll(cell));
}

/** The same for all that is desired. */
export function byPhase<E extends EventType>(row: Row<E>): Matrix<E> {
  return { running: row, paused: row, lost: row, terminated: row };
}

type AboutLease = Extract<SessionEvent, { readonly generation: Generation }>["type"];

/** As `byPhase`, for what is told of the newest lease. Sequences start anew in each generation: a fitting number proves nothing. */
export function ofNewest<E extends AboutLease>(row: Row<E>): Matrix<E> {
  const told =
    (cell: Cell<E>): Cell<E> =>
    (session, event, context) => {
      const news: SessionEvent = event;
      return "generation" in news && news.generation === session.newest?.generation
        ? cell(session, event, context)
        : ignored("that is news of another generation than the newest");
    };
  return byPhase({
    none: told(row.none),
    launching: told(row.launching),
    held: told(row.held),
    stopping: told(row.stopping),
    closed: told(row.closed),
  });
}

export function inAll<E extends EventType>(cell: Cell<E>): Row<E> {
  return { none: cell, launching: cell, held: cell, stopping: cell, closed: cell };
}

/** Without an open lease (`none`, `closed`) one thing, with one another. */
export function whenFree<E extends EventType>(free: Cell<E>, taken: Cell<E>): Row<E> {
  return { none: free, closed: free, launching: taken, held: taken, stopping: taken };
}

/** `otherwise` in every phase but the one that is named. */
export function whenLaunching<E extends EventType>(launching: Cell<E>, otherwise: Cell<E>): Row<E> {
  return { ...inAll(otherwise), launching };
}

export function whenHeld<E extends EventType>(held: Cell<E>, otherwise: Cell<E>): Row<E> {
  return { ...inAll(otherwise), held };
}

export function whenStopping<E extends EventType>(stopping: Cell<E>, otherwise: Cell<E>): Row<E> {
  return { ...inAll(otherwise), stopping };
}

/** With a lease that may run something: launching or held. */
export function whenLive<E extends EventType>(live: Cell<E>, otherwise: Cell<E>): Row<E> {
  return { ...inAll(otherwise), launching: live, held: live };
}

/** While a sandbox is wanted; `otherwise` once the session is paused, lost or ended. */
export function whileRunning<E extends EventType>(running: Row<E>, otherwise: Cell<E>): Matrix<E> {
  return { ...always(otherwise), running };
}

/** The same until the session has ended. */
export function untilEnded<E extends EventType>(cell: Cell<E>, ended: Cell<E>): Matrix<E> {
  return { ...always(cell), terminated: inAll(ended) };
}
