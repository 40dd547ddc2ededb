/** Audits on the wire: a plan that changes nothing, and its application. Admin token only. */
import { z } from "zod";
import { instant } from "../../primitives.ts";

export const findingKinds = [
  "running_absent",
  "record_without_sandbox",
  "record_without_session",
  "sandbox_without_record",
  "file_without_owner",
] as const;

export const findingView = z.object({
  /**
   * `running_absent`: counted as running, its provider says nothing is there. `record_without_sandbox`: the same in another
   * phase. `record_without_session`: counted, its session has no record. `sandbox_without_record`: listed by a provider,
   * counted by nobody. `file_without_owner`: a workspace or snapshot whose session has no record.
   */
  kind: z.enum(findingKinds),
  session_id: z.string(),
  sandbox_id: z.string().nullable().describe("null: it is a snapshot."),
  generation: z.int().nullable().describe("null: it is a snapshot."),
  file: z
    .object({ kind: z.enum(["workspace", "snapshot"]), name: z.string() })
    .nullable()
    .describe("What lies on the provider's disk; null: the finding is no file."),
  tenant: z.string().nullable().describe("null: nobody counts it, or nobody knows."),
  provider: z.string().nullable(),
  detail: z.string(),
});
export type FindingView = z.infer<typeof findingView>;

export const auditPlanView = z.object({
  id: z.string(),
  created_at: instant,
  by: z.string(),
  plan_hash: z.string().describe("What `apply` must name."),
  expires_at: instant.describe("Past this it is not applied any more."),
  findings: z.array(findingView),
  complete: z.boolean().describe("Everything that was to be looked at was."),
  notes: z.array(z.string()).describe("What was not looked at, and why."),
  looked: z.object({ tenants: z.int(), records: z.int(), sandboxes: z.int() }),
});
export type AuditPlanView = z.infer<typeof auditPlanView>;

export const applyBody = z.strictObject({
  plan_hash: z.string().regex(/^[0-9a-f]{64}$/, "The `plan_hash` of the plan: 64 hex digits."),
});

export const auditResultView = z.object({
  plan_id: z.string(),
  applied_at: instant,
  by: z.string(),
  done: z.int(),
  skipped: z.int(),
  failed: z.int(),
  items: z.array(z.object({ finding: findingView, outcome: z.enum(["done", "skipped", "failed"]), why: z.string() })),
});
export type AuditResultView = z.infer<typeof auditResultView>;

export const auditView = z.object({ plan: auditPlanView, result: auditResultView.nullable() });
export const auditsPage = z.object({
  data: z.array(auditPlanView.omit({ findings: true }).extend({ findings: z.int() })),
});
