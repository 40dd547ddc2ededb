/**
 * `npm run bench [-- --only NAME]… [--update] [--million] [--dry] [--small]`: measures speed and cost, prints one table and writes
 * docs/bench.json and docs/bench.md. Every figure is a ratio or a count of one run. With `--dry`, or `--small` (smaller files and fewer
 * streams, to see that a measure works), nothing is written, nor with `--only`, unless `--update` puts what was measured in the place of
 * those measures and says so on the page. `--million` lists a million sessions too, which takes some ten minutes more. Exit 0 when all was
 * measured, also where a bar is missed: the row is red, and stays so until somebody mends it. Exit 1 when a measure failed: the page has a row that
 * says so, and the figures of all others.
 */
import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { styleText } from "node:util";
import { type Measure, met } from "../../test/bench/figure.ts";
import { create } from "../../test/bench/measures/create.ts";
import { creates } from "../../test/bench/measures/crowd.ts";
import { firstCommand } from "../../test/bench/measures/first-command.ts";
import { firstCommandContainers } from "../../test/bench/measures/first-command-containers.ts";
import { fleetHour } from "../../test/bench/measures/fleet-hour.ts";
import { gone, reclaim } from "../../test/bench/measures/gone.ts";
import { list, listMillion } from "../../test/bench/measures/list.ts";
import { localLife, output } from "../../test/bench/measures/local.ts";
import { calls, life } from "../../test/bench/measures/objects.ts";
import { read } from "../../test/bench/measures/read.ts";
import { simulation } from "../../test/bench/measures/simulation.ts";
import { traffic } from "../../test/bench/measures/traffic.ts";
import { wrapper } from "../../test/bench/measures/wrapper.ts";
import { reasonOf } from "../../test/bench/reasons.ts";
import { type Machine, markdown, type Run, terminalTable, withAgain } from "../../test/bench/report.ts";
import { runMeasures } from "../../test/bench/run-measures.ts";
import { readCommandLine } from "../command-line.ts";
import { repository, toolEnvironment } from "../repository.ts";

const measuresWith = (listed: Measure): readonly Measure[] => [
  ...[
    read,
    create,
    creates,
    localLife,
    firstCommand,
    firstCommandContainers,
    calls,
    life,
    listed,
    output,
    traffic,
    wrapper,
    gone,
    reclaim,
    fleetHour,
    simulation,
  ],
];

const usage = "Usage: npm run bench -- [--only NAME]... [--update] [--million] [--dry] [--small]";
const { values } = readCommandLine(usage, {
  options: {
    only: { type: "string", multiple: true, default: [] },
    update: { type: "boolean", default: false },
    million: { type: "boolean", default: false },
    dry: { type: "boolean", default: false },
    small: { type: "boolean", default: false },
  },
});
const measures = measuresWith(values.million ? listMillion : list);
const unknown = values.only.filter((name) => !measures.some((measure) => measure.name === name));
if (unknown.length > 0) {
  console.error(
    `No measure is called ${unknown.join(", ")}. There are: ${measures.map(({ name }) => name).join(", ")}.`,
  );
  process.exitCode = 2;
} else {
  process.exitCode = await main(measures.filter(({ name }) => values.only.length === 0 || values.only.includes(name)));
}

async function main(chosen: readonly Measure[]): Promise<number> {
  // The local host starts what is in dist/.
  execFileSync("node", [join(repository, "scripts/builds/build-wrapper.ts")], {
    cwd: repository,
    env: toolEnvironment({}),
  });
  const size = values.small ? "small" : "full";
  const { figures, failed } = await runMeasures(chosen, size, (line) => console.log(line));
  console.log(`\n${terminalTable(figures)}`);
  console.log(`${figures.filter(met).length} of ${figures.length} bars met.`);
  if (failed.length > 0)
    console.log(styleText("red", `Could not be measured: ${failed.map(({ name }) => name).join(", ")}.`));
  const unexplained = figures.filter((figure) => !met(figure) && reasonOf(figure) === null);
  if (unexplained.length > 0)
    console.log(`Missed without a reason in test/bench/reasons.ts: ${unexplained.map(({ id }) => id).join(", ")}.`);
  if (!values.dry && !values.small && (values.only.length === 0 || values.update)) {
    const taken: Run = { machine: machine(), figures, failed };
    const kept = join(repository, "docs/bench.json");
    const names = chosen.map(({ name }) => name);
    const run =
      values.only.length === 0 ? taken : withAgain(JSON.parse(readFileSync(kept, "utf8")) as Run, taken, names);
    writeFileSync(kept, `${JSON.stringify(run, null, 2)}\n`);
    writeFileSync(join(repository, "docs/bench.md"), markdown(run));
    console.log("Written: docs/bench.json, docs/bench.md");
  }
  return failed.length === 0 ? 0 : 1;
}

function machine(): Machine {
  const require = createRequire(import.meta.url);
  const wranglers = createRequire(require.resolve("wrangler"));
  const version = (from: NodeJS.Require, name: string): string =>
    (from(`${name}/package.json`) as { version: string }).version;
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    versions: {
      node: process.versions.node,
      workerd: version(wranglers, "workerd"),
      wrangler: version(require, "wrangler"),
    },
    commit: execFileSync("git", ["rev-parse", "--short", "HEAD"], { cwd: repository, encoding: "utf8" }).trim(),
    date: new Date().toISOString().slice(0, 10),
  };
}
