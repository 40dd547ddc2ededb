/** Shared containers on the wire: who is in one, how its end stands, and the audited ways out when that is never proven. */
import { z } from "zod";
import { providerNames } from "../../../domain/state/provider-names.ts";
import { instant, limits, plainText, tenantName } from "../../primitives.ts";
import { cursor, pageLimit } from "../../query.ts";
import { observationView } from "../session/sessions.ts";

/** As minted: named by the sandbox id of its founder. */
export const containerIdPattern = /^shared-[a-z0-9]{20}-g\d{1,16}$/;
export const containerIdText = z
  .string()
  .regex(containerIdPattern, "`shared-` and the sandbox id of its first member, as the list shows it.");

export const containerPhases = ["open", "stopping", "gone"] as const;

export const containerMemberView = z.object({
  session_id: z.string(),
  sandbox_id: z.string(),
  generation: z.int(),
  state: z
    .enum(["reserved", "launching", "held", "stopping", "asserted"])
    .describe("As its session last told. `asserted`: gone on an operator's word."),
  since: instant,
});

export const containerEndView = z.object({
  reason: z.enum(["empty", "stranded"]).describe("`stranded`: what was in it could not be stopped in time."),
  requested_at: instant,
  attempts: z.int().describe("All that were begun."),
  next_attempt_at: instant.nullable().describe("null: one is under way, or none is needed any more."),
  overdue_at: instant
    .nullable()
    .describe("From then on it is past its bound and `teardown_overdue` fires. null: proven or asserted gone."),
  last_error: z.string().nullable().describe("Why the last attempt proved nothing."),
  retired_at: instant.nullable().describe("From then on nothing can be launched in it."),
  observations: z.array(observationView).describe("The newest 20."),
  asserted_absent: z
    .object({ at: instant, by: z.string(), reason: z.string() })
    .nullable()
    .describe("An operator's word; never shown as verification."),
  verified_absent_at: instant.nullable().describe("Only ever from two independent looks after retirement."),
  evidence: z.string().nullable().describe("The proof in words; null while there is none."),
});

export const containerView = z.object({
  id: z.string(),
  tenant: z.string(),
  provider: z.enum(providerNames),
  host: z.string().nullable().describe("Where it is; null: nothing was launched in it yet."),
  phase: z
    .enum(containerPhases)
    .describe("`open`: joined and left. `stopping`: being ended, joined by nobody. `gone`: proven gone."),
  created_at: instant,
  since: instant.describe("Since when it is in this phase."),
  members: z.array(containerMemberView).describe("Everything in it that is not proven gone."),
  takes_no_newcomers: z
    .string()
    .nullable()
    .describe("Why nobody is let in any more although it is open; null: that is not so."),
  end: containerEndView.nullable().describe("null while it is open."),
});
export type ContainerView = z.infer<typeof containerView>;

export const containerPage = z.object({ data: z.array(containerView), next_cursor: z.string().nullable() });

export const containerListQuery = z.strictObject({
  limit: pageLimit,
  cursor: cursor.optional(),
  tenant: tenantName.optional(),
  phase: z.enum(containerPhases).optional(),
});

export const containerOwnerQuery = z.strictObject({
  tenant: tenantName.optional().describe("Whose it is. Left out, every registry is asked."),
});

export const resolveContainerBody = z.strictObject({
  action: z
    .enum(["retry_stop", "assert_absent"])
    .describe("`retry_stop`: a new round of attempts, the first at once. `assert_absent`: 'I know it is gone'."),
  reason: plainText(limits.reasonText)
    .min(3, "Say why, in some words.")
    .describe("Kept in the admin log; of an assertion with the container too."),
});
