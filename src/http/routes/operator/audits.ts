/** Audits: look and plan, read the plan, apply exactly that plan. */
import type { AuditPlan, AuditResult, Finding } from "../../../fleet/audits/plan.ts";
import {
  type AuditPlanView,
  type AuditResultView,
  type FindingView,
} from "../../../protocol/resources/operator/audits.ts";
import { auditContracts } from "../../../protocol/contracts/operator/cleanup-contracts.ts";
import { rfc3339 } from "../../../protocol/primitives.ts";
import { acted, askControl } from "../../admin-act.ts";
import { answered, mapped, refused } from "../../answer/problem.ts";
import { type AdminContext, json, type Route } from "../../route.ts";
import { type BodyOf, type Made, type QueryOf, serve, serveBody, serveQuery } from "../../serve.ts";

async function make(context: AdminContext): Promise<Made> {
  const reply = await acted(
    context,
    { action: "audit.plan", target: "", reason: "" },
    () => answered(context.backend.operations().planAudit("admin")),
    (plan) => `plan ${plan.id}: ${plan.findings.length} ${plan.findings.length === 1 ? "finding" : "findings"}`,
  );
  if (!reply.ok) return reply;
  return json(201, planView(reply.value), { location: `/v1/admin/audits/${reply.value.id}` });
}

async function list(context: AdminContext, query: QueryOf<typeof auditContracts.list>): Promise<Made> {
  const reply = await askControl(context, (control) => control.documents("audit_plan", query.limit));
  if (!reply.ok) return reply;
  const plans = reply.value.map((document) => planView(JSON.parse(document.body) as AuditPlan));
  return json(200, { data: plans.map((plan) => ({ ...plan, findings: plan.findings.length })) });
}

async function get(context: AdminContext): Promise<Made> {
  const id = context.param("id");
  const reply = await askControl(context, async (control) => {
    const [plan, result] = await Promise.all([
      control.document("audit_plan", id),
      control.document("audit_result", id),
    ]);
    return { plan, result };
  });
  if (!reply.ok) return reply;
  const { plan, result } = reply.value;
  if (plan === null) {
    return refused({
      code: "not_found",
      detail: "There is no audit with this id, or it was so long ago that it is gone. List them at /v1/admin/audits.",
    });
  }
  return json(200, {
    plan: planView(JSON.parse(plan.body) as AuditPlan),
    result: result === null ? null : resultView(JSON.parse(result.body) as AuditResult),
  });
}

async function apply(context: AdminContext, body: BodyOf<typeof auditContracts.apply>): Promise<Made> {
  const planId = context.param("id");
  const order = { planId, hash: body.plan_hash, by: "admin" };
  const reply = await acted(
    context,
    { action: "audit.apply", target: planId, reason: "" },
    () => context.backend.operations().applyAudit(order),
    (result) => {
      const { done, skipped, failed } = resultView(result);
      return `${done} done, ${skipped} skipped, ${failed} failed`;
    },
  );
  return mapped(reply, resultView);
}

function planView(plan: AuditPlan): AuditPlanView {
  return {
    id: plan.id,
    created_at: rfc3339(plan.createdAt),
    by: plan.by,
    plan_hash: plan.hash,
    expires_at: rfc3339(plan.expiresAt),
    findings: plan.findings.map(findingView),
    complete: plan.complete,
    notes: [...plan.notes],
    looked: plan.looked,
  };
}

function findingView(finding: Finding): FindingView {
  const { kind, sessionId, sandboxId, generation, provider, detail } = finding;
  const tenant = "tenant" in finding ? finding.tenant : null;
  const file = finding.kind === "file_without_owner" ? finding.file : null;
  return { kind, session_id: sessionId, sandbox_id: sandboxId, generation, file, tenant, provider, detail };
}

function resultView(result: AuditResult): AuditResultView {
  const count = (outcome: string) => result.items.filter((each) => each.outcome === outcome).length;
  return {
    plan_id: result.planId,
    applied_at: rfc3339(result.appliedAt),
    by: result.by,
    done: count("done"),
    skipped: count("skipped"),
    failed: count("failed"),
    items: result.items.map(({ finding, outcome, why }) => ({ finding: findingView(finding), outcome, why })),
  };
}

export const auditRoutes: readonly Route[] = [
  serve(auditContracts.make, make),
  serveQuery(auditContracts.list, list),
  serve(auditContracts.get, get),
  serveBody(auditContracts.apply, apply),
];
