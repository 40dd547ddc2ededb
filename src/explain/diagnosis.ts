/**
 * What a sandbox's figures and last words probably mean, in the words of the runbook's tables. Hints for a human:
 * nothing is ever decided on one. Every rule needs evidence; what was not measured is not guessed.
 */
import { nextCalls, say } from "../domain/state/next-calls.ts";

export interface ResourceSample {
  readonly at: number;
  /** Of every process of the sandbox, since each began. */
  readonly cpuSeconds: number;
  readonly memoryBytes: number;
  readonly diskUsedBytes: number | null;
  readonly processes: number;
  /** Read and write syscalls of the process tree; null: the provider cannot count them. */
  readonly operations: number | null;
}

export interface JobSymptom {
  readonly id: string;
  readonly state: string;
  readonly startedAt: number | null;
  readonly signal: string | null;
  /** The end of its output. */
  readonly tail: string;
}

export interface Symptoms {
  readonly now: number;
  /** Samples of one generation, oldest first. */
  readonly samples: readonly ResourceSample[];
  /** The newest, newest first. */
  readonly jobs: readonly JobSymptom[];
  /** The end of the sandbox's own log; null: not read. */
  readonly log: { readonly text: string; readonly silentMs: number | null } | null;
  /** When something last ran or was asked. */
  readonly lastActivityAt: number;
  readonly agentType: string | null;
  readonly taskId: string | null;
}

export type DiagnosisCode =
  | "busy_loop"
  | "hang"
  | "memory_growth"
  | "no_operations"
  | "timed_out"
  | "stack_exceeded"
  | "out_of_memory"
  | "silence"
  | "no_task_or_agent"
  | "repeated_timeouts";

export interface Hint {
  readonly code: DiagnosisCode;
  /** What was seen. */
  readonly detail: string;
  /** What to do about it. */
  readonly next: string;
}

const second = 1_000;
const minute = 60 * second;

/** A process above this share of a processor only computes. Not near 100: on a full host a busy loop gets less than a whole one. */
const busyPercent = 30;
/** Less than this is the wrapper's own housekeeping. */
const idlePercent = 2;
/** The wrapper and guardian alone stay below this; anything that reads or writes for its living is far above. */
const quietPerSecond = 5;
/** Two looks closer than this tell nothing about a rate: /proc counts CPU in hundredths of a second. */
const shortestIntervalMs = 500;
/** A job that has just begun may still be loading. */
const settledInMs = 10 * second;
const growthOverMs = 30 * second;
const growthFactor = 1.3;
const growthBytes = 16 * 2 ** 20;
const silentForMs = 5 * minute;
const repeatedTimeouts = 3;

export interface Rates {
  readonly overMs: number;
  /** 100 = one core. */
  readonly cpuPercent: number;
  /** null: not counted. */
  readonly operationsPerSecond: number | null;
}

/** Between two looks; null: they are too close. A counter that went back (a process ended) counts as nothing. */
export function ratesBetween(before: ResourceSample, after: ResourceSample): Rates | null {
  const overMs = after.at - before.at;
  if (overMs < shortestIntervalMs) return null;
  const seconds = overMs / second;
  const operations =
    before.operations === null || after.operations === null
      ? null
      : Math.max(0, after.operations - before.operations) / seconds;
  const cpuPercent = (Math.max(0, after.cpuSeconds - before.cpuSeconds) / seconds) * 100;
  return { overMs, cpuPercent, operationsPerSecond: operations };
}

export function diagnose(symptoms: Symptoms): readonly Hint[] {
  return [...fromFigures(symptoms), ...fromWords(symptoms), ...fromJobs(symptoms), ...fromProfile(symptoms)];
}

function fromFigures(symptoms: Symptoms): readonly Hint[] {
  const { samples, now } = symptoms;
  const working = symptoms.jobs.filter((job) => job.state === "running");
  const last = samples.at(-1);
  const before = samples.findLast((sample) => last !== undefined && last.at - sample.at >= shortestIntervalMs);
  const hints: Hint[] = [];
  const rates = last === undefined || before === undefined ? null : ratesBetween(before, last);
  const settled = working.some((job) => job.startedAt !== null && now - job.startedAt >= settledInMs);
  if (rates !== null && settled) {
    const quiet = rates.operationsPerSecond !== null && rates.operationsPerSecond < quietPerSecond;
    const figures = `${Math.round(rates.cpuPercent)} % CPU and ${words(rates.operationsPerSecond)} operations a second over ${Math.round(rates.overMs / second)} s`;
    if (rates.cpuPercent >= busyPercent && quiet) {
      hints.push({
        code: "busy_loop",
        detail: `A job runs with ${figures}: it computes without reading or writing.`,
        next: `Look at the job's output (${say(nextCalls.jobOutput)}); cancel it if it does not move on (${say(nextCalls.cancelJob)}).`,
      });
    }
    if (rates.cpuPercent < idlePercent && quiet) {
      hints.push({
        code: "hang",
        detail: `A job runs with ${figures}: it waits for something.`,
        next: `Look at what it waits for (a prompt, a lock, the network): ${say(nextCalls.jobOutput)}. Send it what it waits for (${say(nextCalls.stdin)}) or cancel it (${say(nextCalls.cancelJob)}).`,
      });
    }
    if (quiet) {
      hints.push({
        code: "no_operations",
        detail: `A job runs, and the sandbox hardly reads or writes (${figures}).`,
        next: `If the job should be doing I/O, it is stuck: cancel it with ${say(nextCalls.cancelJob)}.`,
      });
    }
  }
  const growth = growthOf(samples);
  if (growth !== null) hints.push(growth);
  return hints;
}

