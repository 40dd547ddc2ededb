/** `/v1/admin`: what an operator reads and does. */
import { z } from "zod";
import { assertedLostView, assertLostBody, inspectionView, resolveBody } from "../../resources/operator/admin.ts";
import { alertsView } from "../../resources/operator/alerts.ts";
import { changeProblems, contract, sessionProblems } from "../../contract.ts";
import {
  adminLogPage,
  fleetPage,
  ledgerView,
  optionalReasonBody,
  reasonBody,
  rebuildView,
  allRevokedView,
  apiKeyPage,
  revocationView,
  statsView,
  tenantQuery,
  tenantUsageView,
} from "../../resources/operator/fleet.ts";
import { eventsQuery, jobContracts, jobListQuery, outputQuery } from "../session/job-contracts.ts";
import { sessionContracts } from "../session/session-contracts.ts";
import { explainView } from "../../resources/session/explain.ts";
import { logsQuery, logsView, resourcesView } from "../../resources/session/insight.ts";
import { plainText, tenantName } from "../../primitives.ts";
import { cursor, labelFilter, pageLimit, trueOrFalse } from "../../query.ts";
import { blockedCodes, sessionStatuses, sessionView } from "../../resources/session/sessions.ts";

const admin = { access: "admin", tag: "Operating" } as const;
const flag = trueOrFalse.transform((text) => text === "true");

export const fleetListQuery = z.strictObject({
  limit: pageLimit,
  cursor: cursor.optional(),
  tenant: tenantName.optional(),
  status: z.enum(sessionStatuses).optional(),
  phase: z.enum(["none", "launching", "held", "stopping", "closed"]).optional(),
  blocked: z.enum(blockedCodes).optional(),
  stuck: z
    .literal("true", "Only `true`: leave it out for all.")
    .optional()
    .describe("Only what says of itself that it is stuck."),
  teardown: z
    .literal("overdue", "Only `overdue`: leave it out for all.")
    .optional()
    .describe("Only those of which a teardown, a ghost's too, is past its bound."),
  critical: flag.optional(),
  open: flag.optional().describe("Whether something physical may exist."),
  provider: plainText(32).optional(),
  template: plainText(64).optional(),
  agent_type: plainText(64).optional(),
  task_id: plainText(128).optional(),
  label: labelFilter,
});
export const ledgerQuery = z.strictObject({ tenant: tenantName.optional() });
export const logQuery = z.strictObject({
  limit: pageLimit,
  cursor: z
    .string()
    .regex(/^[1-9]\d{0,14}$/, "Pass `next_cursor` of the page before, unchanged.")
    .transform(Number)
    .optional(),
});

export const adminContracts = {
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
    problems: [
      "session_gone",
      "session_paused",
      "sandbox_lost",
      "session_not_running",
      "sandbox_unreachable",
      ...sessionProblems,
    ],
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
    answers: sessionContracts.usage.answers,
    problems: sessionProblems,
  }),
  stats: contract({
    ...admin,
    operation: "getStats",
    method: "GET",
    path: "/v1/admin/stats",
    summary: "The fleet in figures",
    answers: { 200: { means: "Sums over all tenants.", body: statsView } },
  }),
  sessions: contract({
    ...admin,
    operation: "listAllSessions",
    method: "GET",
    path: "/v1/admin/sessions",
    summary: "Sessions of all tenants",
    description: "Newest first, from the index: each row says in `as_of` how old it is.",
    query: fleetListQuery,
    answers: { 200: { means: "One page.", body: fleetPage } },
  }),
  ledger: contract({
    ...admin,
    operation: "getLedger",
    method: "GET",
    path: "/v1/admin/ledger",
    summary: "Where every sandbox ever granted has gone",
    query: ledgerQuery,
    answers: { 200: { means: "The books, and whether they balance.", body: ledgerView } },
  }),
  usage: contract({
    ...admin,
    operation: "getTenantUsage",
    method: "GET",
    path: "/v1/admin/usage",
    summary: "What a tenant uses of what it may: sandboxes, the month's cost, seconds",
    query: tenantQuery,
    answers: { 200: { means: "Sums over all of its sessions.", body: tenantUsageView } },
  }),
  log: contract({
    ...admin,
    operation: "listAdminLog",
    method: "GET",
    path: "/v1/admin/log",
    summary: "Who did what, and why",
    query: logQuery,
    answers: { 200: { means: "One page, newest first.", body: adminLogPage } },
  }),
  rebuildShards: contract({
    ...admin,
    operation: "rebuildIndex",
    method: "POST",
    path: "/v1/admin/shards/rebuild",
    summary: "Build the index anew from the registries",
    body: { schema: reasonBody, required: true, example: { reason: "a shard was lost" } },
    answers: {
      200: { means: "All of it is built.", body: rebuildView },
      202: { means: "A part is still building, or did not answer: send it again.", body: rebuildView },
    },
  }),
  keys: contract({
    ...admin,
    operation: "listKeys",
    method: "GET",
    path: "/v1/admin/keys/:tenant",
    summary: "A tenant's API keys",
    description:
      "A key is signed and stored nowhere, so it is listed from its first use on, or once it was revoked. Of more than 1,000 the longest unused are forgotten.",
    answers: { 200: { means: "Those that are known.", body: apiKeyPage } },
  }),
  revokeAllKeys: contract({
    ...admin,
    operation: "revokeAllKeys",
    method: "DELETE",
    path: "/v1/admin/keys/:tenant",
    summary: "Revoke all of a tenant's API keys",
    description:
      "Every key that was made until now, used or not, effective within a minute. Keys that are made afterwards work. Sessions go on.",
    body: { schema: optionalReasonBody, required: false, example: { reason: "the tenant's laptop was stolen" } },
    answers: { 200: { means: "They are revoked.", body: allRevokedView } },
  }),
  revokeKey: contract({
    ...admin,
    operation: "revokeKey",
    method: "DELETE",
    path: "/v1/admin/keys/:tenant/:key",
    summary: "Revoke an API key",
    description: "By the middle part of the key. For ever, effective within a minute.",
    body: { schema: optionalReasonBody, required: false, example: { reason: "it was in a public log" } },
    answers: { 200: { means: "It is revoked.", body: revocationView } },
  }),
  alerts: contract({
    ...admin,
    operation: "listAlerts",
    method: "GET",
    path: "/v1/admin/alerts",
    summary: "How every alert stands",
    answers: { 200: { means: "As the last look left them, firing first.", body: alertsView } },
  }),
} as const;
