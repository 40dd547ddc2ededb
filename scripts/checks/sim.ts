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
import { styleText } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import "../../test/support/cloudflare/node-workers-module.ts";
import { readCommandLine } from "../command-line.ts";
import {
  addCalls,
  addCoverage,
  coverageGaps,
  coverageTable,
  operationGaps,
  operationTable,
  type CallCounts,
  type CoverageCounts,
} from "../../test/simulation/coverage.ts";
import { addLeaks, type Leaks, noLeaks } from "../../test/simulation/checks/leak-watch.ts";
import type { SimOptions, SimResult } from "../../test/simulation/simulation.ts";

// Not before the platform's module has its stand-in.
const { simulate } = await import("../../test/simulation/simulation.ts");

const usage =
  "Usage: npm run sim -- [--seeds N] [--from N] [--seed N] [--workers N] [--trace] [--json] [--gaps] [--sum] [--ignore REGEX] [--until-failure]";

/** What a worker sends home of one schedule. */
type Played = Omit<SimResult, "trace">;
type News = { readonly type: "begun"; readonly seed: number } | { readonly type: "played"; readonly played: Played };
/**
 * A schedule that loops without end never looks at a clock: only another thread can end it. It counts as failed. Far above the bound
 * that a schedule keeps by itself (simulation.ts).
 */
const hungMs = 900_000;
/** First and last seed of one worker's share, both included, and the distance between two of its seeds. */
interface Share {
  readonly first: number;
  readonly last: number;
  readonly step: number;
  /** A regular expression, or null. */
  readonly ignore: string | null;
  /** Ends with the first schedule that fails. */
  readonly untilFailure: boolean;
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
  readonly calls: CallCounts;
  readonly leaks: Leaks;
}

const failuresTold = 5;
const traceTold = 60;

if (isMainThread) process.exitCode = await main();
else await play(workerData as Share);

async function play({ first, last, step, ignore, untilFailure }: Share): Promise<void> {
  for (let seed = first; seed <= last; seed += step) {
    parentPort?.postMessage({ type: "begun", seed } satisfies News);
    const { trace: _trace, ...played } = await simulate(seed, options(false, ignore));
    parentPort?.postMessage({ type: "played", played } satisfies News);
    if (untilFailure && played.violations.length > 0) return;
  }
}

