/** Cleanup, drain and the history of the layers on the wire. Admin token only. */
import { z } from "zod";
import { instant, limits, plainText } from "../../primitives.ts";
import { sessionStatuses } from "../session/sessions.ts";

const reason = plainText(limits.reasonText).min(3, "Say why, in some words.");
const planHash = z
  .string()
  .regex(/^[0-9a-f]{64}$/, "The `plan_hash` of the dry run: 64 hex digits.")
  .optional()
  .describe(
    "`plan_hash` of a dry run of the same order: it is carried out only if it would end the very same sessions still.",
  );

/** Without a field: ends what is overdue, stuck, or lost its sandbox. */
export const cleanupBody = z.strictObject({
  max_age_seconds: z
    .int("Whole seconds.")
    .min(1, "At least 1 second.")
    .max(31_536_000, "At most a year.")
    .optional()
    .describe("Ends whatever is at least this old instead, as long as it is not critical."),
  status: z.enum(sessionStatuses).optional().describe("Only sessions of this status."),
  dry_run: z.boolean().optional().describe("Tell what would end, and end nothing."),
  reason: reason.optional().describe("For the history."),
  plan_hash: planHash,
});

export const emergencyBody = z.strictObject({
  reason,
  dry_run: z.boolean().optional().describe("Tell what would end and what becomes of its files, and end nothing."),
  include_paused: z
    .boolean()
    .optional()
    .describe("Sessions that hold no sandbox (pausing, paused, lost) too. Their saved files are deleted with them."),
  plan_hash: planHash,
});

export const cleanupOutcomes = ["ended", "kept", "gone", "failed", "unclear", "not_reached", "would_end"] as const;

export const cleanupReply = z.object({
  run_id: z.string(),
  dry_run: z.boolean(),
  plan_hash: z
    .string()
    .nullable()
    .describe("Of a dry run: what the order must name to be carried out as it was planned. null: it was carried out."),
  /** Chosen from the index. */
  found: z.int(),
  /** Whose end is stored; each has its own teardown and receipt from here on. */
  ended: z.int(),
  /**
   * One for each chosen session. `kept`: the session itself judged otherwise. `gone`: it has no record. `unclear`: it did
   * not answer in time. `not_reached`: no time was left.
   */
  results: z.array(
    z.object({
      id: z.string(),
      outcome: z.enum(cleanupOutcomes),
      why: z.string(),
      detail: z.string(),
      files: z.string().describe("In words: what becomes of the session's files."),
    }),
  ),
  /** Parts of the index that did not answer: their sessions were not looked at. */
  silent_shards: z.array(z.string()),
  /** There was more than one run takes: send it again. */
  more: z.boolean(),
});
export type CleanupReply = z.infer<typeof cleanupReply>;

export const drainBody = z.strictObject({
  draining: z.boolean().describe("true: no new sessions from now on. false: they are taken again."),
  reason,
});
export const drainReply = z.object({
  draining: z.boolean(),
  since: instant.nullable(),
  by: z.string().nullable(),
  reason: z.string().nullable(),
});
export type DrainReply = z.infer<typeof drainReply>;

export const runView = z.object({
  id: z.string(),
  layer: z.string(),
  by: z.string(),
  reason: z.string(),
  started_at: instant,
  /** null: under way, or it never came to its end. */
  ended_at: instant.nullable(),
  outcome: z.enum(["ok", "partial", "failed"]).nullable(),
  found: z.int(),
  done: z.int(),
  skipped: z.int(),
  failed: z.int(),
});
export type RunView = z.infer<typeof runView>;

/** With what the layer itself noted: results by id, gaps. */
export const runDetailView = runView.extend({ detail: z.unknown() });

export const layerView = z.object({
  layer: z.string(),
  last_started_at: instant,
  last_ended_at: instant.nullable(),
  last_outcome: z.enum(["ok", "partial", "failed"]).nullable(),
  last_ok_at: instant.nullable(),
  /** Of at most 100 ended runs: how many were wholly ok, 0 to 1. null: none has ended. */
  success_rate: z.number().nullable(),
  failures_in_row: z.int(),
});
export const runsPage = z.object({
  layers: z.array(layerView),
  data: z.array(runView),
  next_before: instant.nullable().describe("Pass as `before` for older runs."),
});
export type RunsPage = z.infer<typeof runsPage>;
