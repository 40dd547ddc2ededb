import { describe, expect, it } from "vitest";
import { type AlarmStorage, ObjectAlarm } from "../../../src/storage/object-alarm.ts";

class Platform implements AlarmStorage {
  at: number | null = null;
  written: (number | null)[] = [];
  async getAlarm() {
    return this.at;
  }
  async setAlarm(at: number) {
    this.at = at;
    this.written.push(at);
  }
  async deleteAlarm() {
    this.at = null;
    this.written.push(null);
  }
}

describe("the alarm of an object with several writers", () => {
  it("[BUG-14] is moved earlier by a writer, never later, whatever an earlier life armed", async () => {
    const platform = new Platform();
    platform.at = 500;
    const alarm = new ObjectAlarm(platform, () => 0);
    await alarm.known();
    alarm.by(900);
    expect(platform.at).toBe(500);
    alarm.by(300);
    expect(platform.at).toBe(300);
    await alarm.known();
    alarm.by(400);
    expect(platform.at).toBe(300);
    expect(platform.written).toEqual([300]);
  });

  it("[BUG-14] two writers that ask at the same time leave the earlier one, in whichever order they write", async () => {
    for (const [first, second] of [
      [100, 200],
      [200, 100],
    ] as const) {
      const platform = new Platform();
      const alarm = new ObjectAlarm(platform, () => 0);
      const writer = async (at: number) => {
        await alarm.known();
        alarm.by(at);
      };
      await Promise.all([writer(first), writer(second)]);
      expect(platform.at).toBe(100);
    }
  });

  it("[BUG-14] moves later only at the end of its own handler, which keeps a fallback until then", async () => {
    const platform = new Platform();
    const alarm = new ObjectAlarm(platform, () => 0);
    platform.at = null;
    await alarm.fired(60);
    expect(platform.at).toBe(60);
    alarm.by(80);
    expect(platform.at).toBe(60);
    await alarm.rearm(86_400);
    expect(platform.at).toBe(86_400);
    await alarm.rearm(null);
    expect(platform.at).toBeNull();
    alarm.by(7);
    expect(platform.at).toBe(7);
  });

  it("an alarm that the platform dropped is set again once its time has passed", async () => {
    let now = 0;
    const platform = new Platform();
    const alarm = new ObjectAlarm(platform, () => now);
    await alarm.known();
    alarm.by(50);
    platform.at = null;
    now = 51;
    await alarm.known();
    alarm.by(90);
    expect(platform.at).toBe(90);
  });
});
