/** Processes and terminals of a running sandbox. */
import { z } from "zod";
import { contract } from "../../contract.ts";
import { outputGap } from "../../job-failure.ts";
import { position, trueOrFalse } from "../../query.ts";
import {
  processExit,
  processList,
  processOutput,
  processView,
  resizeTerminal,
  signalProcess,
  startProcess,
} from "../../resources/sandbox/processes.ts";
import { sandboxProblems } from "./file-contracts.ts";

const tenant = { access: "tenant", tag: "Processes" } as const;
const whole = z.string().regex(/^\d{1,7}$/, "A whole number.");
const streamed = {
  "text/event-stream": {
    events: {
      start: processView,
      stdout: processOutput,
      stderr: processOutput,
      terminal: processOutput,
      gap: outputGap,
      exit: processExit,
    },
  },
} as const;
const startProblems = [
  "cannot_start",
  "user_unavailable",
  "file_not_found",
  "not_a_directory",
  "permission_denied",
] as const;

export const processQueries = {
  start: z.strictObject({
    output: trueOrFalse.optional().describe("Answer with its output as it comes, to its end, in this same request."),
  }),
  list: z.strictObject({ ended: trueOrFalse.optional().describe("Also those that ended a short time ago.") }),
  end: z.strictObject({ grace_seconds: whole.optional().describe("From TERM to KILL: 2 when left out, 60 at most.") }),
  output: z.strictObject({
    offset: position.optional().describe("The byte to begin at, 0 when left out. `Last-Event-ID` comes before it."),
    tail: whole.optional().describe("Begin so many bytes before the end of what is there."),
  }),
  stdin: z.strictObject({ end: trueOrFalse.optional().describe("Close standard input after these bytes.") }),
  terminal: z.strictObject({
    cols: whole.optional().describe("Columns, 80 when left out."),
    rows: whole.optional().describe("Rows, 24 when left out."),
    command: z.string().max(8_000).optional().describe("A line for `sh -c`. Left out: a login shell."),
    cwd: z.string().max(4_096).optional().describe("Where it begins. Left out: the workspace."),
    pid: z
      .string()
      .regex(/^\d{1,10}$/)
      .optional()
      .describe("Come back to this terminal in place of a new one."),
    offset: position.optional().describe("With `pid`: show from that byte on. Left out: the last 256 kB."),
  }),
} as const;

export const processContracts = {
  start: contract({
    ...tenant,
    operation: "startProcess",
    method: "POST",
    path: "/v1/sessions/:id/processes",
    summary: "Start a process",
    description:
      "For tools and shells: standard output and standard error apart, signals, input, a terminal. It has no record and no queue: it ends with the sandbox, at a pause too, and is not started twice by a repeat only if you do not repeat. What must be done whatever happens is a job. The last megabyte of its output is kept; while somebody reads, it waits for the reader.",
    query: processQueries.start,
    body: { schema: startProcess, required: true, example: { argv: ["git", "status", "--short"], cwd: "." } },
    answers: {
      201: {
        means: "It runs. With `output=true` its events follow.",
        body: processView,
        media: streamed,
        headers: ["x-accel-buffering"],
      },
    },
    problems: [...startProblems, ...sandboxProblems],
  }),
  list: contract({
    ...tenant,
    operation: "listProcesses",
    method: "GET",
    path: "/v1/sessions/:id/processes",
    summary: "List processes",
    description: "Those that were started by this API, not all of the sandbox.",
    query: processQueries.list,
    answers: { 200: { means: "All of them.", body: processList } },
    problems: sandboxProblems,
  }),
  get: contract({
    ...tenant,
    operation: "getProcess",
    method: "GET",
    path: "/v1/sessions/:id/processes/:pid",
    summary: "Read a process",
    description: "Also for ten minutes after its end.",
    answers: { 200: { means: "As it stands.", body: processView } },
    problems: ["process_not_found", ...sandboxProblems],
  }),
  end: contract({
    ...tenant,
    operation: "endProcess",
    method: "DELETE",
    path: "/v1/sessions/:id/processes/:pid",
    summary: "End a process with all that it started",
    description: "TERM, and KILL after the grace. Answered when nothing of it is left.",
    query: processQueries.end,
    answers: { 200: { means: "It has ended.", body: processView } },
    problems: ["process_not_found", ...sandboxProblems],
  }),
  output: contract({
    ...tenant,
    operation: "followProcess",
    method: "GET",
    path: "/v1/sessions/:id/processes/:pid/output",
    summary: "Follow its output",
    description:
      "Server-sent events: `start`, then `stdout`, `stderr` or `terminal` with the offset after them as id, and `exit` at the end. Without `exit` the stream broke off: go on with `Last-Event-ID`. `gap` names bytes that nobody read in time.",
    query: processQueries.output,
    headers: ["last-event-id"],
    answers: { 200: { means: "From there on, until it has ended.", media: streamed, headers: ["x-accel-buffering"] } },
    problems: ["process_not_found", "offset_past_end", ...sandboxProblems],
  }),
  stdin: contract({
    ...tenant,
    operation: "writeProcessInput",
    method: "POST",
    path: "/v1/sessions/:id/processes/:pid/stdin",
    summary: "Write to its standard input or terminal",
    description: "Answered when the process has taken all of it. Not safe to repeat: what arrives twice is read twice.",
    query: processQueries.stdin,
    body: "stream",
    answers: { 204: { means: "It has it." } },
    problems: ["process_not_found", "process_ended", "stdin_closed", ...sandboxProblems],
  }),
  signal: contract({
    ...tenant,
    operation: "signalProcess",
    method: "POST",
    path: "/v1/sessions/:id/processes/:pid/signal",
    summary: "Send it a signal",
    body: { schema: signalProcess, required: true, example: { signal: "SIGINT", group: true } },
    answers: { 204: { means: "It is sent." } },
    problems: ["process_not_found", "process_ended", ...sandboxProblems],
  }),
  resize: contract({
    ...tenant,
    operation: "resizeTerminal",
    method: "POST",
    path: "/v1/sessions/:id/processes/:pid/resize",
    summary: "Tell a terminal its size",
    body: { schema: resizeTerminal, required: true, example: { cols: 120, rows: 40 } },
    answers: { 204: { means: "It knows." } },
    problems: ["process_not_found", "process_ended", "no_terminal", ...sandboxProblems],
  }),
} as const;

/** Apart from the others: no client of JSON over HTTP calls it. */
export const terminalContract = contract({
  ...tenant,
  operation: "openTerminal",
  method: "GET",
  path: "/v1/sessions/:id/terminal",
  summary: "Open a terminal over a WebSocket",
  description:
    'Binary frames are bytes, both ways. Text frames are JSON: you send `{"type":"resize","cols":120,"rows":40}` and `{"type":"signal","signal":"SIGINT"}`; you are sent `ready` with the `pid`, `gap`, and `exit` with the code. The program outlives the connection: come back with `pid`.',
  query: processQueries.terminal,
  answers: { 101: { means: "The terminal is open." } },
  problems: ["process_not_found", "no_terminal", ...startProblems, ...sandboxProblems],
});
