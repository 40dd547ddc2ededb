/** Jobs on the wire. */
import { z } from "zod";
import { jobFailure, leftRunning, outputGap } from "../../job-failure.ts";
import { environment, instant, jobIdText, limits, plainText } from "../../primitives.ts";

export const jobStates = [
  "queued", // stored; not yet handed to a wrapper
  "sent", // handed over; the answer is not known
  "running",
  "succeeded",
  "failed", // non-zero exit, or killed by a signal of its own
  "timed_out",
  "cancelled",
  "interrupted",
  "lost", // its sandbox is gone; it is never run again unasked
] as const;
export type JobState = (typeof jobStates)[number];

const bytesAtMost = (max: number) => (text: string) => new TextEncoder().encode(text).length <= max;

export const createJob = z
  .strictObject({
    id: jobIdText.optional(),
    /** Run by `sh -c`. */
    command: z
      .string()
      .min(1)
      .refine(bytesAtMost(limits.commandBytes), `At most ${limits.commandBytes} bytes.`)
      .refine((text) => !text.includes("\0"), "No NUL.")
      .optional(),
    argv: z
      .array(z.string().refine((text) => !text.includes("\0"), "No NUL."))
      .min(1)
      .max(limits.argvItems)
      .refine(
        (items) => bytesAtMost(limits.commandBytes)(items.join(" ")),
        `At most ${limits.commandBytes} bytes together.`,
      )
      .optional(),
    /** Inside the workspace. */
    cwd: plainText(1_024)
      .refine(
        (path) => !path.startsWith("/") && !path.split("/").includes(".."),
        "A relative path inside the workspace, without `..`.",
      )
      .optional(),
    env: environment.optional(),
    stdin: z.string().refine(bytesAtMost(limits.stdinBytes), `At most ${limits.stdinBytes} bytes.`).optional(),
    /** Keep stdin open for POST …/stdin. */
    stdin_open: z.boolean().optional(),
    keep: z
      .boolean()
      .optional()
      .describe(
        "true: what the command leaves running when it exits goes on until the sandbox ends. Otherwise it is ended.",
      ),
    tty: z
      .boolean()
      .optional()
      .describe(
        "true: the command runs in a terminal of 80 columns and 24 rows, for programs that want one. Its output has line ends and colours as a terminal shows them, and stdin is what is typed. Needs `script` of util-linux in the image.",
      ),
    timeout_seconds: z.int().min(1).max(86_400).optional(),
  })
  .refine((job) => (job.command === undefined) !== (job.argv === undefined), "Exactly one of `command` and `argv`.")
  // Not as `oneOf`: generators of clients make a union of that, and the request loses its fields.
  .meta({ if: { required: ["command"] }, else: { required: ["argv"] }, not: { required: ["command", "argv"] } });
export type CreateJob = z.infer<typeof createJob>;

export const jobView = z.object({
  id: z.string(),
  session_id: z.string(),
  state: z.enum(jobStates),
  command: z.string().nullable(),
  argv: z.array(z.string()).nullable(),
  created_at: instant,
  started_at: instant.nullable(),
  ended_at: instant.nullable(),
  exit_code: z.int().nullable(),
  signal: z.string().nullable(),
  failure: jobFailure
    .nullable()
    .describe(
      "Why the job could not be started; null: it was, or waits. A job that ran tells by its exit code or signal.",
    ),
  keep: z.boolean().describe("What the command leaves running when it exits goes on until the sandbox ends."),
  tty: z.boolean().describe("It runs in a terminal."),
  left_running: leftRunning
    .nullable()
    .describe("Processes that were there still when the command exited by itself; null: none, or it has not exited."),
  generation: z.int().nullable().describe("The generation that ran it; null while queued."),
  output_bytes: z.int(),
  output_truncated: z.boolean(),
  output_gap: outputGap
    .nullable()
    .describe("The part in the middle of the output that was dropped; null: none, or the job has not ended."),
  output_tail: z
    .string()
    .nullable()
    .describe("The last 64 kB as text (broken UTF-8 replaced); null until the job has ended."),
  timeout_seconds: z.int(),
  held_back: z
    .object({ detail: z.string(), retry_at: instant.nullable() })
    .nullable()
    .describe("Why it waits, while queued: the session's status in words, and when to look again."),
});
export type JobView = z.infer<typeof jobView>;

/** In a list: a hundred tails of 64 kB each would be six megabytes that nobody asked for. */
export const jobListItem = jobView.omit({ output_tail: true });
export type JobListItem = z.infer<typeof jobListItem>;

export const jobPage = z.object({ data: z.array(jobListItem), next_cursor: z.string().nullable() });

/**
 * `…/jobs/{id}/output` as `text/event-stream`: events `output` (id = the byte offset after it, data = {offset, text}), `gap`
 * where bytes were dropped (id = the offset after it, data = {from, to}), then one `end` (data = {state, exit_code, reason}).
 * Resume with `Last-Event-ID` or `?offset=`. With `Accept: application/octet-stream`: the bare bytes up to the first gap.
 */
export const outputEvent = z.object({ offset: z.int(), text: z.string() });
export const outputEnd = z.object({
  state: z.enum(jobStates),
  exit_code: z.int().nullable(),
  reason: z
    .enum(["finished", "sandbox_replaced", "session_ended", "disconnected"])
    .describe(
      "`finished`, or why the stream ends although the job has not: `sandbox_replaced`, `session_ended`, `disconnected`.",
    ),
});
