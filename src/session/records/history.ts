/**
 * What happened in a session, in order, as clients and operators read it; bounded in number, size and age.
 *
 * The newest events stand in the session's row, because each comes with a write of that row and a row written is a row billed.
 * When there are many they move together into one row of the table `event_page`, which the first such move makes. Sessions of
 * older code also have a table `event` with a row for each.
 */
import type { Note } from "../../domain/machine/events.ts";
import type { Session } from "../../domain/state/session.ts";
import { statusOf } from "../../domain/rules/status.ts";
import type { EventView } from "../../protocol/resources/session/events.ts";
import { rfc3339 } from "../../protocol/primitives.ts";
import type { Sql, SqlRow } from "../../storage/sql.ts";
import { parseJson } from "./row-codec.ts";

export type Actor = EventView["actor"];

const eventsKept = 5_000;
const eventsKeptMs = 7 * 24 * 3_600_000;
/** Characters kept of each text in an event: a provider's message may be of any length. */
const eventTextKept = 2_000;
/** How many events stand in the session's row, and how long they may be in all: the row is read whole at each load. */
const recentAtMost = 24;
const recentChars = 8_000;

type StoredEvent = Omit<EventView, "at"> & { readonly at: number };

/** The column of the session's row. */
interface Recent {
  /** The sequence of the last event there ever was. */
  readonly last: number;
  readonly events: readonly StoredEvent[];
}

/** What happened in one write, and to whom it is put down. */
export interface Happening {
  /** null: the session begins here. */
  readonly before: Session | null;
  readonly after: Session;
  readonly notes: readonly Note[];
  readonly actor: Actor;
  readonly now: number;
}

export interface SessionHistory {
  /**
   * The events to store in the session's row; null: nothing happened. Inside a transaction of the caller, which writes them in the
   * same statement as the row. Moves older events into a row of their own when there are many.
   */
  add(happening: Happening): string | null;
  /** Those after that sequence, oldest first. */
  events(after: number, limit: number): readonly EventView[];
}

export function sessionHistory(sql: Sql): SessionHistory {
  const has = (table: string): boolean =>
    sql.run("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", table).length > 0;

  function readRecent(): Recent {
    const stored = parseJson(sql.run("SELECT recent FROM session")[0]?.["recent"]) as Recent | undefined;
    if (stored !== undefined) return stored;
    const last = has("event") ? sql.run("SELECT max(sequence) AS last FROM event")[0]?.["last"] : 0;
    return { last: Number(last ?? 0), events: [] };
  }

  function moveToPage(events: readonly StoredEvent[], now: number): void {
    const [first, last] = [events[0], events.at(-1)];
    if (first === undefined || last === undefined) return;
    sql.run(
      "CREATE TABLE IF NOT EXISTS event_page (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL) STRICT",
    );
    const body = JSON.stringify(events);
    sql.run(
      "INSERT INTO event_page (first, last, at, body) VALUES (?, ?, ?, ?)",
      first.sequence,
      last.sequence,
      last.at,
      body,
    );
    const [tooFar, tooOld] = [last.sequence - eventsKept, now - eventsKeptMs];
    sql.run("DELETE FROM event_page WHERE last <= ? OR at < ?", tooFar, tooOld);
    if (has("event")) sql.run("DELETE FROM event WHERE sequence <= ? OR at < ?", tooFar, tooOld);
  }

  return {
    add({ before, after, notes, actor, now }) {
      if (notes.length === 0) return null;
      const recent = before === null ? { last: 0, events: [] } : readRecent();
      const [from, to] = [before === null ? "none" : statusOf(before), statusOf(after)];
      const added = notes.map((note, index): StoredEvent => ({
        sequence: recent.last + 1 + index,
        at: now,
        type: note.type,
        actor,
        cause: note.cause.slice(0, eventTextKept),
        from,
        to,
        generation: note.generation,
        facts: boundedFacts(note.facts),
      }));
      const last = recent.last + added.length;
      const text = textOf({ last, events: [...recent.events, ...added] });
      if (recent.events.length === 0) return text;
      if (recent.events.length + added.length <= recentAtMost && text.length <= recentChars) return text;
      moveToPage(recent.events, now);
      return textOf({ last, events: added });
    },
    events(after, limit) {
      const { events, last } = readRecent();
      if (after >= last) return [];
      const newest = events.filter(({ sequence }) => sequence > after);
      // Mostly all of them stand in the row.
      if (newest[0]?.sequence === after + 1) return newest.slice(0, limit).map(viewOf);
      const older: EventView[] = [];
      if (has("event")) {
        const rows = sql.run("SELECT * FROM event WHERE sequence > ? ORDER BY sequence LIMIT ?", after, limit);
        older.push(...rows.map(eventOfRow));
      }
      if (has("event_page")) {
        const pages = sql.run("SELECT body FROM event_page WHERE last > ? ORDER BY first LIMIT ?", after, limit);
        const paged = pages.flatMap(({ body = null }) => (parseJson(body) ?? []) as readonly StoredEvent[]);
        older.push(...paged.filter(({ sequence }) => sequence > after).map(viewOf));
      }
      return [...older, ...newest.map(viewOf)].slice(0, limit);
    },
  };
}

function textOf(recent: Recent): string {
  return JSON.stringify(recent);
}

function viewOf(event: StoredEvent): EventView {
  return { ...event, at: rfc3339(event.at) };
}

/** Written by older code. */
function eventOfRow(row: SqlRow): EventView {
  return {
    sequence: Number(row["sequence"]),
    at: rfc3339(Number(row["at"])),
    type: String(row["type"]),
    actor: String(row["actor"]) as Actor,
    cause: String(row["cause"]),
    from: String(row["from_status"]),
    to: String(row["to_status"]),
    generation: row["generation"] === null ? null : Number(row["generation"]),
    facts: parseJson(row["facts"] ?? "{}") as EventView["facts"],
  };
}

function boundedFacts(facts: Note["facts"]): Note["facts"] {
  const cut = (value: Note["facts"][string]) => (typeof value === "string" ? value.slice(0, eventTextKept) : value);
  return Object.fromEntries(Object.entries(facts).map(([name, value]) => [name, cut(value)]));
}
