/** What a session's sandbox uses and says: for its tenant, and for an operator of any tenant's. Reads; nothing is woken. */
import { anySessionContracts } from "../../../protocol/contracts/operator/any-session-contracts.ts";
import { sessionReadContracts } from "../../../protocol/contracts/session/session-read-contracts.ts";
import { logsQuery } from "../../../protocol/resources/session/insight.ts";
import type { Caller } from "../../../session/session-api.ts";
import { readQuery } from "../../request/headers.ts";
import { type AdminContext, askSession, json, problem, type Route, serve, type TenantContext } from "../../route.ts";

/** `caller` null: an operator asks. */
async function resources(context: TenantContext | AdminContext, caller: Caller | null): Promise<Response> {
  const reply = await askSession(context, "read", (session) => session.resources(caller));
  return reply.ok ? json(200, reply.value) : problem(context, reply.problem);
}

async function explain(context: TenantContext | AdminContext, caller: Caller | null): Promise<Response> {
  const reply = await askSession(context, "read", (session) => session.explain(caller));
  return reply.ok ? json(200, reply.value) : problem(context, reply.problem);
}

async function logs(context: TenantContext | AdminContext, caller: Caller | null): Promise<Response> {
  const query = readQuery(context.request, logsQuery);
  if (!query.ok) return problem(context, query.problem);
  const reply = await askSession(context, "read", (session) => session.logs(caller, query.value.tail_bytes));
  return reply.ok ? json(200, reply.value) : problem(context, reply.problem);
}

export const insightRoutes: readonly Route[] = [
  serve(sessionReadContracts.explain, (context) => explain(context, context.caller)),
  serve(anySessionContracts.explain, (context) => explain(context, null)),
  serve(sessionReadContracts.logs, (context) => logs(context, context.caller)),
  serve(sessionReadContracts.resources, (context) => resources(context, context.caller)),
  serve(anySessionContracts.logs, (context) => logs(context, null)),
  serve(anySessionContracts.resources, (context) => resources(context, null)),
];
