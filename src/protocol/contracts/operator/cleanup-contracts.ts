/** Cleanup by hand, emergency, drain, the history of the layers; and audits. */
import { z } from "zod";
import { applyBody, auditPlanView, auditResultView, auditsPage, auditView } from "../../resources/operator/audits.ts";
import {
  cleanupBody,
  cleanupReply,
  drainBody,
  drainReply,
  emergencyBody,
  runDetailView,
  runsPage,
} from "../../resources/operator/cleanup.ts";
import { contract } from "../../contract.ts";
import { pageLimit, timeParameter } from "../../query.ts";

const admin = { access: "admin", tag: "Cleanup and audits" } as const;
const anyId = z.string().meta({ description: "As listed." });

export const runsQuery = z.strictObject({
  limit: pageLimit,
  layer: z
    .string()
    .regex(/^[a-z_]{1,32}$/, "The name of a layer, such as sweep.")
    .optional(),
  before: timeParameter.optional().describe("`next_before` of the page before."),
});
export const auditsQuery = z.strictObject({ limit: pageLimit });

export const cleanupContracts = {
  cleanup: contract({
    ...admin,
    operation: "cleanUp",
    method: "POST",
    path: "/v1/admin/cleanup",
    summary: "End what is overdue, stuck or lost",
    body: { schema: cleanupBody, required: false, example: { dry_run: true } },
    answers: { 200: { means: "Each session that was chosen, with what came of it.", body: cleanupReply } },
    problems: ["precondition_failed"],
  }),
  emergency: contract({
    ...admin,
    operation: "cleanUpEmergency",
    method: "POST",
    path: "/v1/admin/cleanup/emergency",
    summary: "End everything that holds a sandbox and is not critical",
    description:
      "Try it with `dry_run` first: it lists each session, and what becomes of its files. Sessions that hold no sandbox (pausing, paused, lost) are listed and left alone unless `include_paused` is true.",
    body: { schema: emergencyBody, required: true, example: { dry_run: true, reason: "what would it end?" } },
    answers: { 200: { means: "Each session that was chosen, with what came of it.", body: cleanupReply } },
    problems: ["precondition_failed"],
  }),
  runs: contract({
    ...admin,
    operation: "listCleanupRuns",
    method: "GET",
    path: "/v1/admin/cleanup/runs",
    summary: "What the cleanup layers did",
    query: runsQuery,
    answers: { 200: { means: "How each layer stands, and one page of runs.", body: runsPage } },
  }),
  run: contract({
    ...admin,
    operation: "getCleanupRun",
    method: "GET",
    path: "/v1/admin/cleanup/runs/:run",
    summary: "One run, with what it noted",
    parameters: { run: anyId },
    answers: { 200: { means: "The run.", body: runDetailView } },
    problems: ["not_found"],
  }),
  drain: contract({
    ...admin,
    operation: "drain",
    method: "POST",
    path: "/v1/admin/drain",
    summary: "Stop taking new sessions, or take them again",
    body: { schema: drainBody, required: true, example: { draining: true, reason: "an upgrade of the cluster" } },
    answers: { 200: { means: "As it stands now.", body: drainReply } },
  }),
} as const;

export const auditContracts = {
  make: contract({
    ...admin,
    operation: "planAudit",
    method: "POST",
    path: "/v1/admin/audits",
    summary: "Compare records and sandboxes; plan, change nothing",
    body: "no fields",
    answers: { 201: { means: "The plan.", body: auditPlanView, headers: ["location"] } },
  }),
  list: contract({
    ...admin,
    operation: "listAudits",
    method: "GET",
    path: "/v1/admin/audits",
    summary: "The newest plans",
    query: auditsQuery,
    answers: { 200: { means: "Newest first.", body: auditsPage } },
  }),
  get: contract({
    ...admin,
    operation: "getAudit",
    method: "GET",
    path: "/v1/admin/audits/:id",
    summary: "One plan, and what came of it",
    parameters: { id: anyId },
    answers: { 200: { means: "The plan, and its result once it was applied.", body: auditView } },
    problems: ["not_found"],
  }),
  apply: contract({
    ...admin,
    operation: "applyAudit",
    method: "POST",
    path: "/v1/admin/audits/:id/apply",
    summary: "Apply exactly that plan",
    description: "Each finding is verified again; what no longer holds is skipped and said to be.",
    parameters: { id: anyId },
    body: { schema: applyBody, required: true, example: { plan_hash: "0".repeat(64) } },
    answers: { 200: { means: "What was done, skipped, and failed.", body: auditResultView } },
    problems: ["not_found", "precondition_failed", "conflict"],
  }),
} as const;
