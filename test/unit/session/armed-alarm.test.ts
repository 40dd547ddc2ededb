/** The object's one alarm: written when it has to come earlier, or when what stands may not come in time. */
import { describe, expect, it } from "vitest";
import { ArmedAlarm } from "../../../src/session/armed-alarm.ts";

function armed() {
  const world = { now: 0, written: [] as (number | null)[], stored: null as number | null };
  const write = (at: number | null): void => {
    world.stored = at;
    world.written.push(at);
  };
  const alarm = new ArmedAlarm(
    { get: () => Promise.resolve(world.stored), set: write, clear: () => write(null) },
    { now: () => world.now },
  );
  return { world, alarm };
}

describe("the alarm of a session's object", () => {
  it("stays when it comes early enough, and is written when it does not", () => {
    const { world, alarm } = armed();
    for (const at of [20, 30, 20, 10, 15]) alarm.by(at);
    expect(world.written).toEqual([20, 10]);
    alarm.set(40);
    expect(world.stored).toBe(40);
  });

  it("is written anew when its time has passed and it has not come", () => {
    const { world, alarm } = armed();
    alarm.by(10);
    world.now = 11;
    alarm.by(30);
    expect(world.written).toEqual([10, 30]);
  });

  it("is written anew when it is doubted: after a rollback, or when timers stalled while it was set", () => {
    const { world, alarm } = armed();
    alarm.by(10);
    alarm.doubt();
    alarm.by(30);
    expect(world.written).toEqual([10, 30]);
  });

  it("is not known to a new incarnation: its first one is written", () => {
    const { world, alarm } = armed();
    world.stored = 5;
    alarm.by(30);
    expect(world.written).toEqual([30]);
  });
});
