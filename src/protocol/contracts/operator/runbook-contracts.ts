/** The paths, words and fields of the operations runbook. Its own names for what the native routes do; errors are the native ones. */
import { z } from "zod";
import { cleanupReply, emergencyBody } from "../../resources/operator/cleanup.ts";
import { changeProblems, contract, liveReadProblems, sessionProblems } from "../../contract.ts";
import { hintView } from "../../resources/session/insight.ts";
import { instant, limits, plainText } from "../../primitives.ts";
import { wholeNumber } from "../../query.ts";

export const runbookStatuses = ["provisioning", "running", "paused", "terminating", "failed", "terminated"] as const;
export type RunbookStatus = (typeof runbookStatuses)[number];

export const runbookItem = z.object({
  id: z.string(),
  status: z.enum(runbookStatuses),
  created_at: instant,
  age_minutes: z.int().describe("Whole minutes."),
  agent_type: z.string().nullable(),
  task_id: z.string().nullable(),
});
export type RunbookItem = z.infer<typeof runbookItem>;

export const runbookStats = z.object({
  active: z.int(),
  provisioning: z.int(),
  terminating: z.int(),
  total_created: z.int(),
  total_destroyed: z.int(),
});

const runbookLogs = z.object({
  id: z.string(),
  logs: z.string(),
  last_activity_at: instant,
  diagnosis: z.array(hintView),
});
const runbookResources = z.object({
  cpu_percent: z.number(),
  memory_mb: z.number(),
  duration_ms: z.int(),
  operations: z.int().nullable(),
});

/** Lenient: a parameter or field that the runbook does not know is ignored. */
export const runbookListQuery = z.object({
  status: z.enum(runbookStatuses).optional(),
  limit: wholeNumber({ min: 1, max: 1_000, usual: 1_000 }),
  cursor: z.string().max(100).optional().describe("`X-Next-Cursor` of the page before."),
});
export const runbookCleanupBody = z.object({
  max_age_seconds: z.int("Whole seconds.").min(1, "At least 1 second.").max(31_536_000, "At most a year.").optional(),
  status: z.enum(runbookStatuses).optional(),
  dry_run: z.boolean().optional(),
  reason: plainText(limits.reasonText).optional(),
});
export const runbookEmergencyBody = runbookCleanupBody
  .pick({ dry_run: true, reason: true })
  .extend({ include_paused: emergencyBody.shape.include_paused });

const admin = { access: "admin", tag: "Runbook" } as const;

export const runbookContracts = {
  stats: contract({
    ...admin,
    operation: "runbookStats",
    method: "GET",
    path: "/api/sandbox/stats",
    summary: "Counts of sandboxes",
    answers: { 200: { means: "By lease phase.", body: runbookStats } },
  }),
  list: contract({
    ...admin,
    operation: "runbookList",
    method: "GET",
    path: "/api/sandbox/list",
    summary: "Sandboxes, newest first",
    query: runbookListQuery,
    answers: { 200: { means: "A bare array.", body: z.array(runbookItem), headers: ["x-next-cursor"] } },
  }),
  cleanup: contract({
    ...admin,
    operation: "runbookCleanup",
    method: "POST",
    path: "/api/sandbox/cleanup",
    summary: "End what is overdue, stuck or lost",
    body: { schema: runbookCleanupBody, required: false, lenient: true, example: { dry_run: true } },
    answers: { 200: { means: "Each that was chosen, with what came of it.", body: cleanupReply } },
  }),
  emergency: contract({
    ...admin,
    operation: "runbookEmergency",
    method: "POST",
    path: "/api/sandbox/cleanup/emergency",
    summary: "End everything that is not critical",
    body: { schema: runbookEmergencyBody, required: false, lenient: true, example: { dry_run: true } },
    answers: { 200: { means: "Each that was chosen, with what came of it.", body: cleanupReply } },
  }),
  get: contract({
    ...admin,
    operation: "runbookGet",
    method: "GET",
    path: "/api/sandbox/:id",
    summary: "One sandbox",
    answers: { 200: { means: "As it stands.", body: runbookItem } },
    problems: ["not_found", "unreadable_record"],
  }),
  delete: contract({
    ...admin,
    operation: "runbookDelete",
    method: "DELETE",
    path: "/api/sandbox/:id",
    summary: "End one sandbox",
    answers: {
      200: { means: "It had ended already and is proven gone.", body: runbookItem },
      202: { means: "It is being torn down.", body: runbookItem },
    },
    problems: changeProblems,
  }),
  logs: contract({
    ...admin,
    operation: "runbookLogs",
    method: "GET",
    path: "/api/sandbox/:id/logs",
    summary: "Its logs as one text",
    answers: { 200: { means: "What is there.", body: runbookLogs } },
    problems: sessionProblems,
  }),
  resources: contract({
    ...admin,
    operation: "runbookResources",
    method: "GET",
    path: "/api/sandbox/:id/resources",
    summary: "What it uses",
    answers: { 200: { means: "The newest sample.", body: runbookResources } },
    problems: liveReadProblems,
  }),
} as const;
