/** What a session's sandbox uses and says: for its tenant, and for an operator of any tenant's. Reads; nothing is woken. */
import { anySessionContracts } from "../../../protocol/contracts/operator/any-session-contracts.ts";
import { sessionReadContracts } from "../../../protocol/contracts/session/session-read-contracts.ts";
import { logsQuery } from "../../../protocol/resources/session/insight.ts";
import type { Caller } from "../../../session/session-api.ts";
import { readQuery } from "../../request/headers.ts";
import { type AdminAsk, askSession, json, problem, type Route, serve, type TenantAsk } from "../../route.ts";

/** `caller` null: an operator asks. */
async function resources(from: TenantAsk | AdminAsk, caller: Caller | null): Promise<Response> {
  const reply = await askSession(from, "read", (session) => session.resources(caller));
  return reply.ok ? json(200, reply.value) : problem(from, reply.problem);
}

async function explain(from: TenantAsk | AdminAsk, caller: Caller | null): Promise<Response> {
  const reply = await askSession(from, "read", (session) => session.explain(caller));
  return reply.ok ? json(200, reply.value) : problem(from, reply.problem);
}

async function logs(from: TenantAsk | AdminAsk, caller: Caller | null): Promise<Response> {
  const query = readQuery(from.request, logsQuery);
  if (!query.ok) return problem(from, query.problem);
  const reply = await askSession(from, "read", (session) => session.logs(caller, query.value.tail_bytes));
  return reply.ok ? json(200, reply.value) : problem(from, reply.problem);
}

export const insightRoutes: readonly Route[] = [
  serve(sessionReadContracts.explain, (from) => explain(from, from.caller)),
  serve(anySessionContracts.explain, (from) => explain(from, null)),
  serve(sessionReadContracts.logs, (from) => logs(from, from.caller)),
  serve(sessionReadContracts.resources, (from) => resources(from, from.caller)),
  serve(anySessionContracts.logs, (from) => logs(from, null)),
  serve(anySessionContracts.resources, (from) => resources(from, null)),
];
