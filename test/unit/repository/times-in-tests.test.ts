/**
 * A test that bounds a measured time by a number fails on a busy machine, and says nothing on a fast one. Tests compare orders, counts
 * and ratios instead, or wait for what must come. Lower bounds are allowed: nothing comes early because a machine is slow.
 *
 * The bound of such a wait only ends a test that has failed anyway, so it costs nothing to be generous: a minute at least.
 */
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { repository } from "../../../scripts/repository.ts";

/** Time that has passed. What is left until an instant is none: on a slow machine there is less of it. */
const passed = /\b(?:performance|Date)\.now\(\)\s*-|\bhrtime\b|\b(?:cpuUsage|threadCpuUsage)\(\w/;
const upperBound = /expect\(((?:[^()]|\([^()]*\))*)\)\s*\.toBeLessThan(?:OrEqual)?\(((?:[^()]|\([^()]*\))*)\)/g;

/** Upper bounds of a measured time by something that was not measured. */
function absoluteTimes(text: string): readonly string[] {
  const measured = new Set(
    Array.from(text.matchAll(/\b(?:const|let) (\w+) = ([^;]*);/g), ([, name = "", value = ""]) =>
      passed.test(value) ? name : "",
    ).filter((name) => name !== ""),
  );
  const isMeasured = (words: string) =>
    passed.test(words) || Array.from(words.matchAll(/\w+/g)).some(([word]) => measured.has(word));
  return Array.from(text.matchAll(upperBound))
    .filter(([, given = "", bound = ""]) => isMeasured(given) && !isMeasured(bound))
    .map(([whole]) => whole);
}

const leastPatienceMs = 60_000;
/** The bound of `until` and of a test or a poll. Anything below a second is no bound of a wait. */
const bounds = [
  /(?<!"networkidle", )\{ timeout: (\d[\d_]*)(?:, interval: \d+)? \}/g,
  /(?<![.\w])until\([^;]*?,\s+(\d[\d_]*),?\s*\)(?=[;,)\s])/g,
];

/** What a wait gives up after, where a busy machine may need longer. */
function impatience(text: string): readonly string[] {
  return bounds
    .flatMap((bound) => Array.from(text.matchAll(bound)))
    .filter(([, digits = ""]) => {
      const ms = Number(digits.replaceAll("_", ""));
      return ms >= 1_000 && ms < leastPatienceMs;
    })
    .map(([whole]) => whole);
}

describe("the times in tests", () => {
  it.each(globSync("test/**/*.test.ts", { cwd: repository }).filter((file) => !file.includes("times-in-tests")))(
    "[SIM-10] bound nothing that was measured: %s",
    (file) => expect(absoluteTimes(readFileSync(join(repository, file), "utf8"))).toEqual([]),
  );

  it.each(globSync("test/{e2e,browser,workers,http}/**/*.ts", { cwd: repository }))(
    "[SIM-10] end no wait that a busy machine needs: %s",
    (file) => expect(impatience(readFileSync(join(repository, file), "utf8"))).toEqual([]),
  );

  it("are seen where a wait ends too soon", () => {
    expect(impatience('await until("it runs", async () => (await view()).runs, 30_000);')).toHaveLength(1);
    expect(impatience('until(\n  "it runs",\n  () => runs,\n  5_000,\n);')).toHaveLength(1);
    expect(impatience("await expect.poll(look, { timeout: 20_000, interval: 50 }).toBe(1);")).toHaveLength(1);
    expect(impatience('it("works", { timeout: 30_000 }, () => {});')).toHaveLength(1);
    // Long enough, and what is no bound of a wait.
    expect(impatience('until("it runs", () => runs, 90_000);')).toEqual([]);
    expect(impatience('until("all of it", async () => (await job()).bytes === 5_000_000);')).toEqual([]);
    expect(impatience('runCommand("sleep 60", { timeout: 300 });')).toEqual([]);
  });

  it("are seen where they are", () => {
    expect(absoluteTimes("const took = performance.now() - began;\nexpect(took).toBeLessThan(500);")).toHaveLength(1);
    expect(absoluteTimes("expect(performance.now() - began).toBeLessThanOrEqual(patience);")).toHaveLength(1);
    expect(absoluteTimes("expect(process.cpuUsage(began).user / 1_000).toBeLessThan(1_000);")).toHaveLength(1);
    // A lower bound, one measured time against another, and what is no time.
    expect(absoluteTimes("expect(performance.now() - began).toBeGreaterThan(500);")).toEqual([]);
    expect(absoluteTimes("expect(alarm - Date.now()).toBeLessThanOrEqual(ttl);")).toEqual([]);
    expect(absoluteTimes("expect(idle).toBeLessThanOrEqual(performance.now() - began);")).toEqual([]);
    expect(absoluteTimes("expect(all.length).toBeLessThan(500);")).toEqual([]);
  });
});
