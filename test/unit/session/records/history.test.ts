/** The history of a session: the newest events in its row, older ones in pages, those of older code in their own table. */
import { describe, expect, it } from "vitest";
import type { Note } from "../../../../src/domain/machine/events.ts";
import { sessionHistory } from "../../../../src/session/records/history.ts";
import { SessionRig } from "../../../support/session-rig.ts";

const minute = 60_000;
const day = 24 * 60 * minute;

async function begun() {
  const rig = new SessionRig();
  await rig.running({});
  const { session } = rig.commands.state;
  if (session === null) throw new Error("there is no session");
  const history = sessionHistory(rig.sql);
  const add = (count: number, now: number, cause = "asked for") => {
    const notes = Array.from({ length: count }, (): Note => ({ type: "setback", cause, generation: null, facts: {} }));
    const recent = history.add({ before: session, after: session, notes, actor: "client", now });
    rig.sql.run("UPDATE session SET recent = ?", recent);
  };
  const sequences = (after: number, limit: number) => history.events(after, limit).map(({ sequence }) => sequence);
  return { rig, add, history, sequences };
}

const upTo = (last: number, first = 1) => Array.from({ length: last - first + 1 }, (_, index) => first + index);

describe("the history of a session", () => {
  it("is complete and in order however much of it stands in pages [API-6]", async () => {
    const { rig, add, history, sequences } = await begun();
    const before = history.events(0, 100).length;
    for (let round = 0; round < 100; round += 1) add(1 + (round % 3), minute + round);
    const last = history.events(0, 1_000).length;
    expect(last).toBe(before + 199);
    expect(sequences(0, 1_000)).toEqual(upTo(last));
    expect(Number(rig.sql.run("SELECT count(*) AS pages FROM event_page")[0]?.["pages"])).toBeLessThan(12);
    for (const after of [0, 7, 100, last - 1, last]) {
      expect(sequences(after, 10)).toEqual(upTo(Math.min(last, after + 10), after + 1));
    }
  });

  it("keeps the session's row small: long events make a page sooner [SEC-4]", async () => {
    const { rig, add, sequences } = await begun();
    const before = sequences(0, 100).length;
    for (let round = 0; round < 40; round += 1) add(1, minute, "x".repeat(5_000));
    expect(sequences(0, 1_000)).toEqual(upTo(before + 40));
    expect(String(rig.sql.run("SELECT recent FROM session")[0]?.["recent"]).length).toBeLessThan(10_000);
  });

  it("forgets pages past their number and age, and goes on counting", async () => {
    const { rig, add, sequences } = await begun();
    for (let round = 0; round < 60; round += 1) add(1, minute);
    for (let round = 0; round < 60; round += 1) add(1, minute + 8 * day);
    const kept = sequences(0, 10_000);
    expect(kept.length).toBeLessThan(100);
    expect(kept).toEqual(upTo(kept.at(-1) ?? 0, kept[0]));
    for (let round = 0; round < 300; round += 1) add(20, minute + 9 * day);
    expect(sequences(0, 10_000).length).toBeLessThanOrEqual(5_100);
    expect(rig.sql.run("SELECT 1 FROM event_page WHERE first = 1")).toEqual([]);
  });

  it("of older code goes on where it ended, and its rows are read first", async () => {
    const { rig, add, history, sequences } = await begun();
    rig.sql.run(
      `CREATE TABLE event (sequence INTEGER PRIMARY KEY, at INTEGER NOT NULL, type TEXT NOT NULL, actor TEXT NOT NULL,
         cause TEXT NOT NULL, from_status TEXT NOT NULL, to_status TEXT NOT NULL, generation INTEGER, facts TEXT NOT NULL) STRICT`,
    );
    for (const sequence of upTo(9))
      rig.sql.run(
        "INSERT INTO event VALUES (?, 1000, 'created', 'client', 'asked for', 'none', 'running', 7, '{}')",
        sequence,
      );
    rig.sql.run("UPDATE session SET recent = NULL");
    expect(sequences(0, 100)).toEqual(upTo(9));
    for (let round = 0; round < 60; round += 1) add(1, minute);
    expect(sequences(0, 100)).toEqual(upTo(69));
    expect(sequences(8, 3)).toEqual([9, 10, 11]);
    expect(history.events(8, 1)).toMatchObject([{ at: "1970-01-01T00:00:01.000Z", from: "none", generation: 7 }]);
    // In time they go, like every other.
    for (let round = 0; round < 60; round += 1) add(1, minute + 8 * day);
    expect(rig.sql.run("SELECT 1 FROM event")).toEqual([]);
  });
});
