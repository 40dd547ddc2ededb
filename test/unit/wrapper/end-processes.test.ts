/** How processes are ended, over processes that are only played. */
import { describe, expect, it } from "vitest";
import { endProcesses, type Ending } from "../../../wrapper/proc/end-processes.ts";

interface Played {
  readonly pid: number;
  readonly startTime: number;
  readonly parent: number;
}

/** What is asked to end is asked at this tick. */
const askedAtTick = 50;

/** `looks`: what each look finds, in order; the last one is found from then on. A pid alone began at tick 1 and has no parent among them. */
function played(looks: readonly (readonly (number | Played)[] | null)[], change: Partial<Ending<Played>> = {}) {
  const signals: string[] = [];
  let now = 0;
  let taken = 0;
  const ending: Ending<Played> = {
    // Each reading is a tick, so that no real time decides.
    clock: { now: () => (now += 1) },
    look: async () => {
      const seen = looks[Math.min(taken, looks.length - 1)] ?? null;
      taken += 1;
      return seen?.map((one) => (typeof one === "number" ? { pid: one, startTime: 1, parent: 0 } : one)) ?? null;
    },
    ticks: () => askedAtTick,
    signal: ({ pid }, signal) => {
      signals.push(`${signal} ${pid}`);
      return true;
    },
    terminates: (left) => left,
    freezes: () => false,
    killAt: () => 1_000,
    killForMs: 5,
    ...change,
  };
  return { signals, outcome: endProcesses(ending) };
}

const pids = (processes: readonly Played[]): readonly number[] => processes.map(({ pid }) => pid);

describe("ending processes", () => {
  it("asks each once, also one that appears during the grace, and kills none that goes by itself [PHY-6]", async () => {
    const { signals, outcome } = played([[1, 2], [1, 2, 3], [3], []]);
    const { found, ended, remaining } = await outcome;
    expect(signals).toEqual(["SIGTERM 1", "SIGTERM 2", "SIGTERM 3"]);
    expect([pids(found), pids(ended), pids(remaining)]).toEqual([[1, 2], [1, 2, 3], []]);
  });

  it("leaves alone what a process starts after it was asked, and what that starts: it is cleaning up [PHY-6]", async () => {
    const tar = { pid: 2, startTime: askedAtTick, parent: 1 };
    const gzip = { pid: 3, startTime: askedAtTick + 1, parent: 2 };
    const { signals, outcome } = played([[1], [1, tar], [1, tar, gzip], []]);
    await outcome;
    expect(signals).toEqual(["SIGTERM 1"]);
  });

  it("asks what was forked before its parent was asked, and what outlives a parent that cleaned up", async () => {
    const early = { pid: 2, startTime: askedAtTick - 1, parent: 1 };
    const left = { pid: 3, startTime: askedAtTick + 1, parent: 1 };
    const { signals, outcome } = played([[1], [1, early, left], [{ ...left, parent: 900 }], []]);
    await outcome;
    expect(signals).toEqual(["SIGTERM 1", "SIGTERM 2", "SIGTERM 3"]);
  });

  it("kills what still cleans up when the grace is over", async () => {
    const tar = { pid: 2, startTime: askedAtTick, parent: 1 };
    let now = 0;
    const { signals, outcome } = played([[1], [1, tar], [1, tar], []], {
      clock: { now: () => (now += 1) },
      killAt: () => 5,
    });
    await outcome;
    expect(signals.filter((signal) => signal.startsWith("SIGTERM"))).toEqual(["SIGTERM 1"]);
    expect(signals).toContain("SIGKILL 2");
  });

  it("leaves asking to the processes that are left, as long as the caller says so", async () => {
    const terminates = (left: readonly Played[]) => (left.some(({ pid }) => pid === 1) ? left.slice(0, 1) : left);
    const { signals, outcome } = played([[1, 2], [2], []], { terminates });
    await outcome;
    expect(signals).toEqual(["SIGTERM 1", "SIGTERM 2"]);
  });

  it("freezes before it kills, and kills what forked in between [PHY-6]", async () => {
    const { signals, outcome } = played([[1], [1, 2], []], { killAt: () => 0, freezes: () => true });
    await outcome;
    expect(signals).toEqual(["SIGSTOP 1", "SIGKILL 1", "SIGKILL 2"]);
  });

  it("says what remains when its time for killing is over", async () => {
    const { outcome } = played([[1, 2], [2]], { killAt: () => 0 });
    const { ended, remaining } = await outcome;
    expect([pids(ended), pids(remaining)]).toEqual([[1], [2]]);
  });

  it("does not take a look that failed for an end", async () => {
    const { signals, outcome } = played([null, null, [1], []], {
      killAt: () => 0,
      killForMs: Number.POSITIVE_INFINITY,
    });
    const { ended } = await outcome;
    expect(signals).toEqual(["SIGKILL 1"]);
    expect(pids(ended)).toEqual([1]);
  });

  it("asks again what could not be signalled, and takes nothing that it starts for a clean-up", async () => {
    const child = { pid: 2, startTime: askedAtTick + 1, parent: 1 };
    const tried: string[] = [];
    const { outcome } = played([[1], [1, child], []], {
      signal: ({ pid }, signal) => {
        tried.push(`${signal} ${pid}`);
        // Its pid cannot be read the first time.
        return tried.length > 1;
      },
    });
    await outcome;
    expect(tried).toEqual(["SIGTERM 1", "SIGTERM 1", "SIGTERM 2"]);
  });

  it("does not signal a process whose pid went to another one", async () => {
    const { outcome } = played([[1], []], { signal: () => false });
    expect((await outcome).ended).toEqual([]);
  });
});
