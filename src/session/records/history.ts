/** What happened in a session, in order, as clients and operators read it: the table `event`, bounded in number, size and age. */
import type { Note } from "../../domain/machine/events.ts";
import type { Session } from "../../domain/state/session.ts";
import { statusOf } from "../../domain/rules/status.ts";
import type { EventView } from "../../protocol/resources/session/events.ts";
import { rfc3339 } from "../../protocol/primitives.ts";
import type { Sql } from "../../storage/sql.ts";
import { parseJson } from "./row-codec.ts";

export type Actor = EventView["actor"];

const eventsKept = 5_000;
const eventsKeptMs = 7 * 24 * 3_600_000;
/** Of each text in an event: what a provider says may be as long as it likes. */
const eventTextKept = 2_000;

export interface SessionHistory {
  /** Inside a transaction of the caller's. `before` null: it begins here. */
  add(before: Session | null, after: Session, notes: readonly Note[], actor: Actor, now: number): void;
  /** Those after that sequence, oldest first. */
  events(after: number, limit: number): readonly EventView[];
}

export function sessionHistory(sql: Sql): SessionHistory {
  return {
    add(before, after, notes, actor, now) {
      if (notes.length === 0) return;
      const from = before === null ? "none" : statusOf(before);
      const to = statusOf(after);
      let sequence = Number(sql.run("SELECT coalesce(max(sequence), 0) AS last FROM event")[0]?.["last"] ?? 0);
      for (const note of notes) {
        sequence += 1;
        sql.run(
          "INSERT INTO event (sequence, at, type, actor, cause, from_status, to_status, generation, facts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
          sequence,
          now,
          note.type,
          actor,
          note.cause.slice(0, eventTextKept),
          from,
          to,
          note.generation,
          JSON.stringify(boundedFacts(note.facts)),
        );
      }
      // Trimmed now and then, not at each write: deletes are billed as writes.
      if (sequence % 100 < notes.length) {
        sql.run("DELETE FROM event WHERE sequence <= ? OR at < ?", sequence - eventsKept, now - eventsKeptMs);
      }
    },
    events(after, limit) {
      return sql
        .run("SELECT * FROM event WHERE sequence > ? ORDER BY sequence LIMIT ?", after, limit)
        .map((row): EventView => ({
          sequence: Number(row["sequence"]),
          at: rfc3339(Number(row["at"])),
          type: String(row["type"]),
          actor: String(row["actor"]) as Actor,
          cause: String(row["cause"]),
          from: String(row["from_status"]),
          to: String(row["to_status"]),
          generation: row["generation"] === null ? null : Number(row["generation"]),
          facts: parseJson(row["facts"] ?? "{}") as EventView["facts"],
        }));
    },
  };
}

function boundedFacts(facts: Note["facts"]): Note["facts"] {
  const cut = (value: Note["facts"][string]) => (typeof value === "string" ? value.slice(0, eventTextKept) : value);
  return Object.fromEntries(Object.entries(facts).map(([name, value]) => [name, cut(value)]));
}
