/** The fleet on the wire: what an operator reads of all tenants together. Admin token only, but for a session's own usage. */
import { z } from "zod";
import { apiKeyScope } from "../../api-keys.ts";
import { instant, limits, plainText, tenantName } from "../../primitives.ts";
import { sessionStatuses } from "../session/sessions.ts";

export const usageFigure = z.object({ status: z.enum(sessionStatuses), provider: z.string(), seconds: z.number() });

export const usageView = z.object({
  session_id: z.string(),
  as_of: instant,
  usage: z
    .array(usageFigure)
    .describe("With three decimals: the figures add up to `total_seconds` exactly, which is the session's age."),
  total_seconds: z.number(),
});
export type UsageView = z.infer<typeof usageView>;

const monthView = z.object({
  from: instant.describe("The first moment of the calendar month, UTC."),
  until: instant.describe("When the next month begins, and the counting with it."),
  cost: z.number().describe("Spent in this month up to now, by the prices that each sandbox was launched with."),
  cost_per_hour: z.number().describe("What an hour of all that runs now adds."),
  max_cost: z
    .number()
    .nullable()
    .describe("TENANT_MAX_COST_PER_MONTH: used up, what costs something pauses or ends; null: without a bound."),
  currency: z.string().describe("The currency of the operator's prices."),
});

export const tenantUsageView = z.object({
  tenant: z.string(),
  sandboxes: z
    .object({
      used: z.int().describe("Sandboxes that count: from their reservation until they are proven gone."),
      limit: z.int().describe("As many as the tenant may have at once."),
    })
    .describe("How many sandboxes the tenant has, and may have."),
  month: monthView.describe("What the tenant has spent in this calendar month, and may spend."),
  usage: z
    .array(usageFigure)
    .describe("Sums over every session there ever was, as last reported: a session reports when it changes."),
  total_seconds: z.number(),
  sessions: z.int().describe("Sessions that are still registered."),
  imbalances: z.array(z.string()).describe("Empty, or the sums and the sessions' own figures do not agree."),
});
export type TenantUsageView = z.infer<typeof tenantUsageView>;

const counts = {
  granted: z.int(),
  /** By lease phase: what is open, and counts against the cap. */
  open: z.object({ reserved: z.int(), launching: z.int(), held: z.int(), stopping: z.int() }),
  /** Proven gone, or given back before anything was launched. */
  released: z.object({ proven: z.int(), cancelled: z.int() }),
  /** Gone on an operator's word alone: neither counted against the cap nor proven. */
  asserted: z.int(),
  snapshots: z
    .object({
      count: z.int().describe("Snapshots whose files may be there: kept, being saved, or not proven deleted."),
      bytes: z.int().describe("What they take together, as far as it is known."),
      deleting: z.int().describe("Of them, those that are to be deleted and are not proven gone yet."),
    })
    .describe("Files that are kept under a name, beyond their sessions."),
};

export const tenantLedgerView = z.object({
  tenant: z.string(),
  ...counts,
  used: z.int(),
  /** What the global cap has booked for it: at least `used`. */
  allowed: z.int(),
  /** In words, each naming what it is about. Empty: the books balance. */
  imbalances: z.array(z.string()),
});
export type TenantLedgerView = z.infer<typeof tenantLedgerView>;

export const ledgerView = z.object({
  balanced: z.boolean(),
  total: z.object({ ...counts, used: z.int() }),
  global: z.object({ limit: z.int(), booked: z.int() }),
  tenants: z.array(tenantLedgerView),
});
export type LedgerView = z.infer<typeof ledgerView>;

export const statsView = z.object({
  active: z.int(),
  provisioning: z.int(),
  terminating: z.int(),
  total_created: z.int(),
  total_destroyed: z.int(),
  asserted: z.int().describe("Of `total_destroyed`: on an operator's word alone."),
  sessions: z.record(z.string(), z.int()).describe("Sessions by status."),
  stuck: z.int(),
  blocked: z.record(z.string(), z.int()),
  tenants: z.int(),
  global: z.object({ limit: z.int(), booked: z.int() }),
  draining: z.object({ since: instant, by: z.string(), reason: z.string() }).nullable(),
  timeouts: z
    .object({
      window_seconds: z.int().describe("How far back these figures look."),
      percent: z
        .number()
        .describe("Of `samples`, with one decimal: what met its time limit. `sandbox_timeout_high` watches it."),
      samples: z.int().describe("Jobs that ended and launches that were begun."),
      jobs: z.int().describe("Jobs that met their own time limit."),
      launches: z.int().describe("Sessions that ended because no sandbox became ready in time."),
      provider_calls: z.int().describe("Provider calls without an answer within their bound."),
    })
    .describe("What met a time limit lately. A session's own clocks never count: they are planned."),
  oldest_running: z
    .object({ id: z.string(), tenant: z.string(), created_at: instant })
    .nullable()
    .describe("The session that has run the longest; null: none runs."),
  cost: z
    .object({
      per_hour: z.number().describe("What an hour of all that runs now costs."),
      currency: z.string().describe("The currency of the operator's prices."),
    })
    .nullable()
    .describe("null: the operator has set no prices."),
  canary: z
    .object({
      planted_at: instant.nullable().describe("Since when one is out; null: none is."),
      found_after_seconds: z.number().nullable().describe("How long the last one lived; null: none has ended yet."),
      ended_by: z
        .enum(["audit", "itself", "nobody"])
        .nullable()
        .describe("What ended the last one: the audit, its own fence, or nobody in time. null: none has ended yet."),
      missed: z.boolean().describe("true: it was not found and ended in time, which is the alert `canary_missed`."),
    })
    .describe("The orphan that Mooring plants once a day to see that orphans are found. Off unless CANARY is `daily`."),
  restore_drill: z
    .object({
      proven: z.int().describe("Drills in which the saved files of a paused session came back as they were saved."),
      failed: z.int().describe("Drills in which they did not."),
      inconclusive: z.int().describe("Drills that said nothing: there was no sandbox or time, or the session went on."),
      last_proven_at: instant.nullable().describe("When one last went well; null: none has."),
      failing: z.array(z.string()).describe("Sessions whose files could not be restored twice: `restore_failed`."),
    })
    .describe("Test restores of paused sessions. Off unless RESTORE_DRILL_MINUTES is set."),
});
export type StatsView = z.infer<typeof statsView>;

