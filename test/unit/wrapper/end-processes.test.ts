/** How processes are ended, over processes that are only played. */
import { describe, expect, it } from "vitest";
import { endProcesses, type Ending } from "../../../wrapper/proc/end-processes.ts";

interface Played {
  readonly pid: number;
  readonly startTime: number;
}

/** `looks`: what each look finds, in order; the last one is found from then on. */
function played(looks: readonly (readonly number[] | null)[], change: Partial<Ending<Played>> = {}) {
  const signals: string[] = [];
  let now = 0;
  let taken = 0;
  const ending: Ending<Played> = {
    // Each reading is a tick, so that no real time decides.
    clock: { now: () => (now += 1) },
    look: async () => {
      const pids = looks[Math.min(taken, looks.length - 1)] ?? null;
      taken += 1;
      return pids === null ? null : pids.map((pid) => ({ pid, startTime: 1 }));
    },
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

  it("does not signal a process whose pid went to another one", async () => {
    const { outcome } = played([[1], []], { signal: () => false });
    expect((await outcome).ended).toEqual([]);
  });
});
