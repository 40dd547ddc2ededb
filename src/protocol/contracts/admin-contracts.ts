/** `/v1/admin`: what an operator reads and does. */
import { z } from "zod";
import { inspectionView, resolveBody } from "../admin.ts";
import { alertsView } from "../alerts.ts";
import { changeProblems, contract, sessionProblems } from "../contract.ts";
import {
  adminLogPage,
  fleetPage,
  ledgerView,
  optionalReasonBody,
  reasonBody,
  rebuildView,
  revocationPage,
  revocationView,
  statsView,
  tenantQuery,
  tenantUsageView,
} from "../fleet.ts";
import { explainView } from "../explain.ts";
import { logsQuery, logsView, resourcesView } from "../insight.ts";
import { plainText, tenantName } from "../primitives.ts";
import { cursor, labelFilter, pageLimit, trueOrFalse } from "../query.ts";
import { blockedCodes, sessionStatuses, sessionView } from "../sessions.ts";

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
    description: "With the reason `operator`. Logged. Also stored for a record that cannot be read.",
    body: "no fields",
    answers: {
      200: { means: "It had ended already and is proven gone.", body: sessionView },
      202: { means: "It is being torn down.", body: sessionView },
    },
    problems: changeProblems,
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
    summary: "A tenant's seconds by status and provider",
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
    operation: "listRevokedKeys",
    method: "GET",
    path: "/v1/admin/keys/:tenant",
    summary: "A tenant's revoked keys",
    answers: { 200: { means: "All of them.", body: revocationPage } },
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