/** One session of any tenant, from the index: as old as `as_of`. */
export const fleetListItem = z.object({
  id: z.string(),
  tenant: z.string(),
  status: z.enum(sessionStatuses),
  terminate_reason: z.string().nullable(),
  blocked: z.string().nullable(),
  stuck_since: instant.nullable(),
  created_at: instant,
  started_at: instant.nullable(),
  end_at: instant,
  expires_at: instant.nullable(),
  last_activity_at: instant.nullable(),
  active_jobs: z.int(),
  phase: z.enum(["none", "launching", "held", "stopping", "closed"]),
  generation: z.int().nullable(),
  sandbox_id: z.string().nullable(),
  ghosts: z.int(),
  stop_attempts: z.int(),
  last_error: z.string().nullable(),
  provider: z.string(),
  isolation: z.enum(["session", "shared"]),
  template: z
    .string()
    .nullable()
    .describe(
      "What its sandboxes start from. null: an older version made this row, and the session has not reported since.",
    ),
  labels: z.record(z.string(), z.string()),
  agent_type: z.string().nullable(),
  task_id: z.string().nullable(),
  critical: z.boolean(),
  as_of: instant,
});
export type FleetListItem = z.infer<typeof fleetListItem>;
export const fleetPage = z.object({ data: z.array(fleetListItem), next_cursor: z.string().nullable() });

export const adminLogItem = z.object({
  sequence: z.int(),
  at: instant,
  actor: z.string(),
  action: z.string(),
  target: z.string(),
  reason: z.string(),
  request_id: z.string(),
  outcome: z.string(),
});
export const adminLogPage = z.object({ data: z.array(adminLogItem), next_cursor: z.string().nullable() });
export type AdminLogPage = z.infer<typeof adminLogPage>;

export const shardBuildView = z.object({
  shard: z.string(),
  state: z.enum(["built", "building", "silent"]),
  sessions: z.int().nullable(),
});
export const rebuildView = z.object({ shards: z.array(shardBuildView) });
export type RebuildView = z.infer<typeof rebuildView>;

export const reasonBody = z.strictObject({ reason: plainText(limits.reasonText).min(3, "Say why, in some words.") });
/** The reason may stay out: a key that leaked is revoked first and explained later. */
export const optionalReasonBody = z.strictObject({ reason: plainText(limits.reasonText).optional() });
export const tenantQuery = z.strictObject({ tenant: tenantName });

export const revocationView = z.object({ tenant: z.string(), key_id: z.string(), revoked_at: instant });
export const allRevokedView = z.object({
  tenant: z.string(),
  all_revoked_before: instant.describe("Keys that were issued then or earlier open nothing any more."),
});
export const apiKeyView = z.object({
  tenant: z.string(),
  key_id: z.string(),
  scopes: z
    .array(apiKeyScope)
    .describe("What it may do. None of `read`, `run`, `manage`: all three, as for every key without them."),
  issued_at: instant.describe("When it was made."),
  expires_at: instant.nullable().describe("When it ends by itself; null: never."),
  first_used_at: instant.nullable().describe("null: its use is not remembered."),
  last_used_at: instant.nullable().describe("To within some ten minutes; null: its use is not remembered."),
  revoked_at: instant.nullable().describe("When it was revoked, alone or with all of its tenant; null: it was not."),
});
export type ApiKeyView = z.infer<typeof apiKeyView>;
export const apiKeyPage = z.object({
  data: z.array(apiKeyView),
  all_revoked_before: instant
    .nullable()
    .describe("All of the tenant's keys that were issued then or earlier are revoked; null: that was never done."),
});
export type RevocationView = z.infer<typeof revocationView>;
