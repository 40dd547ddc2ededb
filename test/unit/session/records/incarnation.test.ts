import { describe, expect, it } from "vitest";
import { Crashed, Incarnation, type CrashPoints } from "../../../support/incarnation.ts";
import { nodeSql } from "../../../support/node-sql.ts";
import { SeededRandom } from "../../../support/seeded-random.ts";
import { VirtualClock, VirtualTime } from "../../../support/virtual-time.ts";

const nowhere: CrashPoints = { crashesAt: () => false };

function rig(points: CrashPoints = nowhere) {
  const time = new VirtualTime(new SeededRandom(1));
  const clock = new VirtualClock(time, 0);
  const effects: string[] = [];
  const outside = {
    act: async (what: string) => {
      effects.push(what);
      await clock.sleep(10);
      return what;
    },
  };
  const life = new Incarnation(points, () => {});
  return { time, clock, effects, life, port: life.port("outside", outside), mine: life.clock(clock) };
}

describe("an incarnation that crashes", () => {
  it("hears no more answers, wakes from no sleep and leaves no timer of its own behind", async () => {
    const { time, life, port, mine } = rig();
    const went: string[] = [];
    void port.act("call").then(() => went.push("answer"));
    void mine.sleep(5).then(() => went.push("sleep"));
    await time.settle();
    life.crash("test");
    await time.runUntilQuiet();
    expect(went).toEqual([]);
    expect(time.elapsed).toBe(10);
  });

  it("makes no further call and no further write, whatever catches the error", async () => {
    const { time, life, port, effects } = rig();
    const database = nodeSql();
    database.run("CREATE TABLE t (x INTEGER)");
    const sql = life.sql(database);
    life.crash("test");
    void port.act("late");
    expect(() => sql.run("INSERT INTO t VALUES (1)")).toThrow(Crashed);
    expect(() => sql.transaction(() => 1)).toThrow(Crashed);
    await time.settle();
    expect(effects).toEqual([]);
    expect(database.run("SELECT * FROM t")).toEqual([]);
    database.close();
  });

  it.each(["before", "after"] as const)(
    "crashes %s an effect: the effect is there or not, the outcome never",
    async (point) => {
      const { time, life, port, effects } = rig({ crashesAt: (at, what) => at === point && what === "outside.act" });
      let heard = false;
      void port.act("effect").then(() => (heard = true));
      await time.runUntilQuiet();
      expect(life.alive).toBe(false);
      expect(effects).toEqual(point === "after" ? ["effect"] : []);
      expect(heard).toBe(false);
    },
  );

  it("while alive changes nothing", async () => {
    const { time, port, mine } = rig();
    expect(await time.until(port.act("call"))).toBe("call");
    const giveUp = new AbortController();
    const slept = mine.sleep(1_000, giveUp.signal);
    giveUp.abort();
    await slept;
    expect(time.elapsed).toBe(10);
  });
});
