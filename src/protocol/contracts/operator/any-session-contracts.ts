/** `/v1/admin/sessions/{id}`: what an operator reads and does of one session, of any tenant. */
import { assertedLostView, assertLostBody, inspectionView, resolveBody } from "../../resources/operator/admin.ts";
import { changeProblems, contract, liveReadProblems, sessionProblems } from "../../contract.ts";
import { optionalReasonBody } from "../../resources/operator/fleet.ts";
import { eventsQuery, jobContracts, jobListQuery, outputQuery } from "../session/job-contracts.ts";
import { sessionReadContracts } from "../session/session-read-contracts.ts";
import { explainView } from "../../resources/session/explain.ts";
import { logsQuery, logsView, resourcesView } from "../../resources/session/insight.ts";
import { sessionView } from "../../resources/session/sessions.ts";

const admin = { access: "admin", tag: "Operating" } as const;

export const anySessionContracts = {
  inspect: contract({
    ...admin,
    operation: "inspectSession",
    method: "GET",
    path: "/v1/admin/sessions/:id",
    summary: "A session of any tenant, readable or not",
    answers: { 200: { means: "What is known of it.", body: inspectionView, headers: ["etag"] } },
    problems: ["not_found"],
  }),
  delete: contract({
    ...admin,
    operation: "endSession",
    method: "DELETE",
    path: "/v1/admin/sessions/:id",
    summary: "End a session of any tenant",
    description:
      "With the terminate reason `operator`. Logged with the reason that you give. Also stored for a record that cannot be read.",
    body: { schema: optionalReasonBody, required: false, example: { reason: "it runs away with the budget" } },
    answers: {
      200: { means: "It had ended already and is proven gone.", body: sessionView },
      202: { means: "It is being torn down.", body: sessionView },
    },
    problems: changeProblems,
  }),
  assertLost: contract({
    ...admin,
    operation: "assertLostSession",
    method: "POST",
    path: "/v1/admin/sessions/:id/assert-lost",
    summary: "Take the lost sandboxes of a session without a record off the quota",
    description:
      "For a session whose rows are lost and whose host is gone for good: nobody can prove that its sandboxes are gone, so they would count for ever. Your word is logged and kept apart from proof. Refused while the session has a record (`conflict`), and until its sandboxes have certainly fenced themselves (`lease_not_expired`, with `retry_at`).",
    body: {
      schema: assertLostBody,
      required: true,
      example: { tenant: "acme", reason: "the machine was scrapped, and the rows were lost with it" },
    },
    answers: { 200: { means: "They are counted as asserted.", body: assertedLostView } },
    problems: ["lease_not_expired", "conflict", ...changeProblems],
  }),
  resolve: contract({
    ...admin,
    operation: "resolveSession",
    method: "POST",
    path: "/v1/admin/sessions/:id/resolve",
    summary: "The way out of a stuck teardown",
    description: "Logged with your reason, in the admin log and in the session's history. See docs/operations.md.",
    headers: ["if-match"],
    body: {
      schema: resolveBody,
      required: true,
      example: { action: "retry_stop", reason: "the host answers again" },
    },
    answers: { 200: { means: "As it stands now.", body: inspectionView, headers: ["etag"] } },
    problems: [
      "precondition_required",
      "precondition_failed",
      "not_stuck",
      "lease_not_expired",
      "conflict",
      ...changeProblems,
    ],
  }),
  explain: contract({
    ...admin,
    operation: "explainAnySession",
    method: "GET",
    path: "/v1/admin/sessions/:id/explain",
    summary: "Why a session of any tenant is as it is, and what to call",
    answers: { 200: { means: "As it stands now.", body: explainView } },
    problems: sessionProblems,
  }),
  logs: contract({
    ...admin,
    operation: "getAnySessionLogs",
    method: "GET",
    path: "/v1/admin/sessions/:id/logs",
    summary: "Logs of a session of any tenant",
    query: logsQuery,
    answers: { 200: { means: "What is there, with hints where something looks wrong.", body: logsView } },
    problems: sessionProblems,
  }),
  resources: contract({
    ...admin,
    operation: "getAnySessionResources",
    method: "GET",
    path: "/v1/admin/sessions/:id/resources",
    summary: "What the sandbox of a session of any tenant uses",
    answers: { 200: { means: "The newest sample and a short history, with hints.", body: resourcesView } },
    problems: liveReadProblems,
  }),
  events: contract({
    ...admin,
    operation: "listAnySessionEvents",
    method: "GET",
    path: "/v1/admin/sessions/:id/events",
    summary: "The history of a session of any tenant, as pages or live",
    description: "As `GET /v1/sessions/{id}/events`.",
    query: eventsQuery,
    headers: ["last-event-id"],
    answers: jobContracts.events.answers,
    problems: sessionProblems,
  }),
  jobs: contract({
    ...admin,
    operation: "listAnySessionJobs",
    method: "GET",
    path: "/v1/admin/sessions/:id/jobs",
    summary: "Jobs of a session of any tenant",
    query: jobListQuery,
    answers: jobContracts.list.answers,
    problems: sessionProblems,
  }),
  job: contract({
    ...admin,
    operation: "getAnySessionJob",
    method: "GET",
    path: "/v1/admin/sessions/:id/jobs/:job",
    summary: "A job of a session of any tenant",
    headers: ["prefer"],
    answers: jobContracts.get.answers,
    problems: sessionProblems,
  }),
  output: contract({
    ...admin,
    operation: "streamAnySessionOutput",
    method: "GET",
    path: "/v1/admin/sessions/:id/jobs/:job/output",
    summary: "Follow the output of a job of any tenant",
    description: "As `GET /v1/sessions/{id}/jobs/{job}/output`.",
    query: outputQuery,
    headers: ["last-event-id"],
    answers: jobContracts.output.answers,
    problems: jobContracts.output.problems,
  }),
  sessionUsage: contract({
    ...admin,
    operation: "getAnySessionUsage",
    method: "GET",
    path: "/v1/admin/sessions/:id/usage",
    summary: "Seconds by status and provider of a session of any tenant",
    answers: sessionReadContracts.usage.answers,
    problems: sessionProblems,
  }),
} as const;