async function main(): Promise<number> {
  const { values, positionals } = readCommandLine(usage, {
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
      "until-failure": { type: "boolean", default: false },
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
        { ignore, untilFailure: values["until-failure"] },
      );
  if (values.json) console.log(JSON.stringify(figures));
  else await tell(figures, ignore);
  const { zeros, surprises } = coverageGaps(figures.coverage);
  const byOperation = operationGaps(figures.calls).zeros;
  const gaps = values.gaps && zeros.length + surprises.length + byOperation.length > 0;
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

async function many(
  from: number,
  seeds: number,
  workers: number,
  { ignore, untilFailure }: Pick<Share, "ignore" | "untilFailure">,
): Promise<Figures> {
  const beganAt = performance.now();
  const coverage: CoverageCounts = {};
  const calls = { calls: {}, hits: {} };
  const failed: Played[] = [];
  let leaks = noLeaks;
  const total = { schedules: 0, sessions: 0, fewestSessions: Number.POSITIVE_INFINITY, steps: 0 };
  const heard = (played: Played): void => {
    total.schedules += 1;
    total.sessions += played.sessions;
    total.fewestSessions = Math.min(total.fewestSessions, played.sessions);
    total.steps += played.steps;
    addCoverage(coverage, played.coverage);
    addCalls(calls, played.calls);
    leaks = addLeaks(leaks, played.leaks);
    if (played.violations.length > 0) {
      failed.push(played);
      process.stderr.write(`seed ${played.seed}: ${String(played.violations[0])}\n`);
    }
    if (process.stderr.isTTY && total.schedules % 20 === 0) {
      process.stderr.write(`\r${total.schedules} of ${seeds}, ${failed.length} failed `);
    }
  };
  const shares = Array.from({ length: Math.min(workers, seeds) }, (_, index) => ({
    first: from + index,
    last: from + seeds - 1,
    step: Math.min(workers, seeds),
    ignore,
    untilFailure,
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
    ...{ coverage, calls, leaks },
  };
}

/** Several runs, one after the other, as one. */
function sum(files: readonly string[]): Figures {
  const runs = files.map((file) => JSON.parse(readFileSync(file, "utf8")) as Figures);
  const add = (of: (run: Figures) => number) => runs.reduce((all, run) => all + of(run), 0);
  const coverage: CoverageCounts = {};
  const calls = { calls: {}, hits: {} };
  for (const run of runs) {
    addCoverage(coverage, run.coverage);
    addCalls(calls, run.calls);
  }
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
    ...{ coverage, calls, leaks: runs.map((run) => run.leaks).reduce(addLeaks, noLeaks) },
  };
}

async function tell(figures: Figures, ignore: string | null): Promise<void> {
  const { from, schedules, sessions, fewestSessions, steps, seconds, cpuSeconds, workers, failed } = figures;
  const highlight = (text: string) => (process.stdout.isTTY ? styleText(["red", "bold"], text) : text);
  console.log(coverageTable(figures.coverage, highlight));
  console.log(`\n${operationTable(figures.calls)}`);
  console.log();
  console.log(
    [
      `${schedules} schedules from seed ${from}, ${sessions} sessions (each at least ${fewestSessions}), ${steps} steps`,
      `${seconds.toFixed(1)} s on ${workers} workers, ${((1_000 * cpuSeconds) / schedules).toFixed(0)} ms of CPU each: ${Math.round(figures.schedulesPerMinute)} schedules a minute`,
      leakLine(figures),
      `${failed.length} failed`,
    ].join("\n"),
  );
  for (const { seed, violations } of failed) console.log(`  seed ${seed}: ${violations[0]}`);
  for (const { seed } of failed.slice(0, failuresTold)) await tellFailure(seed, ignore);
}

/** docs/benchmarks.md says what it counts. */
function leakLine({ leaks, sessions }: Figures): string {
  const of10_000 = (ms: number) => ((ms / 1_000 / sessions) * 10_000).toFixed(0);
  return `${of10_000(leaks.runningMs)} sandbox-seconds past the limit for 10,000 sessions (${leaks.sandboxes} sandboxes, the longest ${(leaks.longestMs / 1_000).toFixed(0)} s), and ${of10_000(leaks.frozenMs)} frozen`;
}

/** Plays a share to its end, in as many workers as it takes: one that hangs is ended, and the next goes on after its seed. */
async function inWorker(share: Share, heard: (played: Played) => void): Promise<void> {
  for (let first: number | null = share.first; first !== null && first <= share.last;) {
    const hung: number | null = await oneWorker({ ...share, first }, heard);
    if (hung !== null) heard(hangs(hung));
    first = hung === null || share.untilFailure ? null : hung + share.step;
  }
}

/** null: it came to its end; else the seed that it hung in. */
function oneWorker(share: Share, heard: (played: Played) => void): Promise<number | null> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(fileURLToPath(import.meta.url), {
      workerData: share,
      argv: [],
      // Much short-lived data: with a larger nursery most of it is never copied.
      resourceLimits: { maxYoungGenerationSizeMb: 64 },
    });
    let begun: number | null = null;
    let over = false;
    const end = (act: () => void) => {
      over = true;
      clearTimeout(guard);
      act();
    };
    const guard = setTimeout(() => {
      if (over) return;
      end(() => void worker.terminate().then(() => resolve(begun ?? share.first)));
    }, hungMs);
    worker.on("message", (news: News) => {
      guard.refresh();
      if (news.type === "begun") begun = news.seed;
      else heard(news.played);
    });
    worker.on("error", (error) => end(() => reject(error instanceof Error ? error : new Error(String(error)))));
    worker.on("exit", (code) => {
      if (!over) end(() => (code === 0 ? resolve(null) : reject(new Error(`a worker ended with code ${code}`))));
    });
  });
}

function hangs(seed: number): Played {
  const violations = [`SIM-9: the schedule did not end within ${hungMs} ms`];
  return { seed, violations, steps: 0, sessions: 0, coverage: {}, calls: { calls: {}, hits: {} }, leaks: noLeaks };
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
