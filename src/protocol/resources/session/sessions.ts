/** Sessions on the wire: create, view, clocks, teardown. Field names are the API; times RFC 3339 UTC, durations whole seconds. */
import { z } from "zod";
import type { Observation } from "../../../domain/state/observation.ts";
import { terminateReasonNames } from "../../../domain/state/reasons.ts";
import { environment, instant, labels, plainText, portHost, rfc3339 } from "../../primitives.ts";
import { networkOrder, networkView } from "./network.ts";
import { workspaceOrder } from "../../sandbox/workspace.ts";

/** Seconds a client may ask for, before the configured maximum is applied (the session checks that: it names the allowed range). */
const seconds = z.int("Whole seconds.").min(1, "At least 1 second.").max(31_536_000, "At most a year.");

/** An amount of money, in whole units of the operator's currency; down to a millionth. */
const cost = z.number().min(0.000001, "At least a millionth.").max(1_000_000, "At most a million.");
export const budgetBody = z.strictObject({ max_cost: cost.nullable().describe("null: without a budget.") });

export const onTimeout = z.enum(["kill", "pause"]);
export const onLoss = z.enum(["hold", "relaunch", "terminate"]);

export const isolation = z.enum(["session", "shared"]);

export const createSession = z.strictObject({
  /** `shared`: a slot in one container with other sessions of the tenant, with a workspace and a wrapper of its own. */
  isolation: isolation.optional(),
  template: plainText(64)
    .optional()
    .describe("What its sandboxes start from: a name of the operator's list. Absent: the default one."),
  snapshot: plainText(64)
    .optional()
    .describe("The id or the name of a snapshot of the tenant: its files are what the session begins with."),
  network: networkOrder.optional().describe("What its sandbox may reach. Absent: as the operator has set it."),
  timeout_seconds: seconds.optional(),
  idle_timeout_seconds: seconds.nullable().optional().describe("null switches the idle clock off."),
  max_lifetime_seconds: seconds.optional(),
  max_cost: cost
    .optional()
    .describe(
      "At most this much, in the currency of the operator's prices. Used up: it pauses with its files where it can, else it ends, reason `budget`.",
    ),
  on_timeout: onTimeout.optional(),
  on_loss: onLoss.optional(),
  auto_resume: z
    .boolean()
    .optional()
    .describe("A job, stdin, traffic to the sandbox or a new snapshot resumes a paused session by itself."),
  public_ports: z
    .boolean()
    .optional()
    .describe("true: the host name of a port opens it, for whoever knows the session's id. Needs TRAFFIC_DOMAIN."),
  port_host: portHost
    .optional()
    .describe("What servers in the sandbox get as `Host`; `${PORT}` in it is the port. Left out: `localhost:<port>`."),
  env: environment.optional(),
  /** Prepared before the first job: a repository, setup commands. A step that fails ends the session as failed. */
  workspace: workspaceOrder.optional(),
  labels: labels.optional(),
  agent_type: plainText(64).optional(),
  task_id: plainText(128).optional(),
  critical: z
    .boolean()
    .optional()
    .describe("Protected from emergency cleanup until max lifetime; needs a key with the scope `critical`."),
});
export type CreateSession = z.infer<typeof createSession>;

export const updateBody = z.strictObject({ network: networkOrder });
export const setTimeoutBody = z.strictObject({ timeout_seconds: seconds });
export const resumeBody = z.strictObject({ timeout_seconds: seconds.optional() });
/** Said out loud, because what is not saved is gone. */
export const rebuildBody = z.strictObject({
  confirm: z.literal(true, "Say `true`: what cannot be saved will be gone."),
});
export const refreshBody = z.strictObject({ duration_seconds: seconds });

export const sessionStatuses = [
  "provisioning",
  "running",
  "recovering",
  "pausing",
  "paused",
  "lost",
  "terminating",
  "terminated",
  "failed",
] as const;

export const blockedCodes = [
  "parked",
  "unreadable",
  "newer_record",
  "adapter_missing",
  "env_unreadable",
  "no_capacity",
  "quota_exhausted",
  "budget_spent",
  "snapshot_not_deleted",
  "pause_failing",
  "unavailable",
  "insufficient_space",
  "space_unmeasurable",
  "filesystem_unusable",
] as const;

export const blocked = z.object({ code: z.enum(blockedCodes), since: instant, retry_at: instant.nullable() });

export const observationView = z.object({
  at: instant,
  asked: z.string().describe("Who was asked: provider, host and sandbox."),
  answer: z.enum(["present", "absent", "unknown"]),
  detail: z.string(),
});

export function viewOfLook(look: Observation): z.infer<typeof observationView> {
  const { provider, host, sandboxId, answer, detail } = look;
  const asked = host === null ? `${provider}/${sandboxId}` : `${provider}/${host}/${sandboxId}`;
  return { at: rfc3339(look.beganAt), asked, answer, detail };
}

export const stopAttemptView = z.object({
  attempt: z.int(),
  started_at: instant,
  ended_at: instant.nullable().describe("null: it never answered (crash or bound)."),
  outcome: z.enum(["verified_absent", "still_present", "unverified", "failed", "abandoned", "acting"]),
  error: z.string().nullable(),
});

export const teardownView = z.object({
  session_id: z.string(),
  generation: z.int(),
  sandbox_id: z.string(),
  phase: z.enum(["stopping", "closed"]),
  reason: z.string(),
  requested_at: instant,
  attempts: z.array(stopAttemptView),
  observations: z.array(observationView).describe("The newest 20."),
  parked: z.boolean(),
  next_attempt_at: instant.nullable(),
  verified_absent_at: instant.nullable().describe("Only ever from two independent looks after retirement."),
  asserted_absent_at: instant.nullable().describe("An operator's word; never shown as verification."),
  evidence: z.string().nullable().describe("The proof in words; null while there is none."),
});
export type TeardownView = z.infer<typeof teardownView>;

