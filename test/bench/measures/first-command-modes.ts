/** The three ways in which sandboxes are asked for: one after the other, 200 ms apart, all at once; each beside the same without Mooring. */
import { setTimeout as pause } from "node:timers/promises";
import { type Figure, median, quantile } from "../figure.ts";

const staggerMs = 200;

type Mode = "sequential" | "staggered" | "burst";
/** How many sandboxes of each mode. */
export type Sizes = Readonly<Record<Mode, number>>;

interface Order {
  readonly id: string;
  readonly where: string;
  readonly against: string;
  readonly bar: number;
  readonly sizes: Sizes;
  /** From the create to the end of the command, ms; resolves when its sandbox has been ended, which is not in it. */
  readonly ours: () => Promise<number>;
  readonly bare: () => Promise<number>;
  readonly say: (text: string) => void;
}

interface Taken {
  readonly times: readonly number[];
  /** What the others threw. */
  readonly failures: readonly string[];
}

const modes: Readonly<Record<Mode, (run: () => Promise<number>, count: number) => Promise<Taken>>> = {
  sequential: async (run, count) => {
    const settled: PromiseSettledResult<number>[] = [];
    for (let index = 0; index < count; index += 1) settled.push(...(await Promise.allSettled([run()])));
    return taken(settled);
  },
  staggered: async (run, count) => {
    const runs: Promise<PromiseSettledResult<number>[]>[] = [];
    for (let index = 0; index < count; index += 1) {
      if (index > 0) await pause(staggerMs);
      runs.push(Promise.allSettled([run()]));
    }
    return taken((await Promise.all(runs)).flat());
  },
  burst: async (run, count) => taken(await Promise.allSettled(Array.from({ length: count }, () => run()))),
};

function taken(settled: readonly PromiseSettledResult<number>[]): Taken {
  return {
    times: settled.flatMap((each) => (each.status === "fulfilled" ? [each.value] : [])),
    failures: settled.flatMap((each) => (each.status === "rejected" ? [String(each.reason)] : [])),
  };
}

/** A figure for each mode, and one for the share of runs that came to their end. */
export async function firstCommandFigures(order: Order): Promise<readonly Figure[]> {
  const { id, where, against, bar, sizes, ours, bare, say } = order;
  const figures: Figure[] = [];
  const counts = { runs: 0, failed: 0 };
  let firstFailure = "none";
  for (const mode of ["sequential", "staggered", "burst"] as const) {
    const count = sizes[mode];
    const floor = await modes[mode](bare, count);
    // What fails without Mooring is the platform's: it is told beside the figure. Of none there is no figure.
    if (floor.times.length === 0) throw new Error(`without Mooring: ${floor.failures[0]}`);
    const { times, failures } = await modes[mode](ours, count);
    counts.runs += count;
    counts.failed += failures.length;
    if (firstFailure === "none") firstFailure = failures[0]?.slice(0, 200) ?? "none";
    say(
      `${mode}, ${count}: ${median(times).toFixed(0)} ms, bare ${median(floor.times).toFixed(0)} ms, ${failures.length} and ${floor.failures.length} failed`,
    );
    figures.push({
      id: `${id}.${mode}`,
      what: `create → \`node -v\` ended, ${where}, ${words[mode]} of ${count}: p50`,
      against,
      value: median(times) / median(floor.times),
      unit: "×",
      bar: { type: "at most", value: bar },
      details: {
        ...{ runs: count, failed: failures.length, p50_ms: median(times), p95_ms: quantile(times, 0.95) },
        ...{ bare_p50_ms: median(floor.times), bare_p95_ms: quantile(floor.times, 0.95) },
        ...{ bare_failed: floor.failures.length, bare_first_failure: floor.failures[0]?.slice(0, 200) ?? "none" },
      },
    });
  }
  figures.push({
    id: `${id}.success`,
    what: `the same: runs that came to their end, of ${counts.runs}`,
    against: "—",
    value: (100 * (counts.runs - counts.failed)) / counts.runs,
    unit: "%",
    bar: { type: "at least", value: 100 },
    details: { runs: counts.runs, failed: counts.failed, first_failure: firstFailure },
  });
  return figures;
}

const words = { sequential: "one after the other", staggered: `one each ${staggerMs} ms`, burst: "at once" } as const;
