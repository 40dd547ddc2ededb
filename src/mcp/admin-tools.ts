/** The tools of the admin token: what needs attention, the figures, and every act as a plan that is read before it is applied. */
import type { McpServer } from "@modelcontextprotocol/server";
import { z } from "zod";
import type { MooringAdmin } from "../client/mooring.ts";
import { sessionIdText } from "../protocol/primitives.ts";
import { applyBody } from "../protocol/resources/operator/audits.ts";
import { cleanupBody } from "../protocol/resources/operator/cleanup.ts";
import { answered, changes, destroys, reads } from "./tool.ts";

const session_id = sessionIdText.describe("The id of a session of any tenant.");
const nothing = z.strictObject({});

export function adminTools(server: McpServer, admin: MooringAdmin): void {
  server.registerTool(
    "attention",
    {
      title: "What needs attention",
      description:
        "What needs somebody now, worst first, each with why and the call that ends it; with nothing wrong, the figures that show it. Start here. Changes nothing.",
      inputSchema: nothing,
      annotations: reads,
    },
    () => answered(() => admin.attention()),
  );

  server.registerTool(
    "fleet_stats",
    {
      title: "The fleet in figures",
      description:
        "Sandboxes and sessions by status, caps, drain, what is blocked, timeouts, cost per hour. Changes nothing.",
      inputSchema: nothing,
      annotations: reads,
    },
    () => answered(() => admin.stats()),
  );

  server.registerTool(
    "explain_session",
    {
      title: "Why a session of any tenant is as it is",
      description: "Why it is as it is, what blocks it, and the next call to make. Changes nothing.",
      inputSchema: z.strictObject({ session_id }),
      annotations: reads,
    },
    ({ session_id: id }) => answered(() => admin.explain(id)),
  );

  server.registerTool(
    "plan_audit",
    {
      title: "Plan an audit",
      description:
        "Compares records with sandboxes and answers a plan with its `plan_hash`. Changes nothing but the list of plans. Show the findings to a person before you apply them.",
      inputSchema: nothing,
      annotations: changes,
    },
    () => answered(() => admin.planAudit()),
  );

  server.registerTool(
    "apply_audit",
    {
      title: "Apply exactly that audit plan",
      description:
        "Ends and removes what the plan found; each finding is verified again first. CANNOT BE UNDONE. Only after a person has read the findings of plan_audit.",
      inputSchema: z.strictObject({ plan_id: z.string().max(64).describe("`id` of the plan."), ...applyBody.shape }),
      annotations: destroys,
    },
    ({ plan_id: id, plan_hash }) => answered(() => admin.applyAudit(id, { plan_hash })),
  );

  const { max_age_seconds, status, plan_hash } = cleanupBody.shape;
  const reason = cleanupBody.shape.reason.unwrap().describe("Why, for the history.");
  server.registerTool(
    "plan_cleanup",
    {
      title: "Tell what a cleanup would end",
      description:
        "Names each session that apply_cleanup would end, with the reason and what becomes of its files, and a `plan_hash`. Ends nothing.",
      inputSchema: z.strictObject({ max_age_seconds, status }),
      annotations: reads,
    },
    (body) => answered(() => admin.cleanUp({ ...body, dry_run: true, reason: "planned over MCP" })),
  );

  server.registerTool(
    "apply_cleanup",
    {
      title: "End what is overdue, stuck or lost",
      description:
        "Ends the sessions of all tenants that plan_cleanup named, with their files. CANNOT BE UNDONE. Only after a person has read that plan: with the same terms and its `plan_hash`. If it would end other sessions by now, it ends none.",
      inputSchema: z.strictObject({ max_age_seconds, status, reason, plan_hash: plan_hash.unwrap() }),
      annotations: destroys,
    },
    (body) => answered(() => admin.cleanUp(body)),
  );

  server.registerTool(
    "end_session",
    {
      title: "End a session of any tenant",
      description:
        "Stores its end and starts its teardown. CANNOT BE UNDONE: its files and processes are gone. Logged with the reason. Safe to repeat.",
      inputSchema: z.strictObject({ session_id, reason }),
      annotations: { ...destroys, idempotentHint: true },
    },
    ({ session_id: id, reason: why }) => answered(() => admin.endSession(id, { reason: why })),
  );
}
