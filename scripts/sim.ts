/**
 * `npm run sim -- [--seeds N] [--from SEED] [--workers N]` plays N seeded fault schedules and checks the invariants after every step;
 * `npm run sim -- --seed N [--trace]` plays one, and tells what happened in it. The same seed is the same schedule on every
 * machine. `--ignore REGEXP` leaves known violations out, to find others behind them. Exit 0 only when every invariant held in every schedule.
 */
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { addCoverage, coverageTable, type CoverageCounts } from "../test/simulation/coverage.ts";
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
  const { values } = parseArgs({
    options: {
      seeds: { type: "string", default: "200" },
      from: { type: "string", default: "1" },
      seed: { type: "string" },
      workers: { type: "string", default: String(Math.min(8, availableParallelism())) },
      trace: { type: "boolean", default: false },
      ignore: { type: "string" },
    },
  });
  const ignore = values.ignore ?? null;
  if (values.seed !== undefined) return one(wholeNumber("seed", values.seed), values.trace, ignore);
  return many(
    wholeNumber("from", values.from),
    wholeNumber("seeds", values.seeds),
    wholeNumber("workers", values.workers),
    ignore,
  );
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

async function many(from: number, seeds: number, workers: number, ignore: string | null): Promise<number> {
  const beganAt = performance.now();
  const coverage: CoverageCounts = {};
  const failed: Played[] = [];
  const sum = { schedules: 0, sessions: 0, steps: 0 };
  const heard = (played: Played): void => {
    sum.schedules += 1;
    sum.sessions += played.sessions;
    sum.steps += played.steps;
    addCoverage(coverage, played.coverage);
    if (played.violations.length > 0) failed.push(played);
    if (process.stdout.isTTY && sum.schedules % 20 === 0) {
      process.stdout.write(`\r${sum.schedules} of ${seeds}, ${failed.length} failed `);
    }
  };
  const shares = Array.from({ length: Math.min(workers, seeds) }, (_, index) => ({
    first: from + index,
    last: from + seeds - 1,
    step: Math.min(workers, seeds),
    ignore,
  }));
  await Promise.all(shares.map((share) => inWorker(share, heard)));
  const seconds = (performance.now() - beganAt) / 1_000;
  if (process.stdout.isTTY) process.stdout.write("\r");
  console.log(coverageTable(coverage));
  console.log();
  console.log(
    `${sum.schedules} schedules from seed ${from}, ${sum.sessions} sessions, ${sum.steps} steps in ${seconds.toFixed(1)} s:`,
    `${Math.round((sum.schedules / seconds) * 60)} schedules a minute, ${failed.length} failed`,
  );
  failed.sort((a, b) => a.seed - b.seed);
  for (const { seed, violations } of failed) console.log(`  seed ${seed}: ${violations[0]}`);
  for (const { seed } of failed.slice(0, failuresTold)) await tell(seed, ignore);
  return failed.length === 0 ? 0 : 1;
}

function inWorker(share: Share, heard: (played: Played) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(fileURLToPath(import.meta.url), { workerData: share });
    worker.on("message", heard);
    worker.on("error", reject);
    worker.on("exit", (code) => (code === 0 ? resolve() : reject(new Error(`a worker ended with code ${code}`))));
  });
}

/** The end of a failed schedule, around the session that it is about. */
async function tell(seed: number, ignore: string | null): Promise<void> {
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