function growthOf(samples: readonly ResourceSample[]): Hint | null {
  const first = samples[0];
  const last = samples.at(-1);
  if (first === undefined || last === undefined || samples.length < 3 || last.at - first.at < growthOverMs) return null;
  const rising = samples.every(
    (sample, index) => index === 0 || sample.memoryBytes >= (samples[index - 1]?.memoryBytes ?? 0),
  );
  const grown = last.memoryBytes - first.memoryBytes;
  if (!rising || grown < growthBytes || last.memoryBytes < first.memoryBytes * growthFactor) return null;
  return {
    code: "memory_growth",
    detail: `Memory rose from ${megabytes(first.memoryBytes)} to ${megabytes(last.memoryBytes)} MB in ${Math.round((last.at - first.at) / second)} s and never fell.`,
    next: `Look at which job grows (${say(nextCalls.jobs)}); end it before the sandbox runs out of memory: ${say(nextCalls.cancelJob)}.`,
  };
}

const patterns: readonly { readonly code: DiagnosisCode; readonly seen: RegExp; readonly next: string }[] = [
  {
    code: "timed_out",
    seen: /\b(timed out|ETIMEDOUT|deadline exceeded|TimeoutError)\b/i,
    next: "Find what did not answer in time; raise the job's timeout_seconds only if the work is truly that long.",
  },
  {
    code: "stack_exceeded",
    seen: /maximum call stack size exceeded|stack overflow|RecursionError|maximum recursion depth/i,
    next: "The program recurses without end: fix it; a bigger sandbox does not help.",
  },
  {
    code: "out_of_memory",
    seen: /heap out of memory|out of memory|\bENOMEM\b|MemoryError|cannot allocate memory|OOMKilled/i,
    next: "Give the work less to hold at once, or a larger sandbox.",
  },
];

function fromWords({ jobs, log }: Symptoms): readonly Hint[] {
  const texts: readonly { readonly where: string; readonly text: string }[] = [
    ...jobs.map((job) => ({ where: `the output of job ${job.id}`, text: job.tail })),
    ...(log === null ? [] : [{ where: "the sandbox's log", text: log.text }]),
  ];
  return patterns.flatMap(({ code, seen, next }) => {
    const found = texts.find(({ text }) => seen.test(text));
    if (found === undefined) return [];
    return [
      {
        code,
        detail: `${found.where[0]?.toUpperCase()}${found.where.slice(1)} says so: “${lineWith(found.text, seen)}”.`,
        next,
      },
    ];
  });
}

function fromJobs({ jobs, log, now, lastActivityAt }: Symptoms): readonly Hint[] {
  const hints: Hint[] = [];
  const timedOut = jobs.filter((job) => job.state === "timed_out");
  if (timedOut.length >= repeatedTimeouts) {
    hints.push({
      code: "repeated_timeouts",
      detail: `${timedOut.length} of the last ${jobs.length} jobs ran into their time limit.`,
      next: `Stop sending more of them; find out what they wait for, in the output of the first: ${say(nextCalls.jobOutput)}.`,
    });
  }
  const working = jobs.some((job) => job.state === "running");
  if (
    working &&
    log?.silentMs !== null &&
    log?.silentMs !== undefined &&
    log.silentMs >= silentForMs &&
    now - lastActivityAt >= silentForMs
  ) {
    hints.push({
      code: "silence",
      detail: `A job runs, but nothing was logged for ${Math.round(log.silentMs / minute)} minutes and nothing was asked of the session for as long.`,
      next: `Look at the resources twice, some seconds apart: they tell a hang from a busy loop. ${say(nextCalls.resources)}.`,
    });
  }
  return hints;
}

function fromProfile({ agentType, taskId }: Symptoms): readonly Hint[] {
  if (agentType !== null || taskId !== null) return [];
  return [
    {
      code: "no_task_or_agent",
      detail: "The session names neither an agent_type nor a task_id: nobody can tell whose work it is.",
      next: "Ask its tenant; have its client send agent_type and task_id at create.",
    },
  ];
}

function lineWith(text: string, pattern: RegExp): string {
  const line = text.split("\n").find((each) => pattern.test(each)) ?? "";
  return line.trim().slice(0, 160);
}

function words(perSecond: number | null): string {
  return perSecond === null ? "uncounted" : perSecond.toFixed(1);
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}
