import { describe, expect, it } from "vitest";
import { SessionRig } from "../../../support/session-rig.ts";

/** No alarm at all counts as one that never comes. */
const armedFor = (rig: SessionRig): number => rig.alarm ?? Number.POSITIVE_INFINITY;

describe("a write beside the machine [I5]", () => {
  it("is armed for before anybody hears of it, by what it leaves to be done", async () => {
    const rig = new SessionRig();
    await rig.running();
    await rig.pass(5_000);
    const { state, engine } = rig.commands;
    const soon = rig.rig.clock.now() + 1_000;
    // Nothing waits: the alarm is for the next renewal.
    expect(armedFor(rig)).toBeGreaterThan(soon);
    const heard: number[] = [];
    state.onChange(() => heard.push(armedFor(rig)));
    state.writeWithAlarm(() => {
      // What the write leaves waiting, as a job that was handed over does.
      engine.dueAt = () => soon;
    });
    expect(heard[0]).toBeLessThanOrEqual(soon);
  });
});
