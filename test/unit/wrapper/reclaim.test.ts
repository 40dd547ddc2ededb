/** Which workspaces the host removes to make room, when one of them resists. */
import { describe, expect, it } from "vitest";
import { reclaim, type ReclaimDependencies } from "../../../wrapper/host/disk/reclaim.ts";
import type { SandboxRecord } from "../../../wrapper/host/records/records.ts";

const session = (letter: string): string => letter.repeat(20);
const names = ["a", "b", "c"].map((letter) => `${session(letter)}-g1`);
const [first = "", resisting = "", last = ""] = names;
const asking = session("z");

function record(sandboxId: string): SandboxRecord {
  const armed = { generation: 1, instanceId: "i", bootId: "boot", armedAt: 1, jobUid: null, running: null };
  const sessionId = sandboxId.slice(0, 20);
  return { sandboxId, sessionId, armed, container: null, retiredThrough: null, changedAt: 0 };
}

function dependencies(change: Partial<ReclaimDependencies["state"]> = {}): ReclaimDependencies {
  return {
    state: {
      names: () => names,
      untouchedMs: async () => 3_600_000,
      diskUse: async () => 10,
      remove: async () => true,
      ...change,
    },
    records: { get: record, retire: (_sandboxId, generation) => generation },
    residue: { of: async () => [] },
    launcher: { isStarting: () => false },
    queue: { run: (_sandboxId, task) => task() },
  };
}

describe("a reclaim", () => {
  it("[BUG-52] goes on past a workspace whose removal throws, and says why it stays", async () => {
    const remove = async (name: string): Promise<boolean> => {
      if (name === resisting) throw Object.assign(new Error("x"), { code: "EACCES", syscall: "rmdir" });
      return true;
    };
    const { removed, freedBytes, kept } = await reclaim(dependencies({ remove }), asking, () => 0);
    expect(removed).toEqual([first, last]);
    expect(freedBytes).toBe(20);
    expect(kept).toEqual([{ name: resisting, why: "it could not be removed: EACCES in rmdir" }]);
  });

  it("[BUG-52] goes on past a workspace that waits in the queue of removals, and counts nothing as freed for it", async () => {
    const remove = async (name: string): Promise<boolean> => name !== resisting;
    const { removed, freedBytes, kept } = await reclaim(dependencies({ remove }), asking, () => 0);
    expect(removed).toEqual([first, last]);
    expect(freedBytes).toBe(20);
    expect(kept).toEqual([{ name: resisting, why: "its removal failed and is tried again" }]);
  });

  it("[BUG-52] goes on past a workspace whose age cannot be told", async () => {
    const untouchedMs = async (name: string): Promise<number> => {
      if (name === resisting) throw new Error("unreadable");
      return 3_600_000;
    };
    const { removed, kept } = await reclaim(dependencies({ untouchedMs }), asking, () => 0);
    expect(removed).toEqual([first, last]);
    expect(kept).toEqual([{ name: resisting, why: "when it was last touched could not be told" }]);
  });
});
