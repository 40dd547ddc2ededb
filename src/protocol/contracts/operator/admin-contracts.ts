/** `/v1/admin`: what an operator reads and does of the whole fleet, its tenants and their keys. */
import { z } from "zod";
import { alertsView } from "../../resources/operator/alerts.ts";
import { contract } from "../../contract.ts";
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
import { plainText, tenantName } from "../../primitives.ts";
import { cursor, labelFilter, pageLimit, trueOrFalse } from "../../query.ts";
import { blockedCodes, sessionStatuses } from "../../resources/session/sessions.ts";

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
