import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Freezer } from "../../../wrapper/agent/freezer.ts";
import { holdClaimed } from "../../../wrapper/proc/claimed-processes.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function sandbox() {
  const world = { held: false, draining: false, still: false, fails: false, tries: 0 };
  const jobs = {
    get draining(): boolean {
      return world.draining;
    },
    set draining(draining: boolean) {
      world.draining = draining;
    },
    hold: async (held: boolean): Promise<boolean> => {
      world.tries += 1;
      if (world.fails) return false;
      world.held = held;
      return true;
    },
  };
  const traffic = { standStill: () => void (world.still = true), goOn: () => void (world.still = false) };
  const freezer = new Freezer({ jobs, services: { hold: async () => true }, traffic, mayAct: () => true });
  return { world, freezer };
}

describe("what stands still for a snapshot", () => {
  it("goes on by that snapshot's thaw, and not by the late one of an earlier snapshot [TRA-15]", async () => {
    const { world, freezer } = sandbox();
    expect(await freezer.freeze("a", 60_000)).toBe("still");
    await freezer.drain();
    freezer.admit();
    expect(await freezer.freeze("b", 60_000)).toBe("still");
    await freezer.thaw("a");
    expect(world).toMatchObject({ held: true, draining: true, still: true });
    await freezer.thaw("b");
    expect(world).toMatchObject({ held: false, draining: false, still: false });
  });

  it("goes on before a drain, which a late thaw does not undo, and no freeze is taken meanwhile [TRA-15]", async () => {
    const { world, freezer } = sandbox();
    await freezer.freeze("a", 60_000);
    expect(await freezer.drain()).toBe(true);
    expect(world).toMatchObject({ held: false, draining: true });
    await freezer.thaw("a");
    expect(await freezer.freeze("b", 60_000)).toBe("draining");
    expect(world).toMatchObject({ held: false, draining: true });
    freezer.admit();
    expect(await freezer.freeze("b", 60_000)).toBe("still");
  });

  it("goes on by itself, and by the thaw of a controller that names no snapshot [TRA-15]", async () => {
    const { world, freezer } = sandbox();
    await freezer.freeze("a", 60_000);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(world.held).toBe(false);
    await freezer.freeze("a", 60_000);
    await freezer.thaw(null);
    expect([world.held, freezer.holds]).toEqual([false, false]);
  });

  it("is not called still when a process may still run: all goes on instead [TRA-15]", async () => {
    const { world, freezer } = sandbox();
    world.fails = true;
    expect(await freezer.freeze("a", 60_000)).toBe("moving");
    expect(world).toMatchObject({ draining: false, still: false });
  });

  it("is let go on again and again until all of it does [TRA-15]", async () => {
    const { world, freezer } = sandbox();
    await freezer.freeze("a", 60_000);
    world.fails = true;
    expect(await freezer.thaw("a")).toBe(false);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(world).toMatchObject({ held: true, tries: 5 });
    world.fails = false;
    await vi.advanceTimersByTimeAsync(1_000);
    expect([world.held, freezer.holds]).toEqual([false, false]);
  });
});

describe("the processes of a claim", () => {
  const claim = () => ({ entries: [], leaders: [], except: [], user: null });

  it("are not said to stand still when every look failed; none to stop is a success [TRA-15]", async () => {
    expect(await holdClaimed({ look: async () => null, claim }, "SIGSTOP")).toBe(false);
    expect(await holdClaimed({ look: async () => null, claim }, "SIGCONT")).toBe(false);
    const none = { table: [], environment: () => [], user: () => null };
    expect(await holdClaimed({ look: async () => none, claim }, "SIGSTOP")).toBe(true);
  });
});
