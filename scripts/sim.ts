/**
 * `npm run sim -- [--seeds N] [--from SEED] [--workers N]` plays N seeded fault schedules and checks the invariants after every step;
 * `npm run sim -- --seed N [--trace]` plays one, and tells what happened in it. The same seed is the same schedule on every
 * machine. `--json` prints figures and coverage for a program (`--sum FILE…` adds up such outputs and tells them as one run);
 * `--gaps` also fails when a fault never met a phase that it can meet. `--ignore REGEXP` leaves known violations out, to find
 * others behind them. Exit 0 only when every invariant held in every schedule.
 */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs, styleText } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { addCoverage, coverageGaps, coverageTable, type CoverageCounts } from "../test/simulation/coverage.ts";
import { simulate, type SimOptions, type SimResult } from "../test/simulation/simulation.ts";

/** What a worker sends home of one schedule. */
type Played = Omit<SimResult, "trace">;
/** First and last seed of one worker's share, both included, and the distance between two of its seeds. */
interface Share {
  readonly first: number;
  readonly last: number;
  readonly step: number;
  /** A regular expression, or null. */
  readonly ignore: string | null;
}

/** What `--json` prints. */
interface Figures {
  readonly from: number;
  readonly schedules: number;
  readonly sessions: number;
  /** The fewest sessions that any of them had. */
  readonly fewestSessions: number;
  readonly steps: number;
  readonly seconds: number;
  /** Of all workers together. */
  readonly cpuSeconds: number;
  readonly workers: number;
  readonly schedulesPerMinute: number;
  readonly failed: readonly { readonly seed: number; readonly violations: readonly string[] }[];
  readonly coverage: CoverageCounts;
}

const failuresTold = 5;
const traceTold = 60;

if (isMainThread) process.exitCode = await main();
else await play(workerData as Share);

async function play({ first, last, step, ignore }: Share): Promise<void> {
  for (let seed = first; seed <= last; seed += step) {
    const { trace: _trace, ...played } = await simulate(seed, options(false, ignore));
    parentPort?.postMessage(played satisfies Played);
  }
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seeds: { type: "string", default: "200" },
      from: { type: "string", default: "1" },
      seed: { type: "string" },
      workers: { type: "string", default: String(Math.min(8, availableParallelism())) },
      trace: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      gaps: { type: "boolean", default: false },
      sum: { type: "boolean", default: false },
      ignore: { type: "string" },
    },
  });
  const ignore = values.ignore ?? null;
  if (values.seed !== undefined) return one(wholeNumber("seed", values.seed), values.trace, ignore);
  const figures = values.sum
    ? sum(positionals)
    : await many(
        wholeNumber("from", values.from),
        wholeNumber("seeds", values.seeds),
        wholeNumber("workers", values.workers),
        ignore,
      );
  if (values.json) console.log(JSON.stringify(figures));
  else await tell(figures, ignore);
  const { zeros, surprises } = coverageGaps(figures.coverage);
  const gaps = values.gaps && zeros.length + surprises.length > 0;
  return figures.failed.length === 0 && !gaps ? 0 : 1;
}

async function one(seed: number, traced: boolean, ignore: string | null): Promise<number> {
  const result = await simulate(seed, options(true, ignore));
  if (traced) for (const line of result.trace) console.log(line);
  console.log(
    `seed ${seed}: ${result.sessions} sessions, ${result.steps} steps, ${result.violations.length} violations`,
  );
  for (const violation of result.violations) console.log(`  ${violation}`);
  return result.violations.length === 0 ? 0 : 1;
}

