/** What a session's sandbox uses and says: for its tenant, and for an operator of any tenant's. Reads; nothing is woken. */
import { logsQuery } from "../../protocol/insight.ts";
import type { Caller } from "../../session/session-api.ts";
import { readQuery } from "../headers.ts";
import { type AdminAsk, askSession, json, problem, type Route, type TenantAsk } from "../route.ts";

/** `caller` null: an operator asks. */
async function resources(from: TenantAsk | AdminAsk, caller: Caller | null): Promise<Response> {
  const reply = await askSession(from, "read", (session) => session.resources(caller));
  return reply.ok ? json(200, reply.value) : problem(from, reply.problem);
}

async function logs(from: TenantAsk | AdminAsk, caller: Caller | null): Promise<Response> {
  const query = readQuery(from.request, logsQuery);
  if (!query.ok) return problem(from, query.problem);
  const reply = await askSession(from, "read", (session) => session.logs(caller, query.value.tail_bytes));
  return reply.ok ? json(200, reply.value) : problem(from, reply.problem);
}

export const insightRoutes: readonly Route[] = [
  { method: "GET", path: "/v1/sessions/:id/logs", access: "tenant", handle: (from) => logs(from, from.caller) },
  {
    method: "GET",
    path: "/v1/sessions/:id/resources",
    access: "tenant",
    handle: (from) => resources(from, from.caller),
  },
  { method: "GET", path: "/v1/admin/sessions/:id/logs", access: "admin", handle: (from) => logs(from, null) },
  { method: "GET", path: "/v1/admin/sessions/:id/resources", access: "admin", handle: (from) => resources(from, null) },
];
