/**
 * The life of a session as bars and marks, from its history and its teardowns. Pure: it says what the timeline draws,
 * not how.
 *
 * Nothing is made up: a bar begins and ends with an event, and what lies ahead is only what the session has planned.
 */
import type { SessionEvent, Subject, Teardown } from "../../data/session.ts";

export type Kind = "launching" | "held" | "idle" | "saving" | "stopping" | "attempt";

export interface Bar {
  readonly kind: Kind;
  readonly from: number;
  /** null: it goes on. */
  readonly to: number | null;
  readonly says: string;
}

export interface Mark {
  readonly kind: "renewal" | "present" | "absent" | "unknown" | "gone" | "lost" | "planned" | "event";
  readonly at: number;
  readonly says: string;
}

export interface Lane {
  readonly generation: number;
  readonly bars: readonly Bar[];
  readonly marks: readonly Mark[];
}

export interface Life {
  readonly from: number;
  /** The last instant that is known. The drawing goes on to now unless the life is over. */
  readonly to: number;
  readonly over: boolean;
  readonly lanes: readonly Lane[];
  /** Marks of the whole session, not of one sandbox. */
  readonly planned: readonly Mark[];
}

/** The kind of bar that begins with an event. */
const begins: Readonly<Record<string, Kind>> = {
  launching: "launching",
  running: "held",
  saving: "saving",
  terminating: "stopping",
  became_ghost: "stopping",
};
const ends: ReadonlySet<string> = new Set(["sandbox_gone", "sandbox_replaced", "launch_failed", "sandbox_lost"]);

export function lifeOf(subject: Subject, events: readonly SessionEvent[], renewals: readonly number[]): Life {
  const { session, teardowns, explanation } = subject;
  const times = events.map(({ at }) => Date.parse(at));
  const created = session === null ? (times[0] ?? 0) : Date.parse(session.created_at);
  const generations = new Set<number>();
  for (const { generation } of events) if (generation !== null && generation > 0) generations.add(generation);
  for (const { generation } of teardowns) generations.add(generation);
  const lanes = [...generations]
    .toSorted((a, b) => a - b)
    .map((generation) =>
      laneOf(generation, events, teardowns.find((each) => each.generation === generation) ?? null, renewals, subject),
    );
  const over = session !== null && ["terminated", "failed"].includes(session.status) && session.ghosts === 0;
  const last = Math.max(
    created,
    ...times,
    ...lanes.flatMap(({ bars, marks }) => [...bars.map((bar) => bar.to ?? bar.from), ...marks.map(({ at }) => at)]),
  );
  const planned: Mark[] = [];
  if (!over && explanation !== null) {
    const next = explanation.clocks.find(({ name }) => name === explanation.next_clock);
    if (next?.due_at != null)
      planned.push({ kind: "planned", at: Date.parse(next.due_at), says: `${next.name}: ${next.does}` });
    if (explanation.next_look_at !== null)
      planned.push({ kind: "planned", at: Date.parse(explanation.next_look_at), says: "Mooring looks again" });
  }
  return { from: created, to: last, over, lanes, planned };
}

function laneOf(
  generation: number,
  events: readonly SessionEvent[],
  teardown: Teardown | null,
  renewals: readonly number[],
  subject: Subject,
): Lane {
  const bars: Bar[] = [];
  const marks: Mark[] = [];
  let open: { kind: Kind; from: number; says: string } | null = null;
  const close = (at: number) => {
    if (open !== null) bars.push({ ...open, to: at });
    open = null;
  };
  for (const event of events) {
    if (event.generation !== generation) continue;
    const at = Date.parse(event.at);
    const kind = begins[event.type];
    const says = `${event.type.replaceAll("_", " ")}: ${event.cause}`;
    if (kind !== undefined) {
      close(at);
      open = { kind, from: at, says };
    } else if (ends.has(event.type)) {
      if (event.type === "sandbox_lost") marks.push({ kind: "lost", at, says });
      close(at);
    } else marks.push({ kind: "event", at, says });
    if (event.type === "saved" && open !== null) {
      close(at);
      open = { kind: "stopping", from: at, says: "its files are saved, it is being stopped" };
    }
  }
  const gone = teardown?.verified_absent_at ?? null;
  if (teardown !== null) {
    const requested = Date.parse(teardown.requested_at);
    if (open === null && !bars.some(({ kind }) => kind === "stopping"))
      open = { kind: "stopping", from: requested, says: teardown.reason };
    for (const attempt of teardown.attempts)
      bars.push({
        kind: "attempt",
        from: Date.parse(attempt.started_at),
        to: attempt.ended_at === null ? null : Date.parse(attempt.ended_at),
        says: `attempt ${attempt.attempt}: ${attempt.outcome.replaceAll("_", " ")}${attempt.error === null ? "" : ` – ${attempt.error}`}`,
      });
    for (const look of teardown.observations)
      marks.push({ kind: look.answer, at: Date.parse(look.at), says: `${look.answer}: ${look.detail}` });
    if (teardown.next_attempt_at !== null)
      marks.push({ kind: "planned", at: Date.parse(teardown.next_attempt_at), says: "next attempt" });
    if (gone !== null) {
      close(Date.parse(gone));
      marks.push({ kind: "gone", at: Date.parse(gone), says: teardown.evidence ?? "proven gone" });
    }
  }
  const isOpen = open !== null;
  const newest = subject.session?.generation === generation;
  if (open !== null) {
    bars.push({ ...open, to: null });
    const since = newest ? idleSince(subject) : null;
    // Drawn over the bar that it is a part of.
    if (since !== null && open.kind === "held")
      bars.push({ kind: "idle", from: Math.max(open.from, since), to: null, says: "idle: nothing runs in it" });
  }
  if (newest && isOpen) for (const at of renewals) marks.push({ kind: "renewal", at, says: "its lease was renewed" });
  return { generation, bars, marks };
}

/**
 * Since when the session is idle; null: something runs, or the idle clock is off. Earlier idle times are not recorded.
 */
function idleSince({ session }: Subject): number | null {
  if (session === null || session.idle_at === null || session.idle_timeout_seconds === null) return null;
  return Date.parse(session.idle_at) - session.idle_timeout_seconds * 1_000;
}
