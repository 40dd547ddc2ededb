/** A resume whose files take far longer to unpack than a launch call may take: asked about again and again, and shown. */
import { describe, expect, it } from "vitest";
import type { Fault } from "../../../memory/fault-plan.ts";
import { caller, SessionRig } from "../../../support/session-rig.ts";
import { always, aWhile, pausedWith, ran, savedOf } from "../../../support/suspension.ts";

const second = 1_000;
const minute = 60 * second;
const lasting = { idle_timeout_seconds: null, timeout_seconds: 86_400 } as const;

async function resuming(restoreMs: number, rig = new SessionRig()): Promise<SessionRig> {
  await pausedWith(rig, "precious", lasting);
  rig.rig.world.restores.ms = restoreMs;
  await rig.during(second, rig.commands.resume(caller, null, 0));
  return rig;
}

describe("a restore that takes longer than a launch call", () => {
  it("[BUG-102] is asked about until it is done, launches once, and the view says how far it is", async () => {
    const rig = await resuming(5 * minute);
    const shown: number[] = [];
    for (let passed = 0; passed < 4; passed += 1) {
      await rig.pass(minute);
      const { status, restoring, failure } = await rig.view();
      expect(status).toBe("provisioning");
      expect(failure).toContain("are being restored");
      expect(restoring?.total_bytes).toBeGreaterThan(0);
      shown.push(restoring?.done_bytes ?? -1);
    }
    expect(shown).toEqual(shown.toSorted((a, b) => a - b));
    expect(new Set(shown).size).toBeGreaterThan(2);
    // Nothing that could start anything was sent yet, whatever the bound of a launch call.
    expect(rig.calls("launch")).toBe(1);
    expect(rig.calls("restore")).toBeGreaterThan(10);
    await rig.pass(2 * minute);
    expect(await rig.view()).toMatchObject({ status: "running", restoring: null, failure: null });
    expect(rig.calls("launch")).toBe(2);
    expect(await ran(rig, "cat notes.txt")).toBe("precious\n");
  });

  it("[BUG-102] goes on through an eviction and through questions that get no answer", async () => {
    const rig = await resuming(3 * minute);
    let lost = 0;
    rig.fault = ({ op }): Fault => {
      if (op !== "restore" || lost >= 3) return { type: "none" };
      lost += 1;
      return { type: "hang", deaf: false };
    };
    await rig.pass(30 * second);
    rig.reincarnate();
    await rig.pass(5 * minute);
    expect(lost).toBe(3);
    expect((await rig.view()).status).toBe("running");
    expect(await ran(rig, "cat notes.txt")).toBe("precious\n");
  });

  it("[BUG-102] is given up after a bound of its own, with what is saved kept", async () => {
    const rig = await resuming(30 * 24 * 60 * minute);
    await rig.pass(rig.policy.restoreMs + 5 * minute);
    expect(await rig.view()).toMatchObject({ status: "paused", restoring: null });
    expect(savedOf(rig)).toHaveLength(1);
    expect(rig.calls("launch")).toBe(1);
  });

  it("[BUG-106] ends with its session: a delete waits for nothing, and no launch follows", async () => {
    const rig = await resuming(5 * minute);
    await rig.pass(20 * second);
    await rig.during(minute, rig.commands.delete(caller, "requested"));
    await rig.pass(10 * minute);
    expect(await rig.view()).toMatchObject({ status: "terminated", restoring: null });
    expect(rig.calls("launch")).toBe(1);
    expect(savedOf(rig)).toEqual([]);
  });

  it("[BUG-102] of a snapshot that is not there goes back to paused at once", async () => {
    const rig = new SessionRig();
    await pausedWith(rig, "precious", lasting);
    rig.fault = always("restore", { type: "none" });
    rig.rig.world.snapshots.remove(rig.id, savedOf(rig)[0] ?? "");
    await rig.during(aWhile, rig.commands.resume(caller, null, 0));
    const view = await rig.view();
    expect(view.status).toBe("paused");
    expect(view.failure).toContain("has no snapshot");
  });
});
