/** What a session's sandbox uses and says, on the wire: `…/resources` and `…/logs`, each with hints. */
import { z } from "zod";
import { jobStates } from "./jobs.ts";
import { instant, limits } from "../../primitives.ts";
import { wholeNumber } from "../../query.ts";

export const hintView = z.object({
  code: z.enum([
    "busy_loop",
    "hang",
    "memory_growth",
    "no_operations",
    "timed_out",
    "stack_exceeded",
    "out_of_memory",
    "silence",
    "no_task_or_agent",
    "repeated_timeouts",
  ]),
  detail: z.string().describe("What was seen."),
  next: z.string().describe("What to do about it."),
});

export const resourceSampleView = z.object({
  at: instant,
  cpu_percent: z
    .number()
    .nullable()
    .describe("Since the sample before, 100 = one core; null: there is none close enough before it to tell."),
  memory_mb: z.number(),
  disk_mb: z.number().nullable(),
  processes: z.int(),
  operations: z
    .int()
    .nullable()
    .describe("Read and write syscalls of the process tree so far; null where the provider cannot count them."),
});

export const resourcesView = z.object({
  session_id: z.string(),
  sandbox_id: z.string(),
  generation: z.int(),
  as_of: instant,
  duration_ms: z.int().describe("Since the launch."),
  cpu_percent: z.number().describe("Since the sample before, else since the launch. 100 = one core."),
  memory_mb: z.number(),
  disk_mb: z.number().nullable(),
  processes: z.int(),
  operations: z.int().nullable(),
  history: z
    .array(resourceSampleView)
    .describe(
      "Oldest first, this one included, at most 60. A sample is taken when someone asks, so the history begins with the first question.",
    ),
  diagnosis: z.array(hintView),
});
export type ResourcesView = z.infer<typeof resourcesView>;

export const jobLogView = z.object({
  id: z.string(),
  state: z.enum(jobStates),
  started_at: instant.nullable(),
  ended_at: instant.nullable(),
  exit_code: z.int().nullable(),
  signal: z.string().nullable(),
  tail: z
    .string()
    .nullable()
    .describe("The end of its output as text; null: it was lost with its sandbox, or did not answer in time."),
});

export const logsView = z.object({
  session_id: z.string(),
  sandbox: z
    .object({ sandbox_id: z.string(), text: z.string(), last_written_at: instant.nullable() })
    .nullable()
    .describe(
      "The wrapper's log of the newest sandbox; null: there is no sandbox, or it could not be read (`unavailable` says why).",
    ),
  unavailable: z.string().nullable(),
  jobs: z.array(jobLogView).describe("The newest ten, newest first."),
  last_activity_at: instant,
  diagnosis: z.array(hintView),
});
export type LogsView = z.infer<typeof logsView>;

export const maxTailBytes = limits.stdinBytes;
export const logsQuery = z.strictObject({
  tail_bytes: wholeNumber({ min: 1, max: maxTailBytes, usual: 8_192 }).describe(
    "Of the sandbox's log, and of each job's output.",
  ),
});
