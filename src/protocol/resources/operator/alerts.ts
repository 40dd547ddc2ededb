/** Alerts on the wire: `GET /v1/admin/alerts`, and what is posted to ALERT_WEBHOOK_URL. */
import { z } from "zod";
import { instant } from "../../primitives.ts";

const context = z.record(z.string(), z.union([z.string(), z.number()]));

export const alertView = z.object({
  name: z.string(),
  severity: z.enum(["warning", "critical"]),
  phase: z.enum(["clear", "pending", "firing"]).describe("`pending`: it is bad, but not yet for long enough."),
  since: instant.describe("Of this phase."),
  summary: z.string(),
  /** What was seen; empty while clear. */
  context,
  page: z.string().describe("The section to read, and the first thing to run."),
  command: z.string(),
  cli: z
    .string()
    .nullable()
    .describe("The same with Mooring's command line. null: the last look was made by an older version."),
  undelivered: z.enum(["fired", "cleared"]).nullable().describe("A change that the webhook has not taken yet."),
});
export type AlertView = z.infer<typeof alertView>;

export const alertsView = z.object({
  looked_at: instant
    .nullable()
    .describe("The last look; null: the fleet was never looked at (no tenant has ever come)."),
  stale: z.boolean().describe("The watch is late by more than two looks: what is below is old."),
  data: z.array(alertView).describe("Firing first."),
});
export type AlertsView = z.infer<typeof alertsView>;

export const alertNotice = z.object({
  alert: z.string(),
  change: z.enum(["fired", "cleared"]),
  severity: z.enum(["warning", "critical"]),
  summary: z.string(),
  since: instant,
  context,
  page: z.string(),
  command: z.string(),
});
export type AlertNotice = z.infer<typeof alertNotice>;
