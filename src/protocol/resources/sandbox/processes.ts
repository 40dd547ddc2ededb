/**
 * Processes and terminals of a sandbox, as the agent and the native API describe them. A process has no record: it is known
 * while the sandbox runs, and a short time after its end. A job is the durable way to run something.
 */
import { z } from "zod";

const terminalSize = z.strictObject({
  cols: z.int().min(1).max(1_000).describe("Columns."),
  rows: z.int().min(1).max(1_000).describe("Rows."),
});

export const processLimits = {
  /** Of an argument or a value of the environment, in bytes: the kernel takes 131,072 with the NUL. */
  textBytes: 131_071,
  argvCount: 4_096,
  envCount: 512,
  tagCharacters: 200,
  maxTimeoutSeconds: 24 * 86_400,
} as const;

const text = z.string().max(processLimits.textBytes);

export const startProcess = z.strictObject({
  argv: z
    .array(text)
    .min(1)
    .max(processLimits.argvCount)
    .optional()
    .describe("The program and its arguments, without a shell."),
  command: text.min(1).optional().describe("A line for `sh -c`. Either this or `argv`."),
  cwd: text
    .optional()
    .describe("Where it begins: absolute, relative to the workspace, or `~`. Left out: the workspace."),
  env: z
    .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), text)
    .refine((env) => Object.keys(env).length <= processLimits.envCount, `At most ${processLimits.envCount} variables.`)
    .optional()
    .describe("Beside what every process of the session has."),
  user: z
    .string()
    .max(64)
    .optional()
    .describe("The user of the sandbox, by name or number. Another one is refused: nothing gains rights here."),
  stdin: z
    .boolean()
    .optional()
    .describe("Keep standard input open for `POST processes/{pid}/stdin`. Left out: it is empty."),
  terminal: terminalSize.optional().describe("Run it in a terminal of that size. Its output is then one stream."),
  tag: z.string().max(processLimits.tagCharacters).optional().describe("A name of your own for it."),
  timeout_seconds: z
    .number()
    .positive()
    .max(processLimits.maxTimeoutSeconds)
    .optional()
    .describe("It is killed with all that it started after that time. Left out: it has no limit of its own."),
  end_with: z
    .enum(["exit", "output"])
    .optional()
    .describe(
      "`exit` (left out): it has ended when its program has exited. `output`: when nobody holds its output open any more, so `server &` keeps it running.",
    ),
});
export type StartProcess = z.input<typeof startProcess>;

export const processView = z.object({
  pid: z.int().positive().describe("The number that `kill` inside the sandbox knows it by."),
  argv: z.array(z.string()),
  cwd: z.string(),
  env: z.record(z.string(), z.string()).describe("What the start gave it."),
  user: z.string().describe("Whom it runs as."),
  tag: z.string().nullable().describe("The name that its start gave it; null: none."),
  terminal: terminalSize.nullable().describe("The size of its terminal; null: it runs in none."),
  state: z.enum(["running", "ended"]),
  stdin_open: z.boolean(),
  output_bytes: z.int().nonnegative(),
  exit_code: z.int().nullable().describe("null while it runs, and when a signal ended it."),
  signal: z.string().nullable().describe("`SIGKILL` and the like; null when it exited by itself."),
  timed_out: z.boolean().describe("Its `timeout_seconds` ended it."),
  started_at: z.string(),
  ended_at: z.string().nullable(),
});
export type ProcessView = z.infer<typeof processView>;

export const processList = z.object({ data: z.array(processView) });

export const signalNames = [
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGKILL",
  "SIGUSR1",
  "SIGUSR2",
  "SIGTERM",
  "SIGCONT",
  "SIGSTOP",
  "SIGTSTP",
  "SIGWINCH",
] as const;

export const signalProcess = z.strictObject({
  signal: z.enum(signalNames),
  group: z.boolean().optional().describe("To its whole process group, as a terminal does it. Left out: to it alone."),
});

export const resizeTerminal = terminalSize;

/** One piece of output. `text` when the bytes are UTF-8, else `base64`. */
export const processOutput = z.object({
  offset: z.int().nonnegative().describe("Of its first byte, over all streams of the process together."),
  text: z.string().optional(),
  base64: z.string().optional().describe("The bytes in base64."),
});
export type ProcessOutput = z.infer<typeof processOutput>;

export const processExit = processView.pick({ exit_code: true, signal: true, timed_out: true });
export type ProcessExit = z.infer<typeof processExit>;

/** Frames of a terminal's WebSocket that are text. Binary frames are what is typed, and what is shown. */
export const terminalOrder = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("resize"), ...terminalSize.shape }),
  z.strictObject({ type: z.literal("signal"), signal: z.enum(signalNames) }),
]);
export const terminalNews = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("ready"),
    pid: z.int(),
    from: z.int().describe("Offset of the first byte that is shown."),
  }),
  z.object({ type: z.literal("gap"), from: z.int(), to: z.int() }),
  z.object({ type: z.literal("exit"), ...processExit.shape }),
]);
export type TerminalNews = z.infer<typeof terminalNews>;
