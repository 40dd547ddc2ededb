/** Jobs of a session, their output, and the session's events. */
import { z } from "zod";
import { changeProblems, contract, sessionProblems } from "../../contract.ts";
import { eventPage, eventsEnd, eventView } from "../../resources/session/events.ts";
import { outputGap } from "../../job-failure.ts";
import { createJob, jobPage, jobView, outputEnd, outputEvent } from "../../resources/session/jobs.ts";
import { jobIdText } from "../../primitives.ts";
import { pageLimit, position } from "../../query.ts";

const tenant = { access: "tenant", tag: "Jobs" } as const;
const refusedNow = ["session_gone", "session_paused", "sandbox_lost", "session_not_running"] as const;

export const jobListQuery = z.strictObject({
  limit: pageLimit,
  cursor: jobIdText.optional().describe("`next_cursor` of the page before."),
});
export const stdinQuery = z.strictObject({
  end: z.enum(["true", "false"]).default("false").describe("Close stdin after these bytes."),
});
export const outputQuery = z.strictObject({
  offset: position.optional().describe("The byte to begin at, 0 when left out. `Last-Event-ID` comes before it."),
});
export const eventsQuery = z.strictObject({
  after: position.optional().describe("The sequence to begin after, 0 when left out. `Last-Event-ID` comes before it."),
  limit: pageLimit,
});

export const jobContracts = {
  create: contract({
    ...tenant,
    operation: "createJob",
    method: "POST",
    path: "/v1/sessions/:id/jobs",
    summary: "Run a command",
    description:
      "Give the job an `id` of your own and a repeat is safe: the same id and body run once. While the session is being provisioned the job waits in the queue. A paused session with `auto_resume` is resumed by it. What the command leaves running when it exits (`server &`) is ended with it and `left_running` says so; with `keep: true` it goes on until the sandbox ends, also at a pause. `keep` takes nothing from a cancel or the timeout, which end all of it; what was kept is no work for the idle clock, and what it writes after the end is dropped.",
    body: { schema: createJob, required: true, example: { command: "make test", timeout_seconds: 600 } },
    answers: {
      200: {
        means: "A job with this id and body was there already.",
        body: jobView,
        headers: ["location", "idempotency-replayed"],
      },
      201: { means: "It is stored and will run.", body: jobView, headers: ["location"] },
    },
    problems: ["idempotency_mismatch", "too_many_jobs", "session_ended", "conflict", ...refusedNow, ...changeProblems],
  }),
  list: contract({
    ...tenant,
    operation: "listJobs",
    method: "GET",
    path: "/v1/sessions/:id/jobs",
    summary: "List its jobs",
    query: jobListQuery,
    answers: { 200: { means: "One page, in the order in which they were made.", body: jobPage } },
    problems: sessionProblems,
  }),
  get: contract({
    ...tenant,
    operation: "getJob",
    method: "GET",
    path: "/v1/sessions/:id/jobs/:job",
    summary: "Read a job",
    description:
      "With `Prefer: wait=30` the answer comes when the job has ended, or after that time. Its exit code and the end of its output stay readable after the sandbox is gone. A job that could not be started says why in `failure`.",
    headers: ["prefer"],
    answers: { 200: { means: "The job as it stands.", body: jobView, headers: ["preference-applied"] } },
    problems: sessionProblems,
  }),
  cancel: contract({
    ...tenant,
    operation: "cancelJob",
    method: "DELETE",
    path: "/v1/sessions/:id/jobs/:job",
    summary: "Cancel a job",
    description: "Ends it with everything that it started. Safe to repeat.",
    body: "no fields",
    answers: {
      200: { means: "It has ended.", body: jobView },
      202: { means: "It is being ended.", body: jobView },
    },
    problems: changeProblems,
  }),
  stdin: contract({
    ...tenant,
    operation: "writeStdin",
    method: "POST",
    path: "/v1/sessions/:id/jobs/:job/stdin",
    summary: "Write to its standard input",
    description:
      "For a job made with `stdin_open`. Not safe to repeat: what arrives twice is read twice. After `stdin_full` it is: the job has not read what it was given before, and nothing of this was taken.",
    query: stdinQuery,
    body: "bytes",
    answers: { 204: { means: "The job has it." } },
    problems: ["job_ended", "stdin_full", "sandbox_unreachable", ...refusedNow, ...changeProblems],
  }),
  output: contract({
    ...tenant,
    operation: "streamOutput",
    method: "GET",
    path: "/v1/sessions/:id/jobs/:job/output",
    summary: "Follow its output",
    description:
      "As server-sent events (`Accept: text/event-stream`): `output` with the byte offset after it as id, then one `end`. As bare bytes with `Accept: application/octet-stream`. Resume with `Last-Event-ID` or `?offset=`: nothing is lost or repeated. Of a queued job the stream begins at once and waits. Of an output that is longer than 64 MB, or than what the sandbox has room for, the beginning and the end are kept: the event `gap` names the bytes between, and the bare bytes end there (ask again from that offset: `Mooring-Offset` says where the next ones begin). After the sandbox is gone the last 64 kB are left. An offset past the end is 416 with the present `length`.",
    query: outputQuery,
    headers: ["last-event-id"],
    answers: {
      200: {
        means: "Everything from there on, live until the job ends.",
        media: {
          "text/event-stream": { events: { output: outputEvent, gap: outputGap, end: outputEnd } },
          "application/octet-stream": "bytes",
        },
        headers: ["mooring-offset", "x-accel-buffering"],
      },
    },
    problems: ["not_acceptable", "offset_past_end", "session_not_running", "sandbox_unreachable", ...sessionProblems],
  }),
  events: contract({
    access: "tenant",
    tag: "Events",
    operation: "listEvents",
    method: "GET",
    path: "/v1/sessions/:id/events",
    summary: "Its history, as pages or live",
    description:
      "Every transition, with who caused it and why. With `Accept: text/event-stream` it is followed live until the session has ended; resume with `Last-Event-ID`.",
    query: eventsQuery,
    headers: ["last-event-id"],
    answers: {
      200: {
        means: "Oldest first.",
        body: eventPage,
        media: {
          "text/event-stream": {
            events: { message: eventView, end: eventsEnd },
          },
        },
        headers: ["x-accel-buffering"],
      },
    },
    problems: sessionProblems,
  }),
} as const;
