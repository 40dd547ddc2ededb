/** The bench as a program: a measure that fails, and what the page says of a bar that is missed. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { repository } from "../../../scripts/repository.ts";
import { type Figure, type Measure, met } from "../../bench/figure.ts";
import { reasonOf } from "../../bench/reasons.ts";
import { markdown, type Run, withAgain } from "../../bench/report.ts";
import { runMeasures } from "../../bench/run-measures.ts";

const machine = { cpu: "any", cores: 2, memoryGib: 4, versions: {}, commit: "abc", date: "2026-01-01" };

function figure(id: string, value: number, bar: Figure["bar"]): Figure {
  return { id, what: `what ${id} is`, against: "—", value, unit: "s", bar, details: {} };
}

it("a measure that fails costs its own figures only, and the page has a row that says why", async () => {
  const measures: readonly Measure[] = [
    { name: "first", run: async () => [figure("first.one", 1, { type: "at most", value: 2 })] },
    { name: "second", run: () => Promise.reject(new Error("the engine\nsaid a | b")) },
    { name: "third", run: async () => [figure("third.one", 1, { type: "at most", value: 2 })] },
  ];
  const lines: string[] = [];
  const { figures, failed } = await runMeasures(measures, "small", (line) => lines.push(line));
  expect(figures.map(({ id }) => id)).toEqual(["first.one", "third.one"]);
  expect(failed).toEqual([{ name: "second", why: "the engine\nsaid a | b" }]);
  expect(lines.join("\n")).toContain("the engine");
  const page = markdown({ machine, figures, failed });
  expect(page).toContain("**2 of 2 bars met.** 1 not measured.");
  expect(page).toContain("| ⚫ | the measure `second` failed: the engine said a \\| b | — | not measured | — |");
});

it("measures that were taken again replace their own figures, and the page says at which commit", () => {
  const bar: Figure["bar"] = { type: "at most", value: 2 };
  const run: Run = {
    machine,
    figures: [figure("first.one", 1, bar), figure("second.one", 1, bar)],
    failed: [
      { name: "third", why: "no engine" },
      { name: "fourth", why: "no engine" },
    ],
  };
  const later: Run = {
    machine: { ...machine, commit: "def", date: "2026-02-02" },
    figures: [figure("second.one", 3, bar), figure("third.one", 1, bar)],
    failed: [{ name: "fourth", why: "still none" }],
  };
  const both = withAgain(run, later, ["second", "third", "fourth"]);
  expect(both.figures.map(({ id, value }) => [id, value])).toEqual([
    ["first.one", 1],
    ["second.one", 3],
    ["third.one", 1],
  ]);
  expect(both.failed).toEqual([{ name: "fourth", why: "no engine" }]);
  const page = markdown(both);
  expect(page).toContain("2026-01-01, commit `abc`");
  expect(page).toContain("Measured again: `second`, 2026-02-02, commit `def`.");
  expect(page).toContain("Measured again: `third`, 2026-02-02, commit `def`.");
  expect(page).not.toContain("Measured again: `fourth`");
});

it("the page says of each missed bar by how much, and why as far as that is known", () => {
  const figures = [
    figure("wrapper.memory", 117, { type: "at most", value: 100 }),
    figure("some.speed", 534, { type: "at least", value: 2_500 }),
    figure("some.leak", 254, { type: "at most", value: 0 }),
    figure("some.delay", 7, { type: "at most", value: 2 }),
    figure("some.other", 1, { type: "at most", value: 2 }),
  ];
  const section = markdown({ machine, figures, failed: [] }).split("## What is missed")[1]?.split("##")[0] ?? "";
  expect(section).toContain(`| \`wrapper.memory\` | 117 s | ≤ 100 s | +17 % | ${reasonOf({ id: "wrapper.memory" })} |`);
  expect(section).toContain("| `some.speed` | 534 s | ≥ 2500 s | −79 % | not found yet |");
  expect(section).toContain("| `some.leak` | 254 s | ≤ 0 s | 254 s | not found yet |");
  expect(section).toContain("| `some.delay` | 7 s | ≤ 2 s | 3.5 times | not found yet |");
  expect(section).not.toContain("some.other");
});

it("each bar that the written run missed has its reason", () => {
  const { figures } = JSON.parse(readFileSync(join(repository, "docs/bench.json"), "utf8")) as {
    readonly figures: readonly Figure[];
  };
  const missed = figures.filter((each) => !met(each) && reasonOf(each) === null);
  expect(missed.map(({ id }) => id)).toEqual([]);
});
