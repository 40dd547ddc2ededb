import { describe, expect, it } from "vitest";
import { SeededRandom } from "../../support/seeded-random.ts";
import { VirtualClock, VirtualTime } from "../../support/virtual-time.ts";

function orderOf(seed: number): Promise<string> {
  const time = new VirtualTime(new SeededRandom(seed));
  const clock = new VirtualClock(time, 0);
  let order = "";
  for (const name of "abcdefgh") void clock.sleep(10).then(() => (order += name));
  return time.runUntilQuiet().then(() => order);
}

describe("virtual time", () => {
  it("fires timers of one instant in an order of the seed: the same each time, another for another seed", async () => {
    const orders = await Promise.all([1, 1, 2, 3].map(orderOf));
    expect(orders[0]).toBe(orders[1]);
    expect(new Set(orders).size).toBeGreaterThan(1);
  });

  it("lets everything run that a timer set in motion before the next one fires", async () => {
    const time = new VirtualTime(new SeededRandom(1));
    const clock = new VirtualClock(time, 0);
    const seen: string[] = [];
    void clock.sleep(1).then(async () => {
      for (let hop = 0; hop < 100; hop += 1) await Promise.resolve();
      seen.push("first");
    });
    void clock.sleep(2).then(() => seen.push("second"));
    await time.runUntilQuiet();
    expect(seen).toEqual(["first", "second"]);
  });

  it("a jump moves what the clock shows and no timer", async () => {
    const time = new VirtualTime(new SeededRandom(1));
    const clock = new VirtualClock(time, 1_000);
    const slept = clock.sleep(500).then(() => time.elapsed);
    clock.jump(3_600_000);
    await time.run(499);
    clock.jump(-7_200_000);
    expect(await time.until(slept)).toBe(500);
    expect(clock.now()).toBe(1_000 + 500 - 3_600_000);
  });

  it("an aborted sleep wakes at once and leaves no timer behind", async () => {
    const time = new VirtualTime(new SeededRandom(1));
    const clock = new VirtualClock(time, 0);
    const giveUp = new AbortController();
    const slept = clock.sleep(1_000, giveUp.signal);
    giveUp.abort();
    await slept;
    expect(time.nextAt()).toBeNull();
    expect(time.elapsed).toBe(0);
  });

  it("says so when what it waits for can never come", async () => {
    const time = new VirtualTime(new SeededRandom(1));
    await expect(time.until(new Promise(() => {}))).rejects.toThrow("no timer is left");
  });
});

describe("seeded randomness", () => {
  it("repeats itself, and its named streams do not disturb each other", () => {
    const draw = (random: SeededRandom) => Array.from({ length: 5 }, () => random.next());
    const one = new SeededRandom(7);
    const other = new SeededRandom(7);
    other.stream("a").next();
    expect(draw(one)).toEqual(draw(other));
    expect(draw(one.stream("a"))).not.toEqual(draw(one.stream("b")));
  });

  it("picks by weight and never what has none", () => {
    const random = new SeededRandom(3);
    const counts = { often: 0, seldom: 0, never: 0 };
    for (let round = 0; round < 1_000; round += 1) {
      counts[
        random.weighted([
          [9, "often"],
          [1, "seldom"],
          [0, "never"],
        ] as const)
      ] += 1;
    }
    expect(counts.never).toBe(0);
    expect(counts.often).toBeGreaterThan(counts.seldom * 4);
  });
});
