/** Jobs of a session, their output, and the session's events. */
import { z } from "zod";
import { changeProblems, contract, sessionProblems } from "../contract.ts";
import { eventPage, eventsEnd, eventView } from "../events.ts";
import { createJob, jobPage, jobView, outputEnd, outputEvent } from "../jobs.ts";
import { jobIdText } from "../primitives.ts";
import { pageLimit, position } from "../query.ts";

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
      "Give the job an `id` of your own and a repeat is safe: the same id and body run once. While the session is being provisioned the job waits in the queue. A paused session with `auto_resume` is resumed by it.",
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
      "With `Prefer: wait=30` the answer comes when the job has ended, or after that time. Its exit code and the end of its output stay readable after the sandbox is gone.",
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
    description: "For a job made with `stdin_open`. Not safe to repeat: what arrives twice is read twice.",
    query: stdinQuery,
    body: "bytes",
    answers: { 204: { means: "The job has it." } },
    problems: ["job_ended", "sandbox_unreachable", ...refusedNow, ...changeProblems],
  }),
  output: contract({
    ...tenant,
    operation: "streamOutput",
    method: "GET",
    path: "/v1/sessions/:id/jobs/:job/output",
    summary: "Follow its output",
    description:
      "As server-sent events (`Accept: text/event-stream`): `output` with the byte offset after it as id, then one `end`. As bare bytes with `Accept: application/octet-stream`. Resume with `Last-Event-ID` or `?offset=`: nothing is lost or repeated. After the sandbox is gone the last 64 kB are left, and `Mooring-Offset` says where they begin.",
    query: outputQuery,
    headers: ["last-event-id"],
    answers: {
      200: {
        means: "Everything from there on, live until the job ends.",
        media: {
          "text/event-stream": { events: { output: outputEvent, end: outputEnd } },
          "application/octet-stream": "bytes",
        },
        headers: ["mooring-offset"],
      },
    },
    problems: ["not_acceptable", "sandbox_unreachable", ...sessionProblems],
  }),
  events: contract({
    access: "tenant",
    tag: "Events",
    operation: "listEvents",
    method: "GET",
    path: "/v1/sessions/:id/events",
    summary: "Its history, as pages or live",
    description:
      "Every transition, with who caused it and why. With `Accept: text/event-stream` it is followed live until the session is erased; resume with `Last-Event-ID`.",
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
      },
    },
    problems: sessionProblems,
  }),
} as const;