export const workspaceStepView = z.object({
  name: z.string(),
  state: z.enum(["pending", "running", "succeeded", "failed", "timed_out"]),
  started_at: instant.nullable(),
  ended_at: instant.nullable(),
  duration_ms: z.int().nullable(),
  exit_code: z.int().nullable(),
  /** The end of what it wrote, without the values of its environment; null before it began. */
  last_output: z.string().nullable(),
});

/** How far the session's workspace is. `restored`: its files came from a snapshot, so its steps were skipped. */
export const workspaceView = z.object({
  state: z.enum(["pending", "preparing", "prepared", "restored", "failed"]),
  /** In whose sandbox; null before the first. */
  generation: z.int().nullable(),
  steps: z.array(workspaceStepView),
});

export const sessionView = z.object({
  id: z.string(),
  status: z.enum(sessionStatuses),
  blocked: blocked.nullable(),
  terminate_reason: z.enum(terminateReasonNames).nullable(),
  created_at: instant,
  started_at: instant.nullable().describe("When the sandbox first accepted its lease."),
  refreshed_at: instant.nullable().describe("The last accepted timeout, refresh or resume."),
  end_at: instant,
  idle_at: instant
    .nullable()
    .describe("null while a job runs, while there is no sandbox, and when the idle clock is off."),
  expires_at: instant.nullable().describe("The earliest clock. null once terminated."),
  terminated_at: instant.nullable(),
  generation: z.int().nullable().describe("The newest generation; null before the first lease."),
  provider: z.string(),
  isolation,
  /** The shared container that the newest sandbox is a place in; null: it has one of its own, or there is none. */
  container_id: z.string().nullable(),
  jobs_apart: z
    .object({
      proven: z.boolean().describe("Nothing is in `unproven`."),
      unproven: z.array(z.string()).describe("What could not be proven, each in a sentence."),
    })
    .nullable()
    .describe(
      "What its newest sandbox found about jobs when it started: that they have a user of their own and no capability, and cannot read what is the agent's; in a container of its own also that no process of root answers them. null: it did not look.",
    ),
  template: z.string().describe("What its sandboxes start from."),
  network: networkView,
  timeout_seconds: z.int(),
  idle_timeout_seconds: z.int().nullable(),
  max_lifetime_seconds: z.int(),
  max_cost: z.number().nullable().describe("Its budget; null: it has none."),
  cost: z.number().nullable().describe("What it has cost so far; null: its provider has no price."),
  currency: z
    .string()
    .nullable()
    .describe("Of `cost` and `max_cost`, as the operator's price table names it; null: there is no price."),
  budget_at: instant
    .nullable()
    .describe("When `max_cost` will be used up if its sandbox stays; null: nothing counts against it now."),
  on_timeout: onTimeout,
  on_loss: onLoss,
  auto_resume: z.boolean(),
  public_ports: z.boolean().describe("Whether the host names of its ports open them without a credential."),
  port_host: z
    .string()
    .nullable()
    .describe("What servers in the sandbox get as `Host`; `${PORT}` in it is the port. null: `localhost:<port>`."),
  labels: z.record(z.string(), z.string()),
  agent_type: z.string().nullable(),
  task_id: z.string().nullable(),
  critical: z.boolean(),
  workspace: workspaceView.nullable().describe("null: none was asked for."),
  restoring: z
    .object({
      done_bytes: z.int().describe("Unpacked so far."),
      total_bytes: z.int().nullable().describe("null: it has not begun."),
    })
    .nullable()
    .describe("While a resume or rebuild unpacks the saved files: how far it is. null: nothing is being restored."),
  failure: z
    .string()
    .nullable()
    .describe(
      "What went wrong: why it ended; while it starts, what the last try met; otherwise why the last pause, resume or rebuild failed.",
    ),
  last_proven_restorable_at: instant
    .nullable()
    .describe(
      "When the files that a resume would bring back were last restored elsewhere, read whole, and found as they were saved. null: not yet, or there are none. Operators choose how often (RESTORE_DRILL_MINUTES).",
    ),
  ghosts: z.int().describe("Open ghosts: replaced sandboxes that are not yet proven gone."),
  teardown: teardownView
    .nullable()
    .describe("Present while anything is being torn down, and afterwards (the receipt)."),
});
export type SessionView = z.infer<typeof sessionView>;

/** One row of a list: from the index, so as old as `as_of`. */
export const sessionListItem = z.object({
  id: z.string(),
  status: z.enum(sessionStatuses),
  created_at: instant,
  end_at: instant,
  expires_at: instant.nullable(),
  generation: z.int().nullable(),
  provider: z.string(),
  template: z
    .string()
    .nullable()
    .describe(
      "What its sandboxes start from. null: an older version made this row, and the session has not reported since.",
    ),
  blocked: z
    .string()
    .nullable()
    .describe("The code of what keeps it from going on; its `explain` says it in words. null: nothing does."),
  labels: z.record(z.string(), z.string()),
  agent_type: z.string().nullable(),
  task_id: z.string().nullable(),
  critical: z.boolean(),
  as_of: instant,
});
export type SessionListItem = z.infer<typeof sessionListItem>;

export const sessionPage = z.object({ data: z.array(sessionListItem), next_cursor: z.string().nullable() });

export const keepaliveReply = z.object({ idle_at: instant.nullable(), expires_at: instant.nullable() });
export const interruptReply = z.object({
  interrupted: z.array(z.string()).describe("Jobs that were running and are being ended."),
  queued: z.array(z.string()).describe("Jobs that stay queued."),
});