async function many(from: number, seeds: number, workers: number, ignore: string | null): Promise<Figures> {
  const beganAt = performance.now();
  const coverage: CoverageCounts = {};
  const failed: Played[] = [];
  const total = { schedules: 0, sessions: 0, fewestSessions: Number.POSITIVE_INFINITY, steps: 0 };
  const heard = (played: Played): void => {
    total.schedules += 1;
    total.sessions += played.sessions;
    total.fewestSessions = Math.min(total.fewestSessions, played.sessions);
    total.steps += played.steps;
    addCoverage(coverage, played.coverage);
    if (played.violations.length > 0) failed.push(played);
    if (process.stderr.isTTY && total.schedules % 20 === 0) {
      process.stderr.write(`\r${total.schedules} of ${seeds}, ${failed.length} failed `);
    }
  };
  const shares = Array.from({ length: Math.min(workers, seeds) }, (_, index) => ({
    first: from + index,
    last: from + seeds - 1,
    step: Math.min(workers, seeds),
    ignore,
  }));
  await Promise.all(shares.map((share) => inWorker(share, heard)));
  if (process.stderr.isTTY) process.stderr.write("\r");
  const seconds = (performance.now() - beganAt) / 1_000;
  const { user, system } = process.cpuUsage();
  return {
    from,
    ...total,
    seconds,
    cpuSeconds: (user + system) / 1_000_000,
    workers: shares.length,
    schedulesPerMinute: (total.schedules / seconds) * 60,
    failed: failed.map(({ seed, violations }) => ({ seed, violations })).toSorted((a, b) => a.seed - b.seed),
    coverage,
  };
}

/** Several runs, one after the other, as one. */
function sum(files: readonly string[]): Figures {
  const runs = files.map((file) => JSON.parse(readFileSync(file, "utf8")) as Figures);
  const add = (of: (run: Figures) => number) => runs.reduce((all, run) => all + of(run), 0);
  const coverage: CoverageCounts = {};
  for (const run of runs) addCoverage(coverage, run.coverage);
  const schedules = add((run) => run.schedules);
  const seconds = add((run) => run.seconds);
  return {
    from: Math.min(...runs.map((run) => run.from)),
    schedules,
    sessions: add((run) => run.sessions),
    fewestSessions: Math.min(...runs.map((run) => run.fewestSessions)),
    steps: add((run) => run.steps),
    seconds,
    cpuSeconds: add((run) => run.cpuSeconds),
    workers: Math.max(...runs.map((run) => run.workers)),
    schedulesPerMinute: (schedules / seconds) * 60,
    failed: runs.flatMap((run) => run.failed),
    coverage,
  };
}

async function tell(figures: Figures, ignore: string | null): Promise<void> {
  const { from, schedules, sessions, fewestSessions, steps, seconds, cpuSeconds, workers, failed } = figures;
  const highlight = (text: string) => (process.stdout.isTTY ? styleText(["red", "bold"], text) : text);
  console.log(coverageTable(figures.coverage, highlight));
  console.log();
  console.log(
    [
      `${schedules} schedules from seed ${from}, ${sessions} sessions (each at least ${fewestSessions}), ${steps} steps`,
      `${seconds.toFixed(1)} s on ${workers} workers, ${((1_000 * cpuSeconds) / schedules).toFixed(0)} ms of CPU each: ${Math.round(figures.schedulesPerMinute)} schedules a minute`,
      `${failed.length} failed`,
    ].join("\n"),
  );
  for (const { seed, violations } of failed) console.log(`  seed ${seed}: ${violations[0]}`);
  for (const { seed } of failed.slice(0, failuresTold)) await tellFailure(seed, ignore);
}

function inWorker(share: Share, heard: (played: Played) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(fileURLToPath(import.meta.url), {
      workerData: share,
      argv: [],
      // Much short-lived data: with a larger nursery most of it is never copied.
      resourceLimits: { maxYoungGenerationSizeMb: 64 },
    });
    worker.on("message", heard);
    worker.on("error", reject);
    worker.on("exit", (code) => (code === 0 ? resolve() : reject(new Error(`a worker ended with code ${code}`))));
  });
}

/** The end of a failed schedule, around the session that it is about. */
async function tellFailure(seed: number, ignore: string | null): Promise<void> {
  const { trace, violations } = await simulate(seed, options(true, ignore));
  const session = /\b[a-z0-9]{20}\b/.exec(violations[0] ?? "")?.[0];
  const about =
    session === undefined
      ? trace
      : trace.filter((line) => line.includes(session.slice(0, 6)) || /VIOLATION|clock |plan /.test(line));
  console.log(`\nseed ${seed}, the last of it (all of it: npm run sim -- --seed ${seed} --trace)`);
  for (const line of about.slice(-traceTold)) console.log(`  ${line.slice(0, 220)}`);
}

function options(traced: boolean, ignore: string | null): SimOptions {
  return ignore === null ? { traced } : { traced, ignore: new RegExp(ignore) };
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} is a whole number from 1 on, not ${text}`);
  return value;
}
