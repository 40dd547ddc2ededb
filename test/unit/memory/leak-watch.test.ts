/** What counts as alive past its limit: by hand-made processes, so that each second of the sum can be told beforehand. */
import { expect, it } from "vitest";
import { LeakWatch, noLeaks, type StoredIntent } from "../../simulation/checks/leak-watch.ts";
import type { SeenLease, SeenSession } from "../../simulation/oracle/model.ts";
import type { JournalEntry, Process } from "../../memory/journal.ts";
import { generation, sessionId } from "../../support/reports.ts";

const second = 1_000;
const timers = { leaseTtlMs: 300 * second, stopGraceMs: 10 * second };
const id = sessionId("leaks");
type Mutable = { -readonly [Key in keyof Process]: Process[Key] };

/** A sandbox that starts at 0; `end_at` is far. */
function rig(how: { readonly onTimeout?: "kill" | "pause"; readonly endAt?: number } = {}) {
  const { onTimeout = "kill", endAt = 10_000 * second } = how;
  const alive: Mutable[] = [];
  const entries: JournalEntry[] = [];
  let now = 0;
  let phase: SeenLease["phase"] | "none" = "held";
  const session = { endAt, lifecycle: { onTimeout }, desired: { type: "running" } } as unknown as SeenSession;
  const intent: StoredIntent = {
    ...{ session, damage: null },
    lease: () => (phase === "none" ? null : ({ phase } as unknown as SeenLease)),
  };
  const journal = { since: (from: number) => entries.slice(from), length: 0 };
  const world = { processes: () => alive.filter(({ diedAt }) => diedAt === null), journal };
  const watch = new LeakWatch(world, {
    ...{ timers, worldNow: () => now, now: () => now },
    intents: new Map([[id, intent]]),
  });
  let writes = 0;
  const born = (kind: Process["kind"]): Mutable => {
    const process: Mutable = {
      ...{ kind, sessionId: id, sandboxId: null, instanceId: "i" as never, generation: generation(1) },
      ...{ host: "h", boot: "b", pid: alive.length + 2, startTime: alive.length, bornAt: now, diedAt: null },
      ...{ frozen: false, thawedAt: null },
    };
    alive.push(process);
    return process;
  };
  const processes = [born("guardian"), born("wrapper")];
  watch.look(writes);
  return {
    watch,
    processes,
    born,
    renewed: () => {
      entries.push({ type: "renewed", at: now, instanceId: "i" } as unknown as JournalEntry);
      journal.length = entries.length;
    },
    stopping: () => {
      phase = "stopping";
      writes += 1;
    },
    /** Everything dies at that second, and is looked at at `lookedAt`. */
    diesAt: (at: number, lookedAt = at, which: readonly Mutable[] = alive) => {
      for (const process of which) process.diedAt ??= at * second;
      now = lookedAt * second;
      watch.look(writes);
    },
    at: (seconds: number, act = () => {}) => {
      now = seconds * second;
      act();
      watch.look(writes);
    },
  };
}

it("within TTL and grace of its last renewal nothing is a leak; each second past it is one", () => {
  const inTime = rig();
  inTime.at(200, inTime.renewed);
  inTime.diesAt(510, 900);
  expect(inTime.watch.leaks).toEqual(noLeaks);
  const late = rig();
  late.at(200, late.renewed);
  late.at(400);
  late.diesAt(517, 900);
  expect(late.watch.leaks).toEqual({ runningMs: 7 * second, frozenMs: 0, sandboxes: 1, longestMs: 7 * second });
});

it("what still lives counts up to the last look", () => {
  const { at, watch } = rig();
  at(400);
  expect(watch.leaks).toEqual({ runningMs: 90 * second, frozenMs: 0, sandboxes: 1, longestMs: 90 * second });
});

it("a sandbox that is renewed after its session stopped wanting it leaks as well", () => {
  const { at, renewed, stopping, diesAt, watch } = rig();
  at(100, stopping);
  for (const seconds of [150, 200, 250, 300, 350, 400]) at(seconds, renewed);
  diesAt(415);
  expect(watch.leaks.runningMs).toBe(5 * second);
});

it("so does one that is renewed past an end at which it is killed, and not one that is then paused", () => {
  const leaked = (onTimeout: "kill" | "pause") => {
    const { at, renewed, diesAt, watch } = rig({ onTimeout, endAt: 100 * second });
    for (const seconds of [90, 150, 250, 400]) at(seconds, renewed);
    diesAt(430);
    return watch.leaks.runningMs;
  };
  expect(leaked("kill")).toBe(20 * second);
  expect(leaked("pause")).toBe(0);
});

it("time with everything frozen stands apart, up to the thaw between two looks", () => {
  const { at, diesAt, processes, watch } = rig();
  at(300, () => processes.forEach((process) => (process.frozen = true)));
  at(350);
  for (const process of processes) Object.assign(process, { frozen: false, thawedAt: 380 * second });
  diesAt(383, 500);
  expect(watch.leaks).toEqual({
    ...{ runningMs: 3 * second, frozenMs: 70 * second, sandboxes: 1, longestMs: 3 * second },
  });
});

it("one frozen process beside one that runs is a sandbox that runs", () => {
  const { at, processes, watch } = rig();
  at(300, () => Object.assign(processes[1] ?? {}, { frozen: true }));
  at(330);
  expect(watch.leaks).toMatchObject({ runningMs: 20 * second, frozenMs: 0 });
});

it("a second instance under the same id has a limit of its own", () => {
  const { at, born, diesAt, processes, watch } = rig();
  let twin: readonly Mutable[] = [];
  at(200, () => (twin = [born("guardian"), born("wrapper")]));
  diesAt(305, 305, processes);
  diesAt(512, 600, twin);
  expect(watch.leaks).toEqual({ runningMs: 2 * second, frozenMs: 0, sandboxes: 1, longestMs: 2 * second });
});
