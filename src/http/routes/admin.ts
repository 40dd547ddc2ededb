/** What the admin token opens. It is no tenant: no route of a tenant takes it, and none of these takes an API key. */
import type { TenantId } from "../../domain/ids.ts";
import type { Caller } from "../../session/session-api.ts";
import { readNoFields } from "../body.ts";
import { type AdminAsk, askSession, json, problem, type Route } from "../route.ts";

/** Ends any tenant's session, with the terminate reason `operator`. */
async function remove(from: AdminAsk): Promise<Response> {
  const none = await readNoFields(from.request);
  if (!none.ok) return problem(from, none.problem);
  // Whose session it is only the session knows; for this reason it does not compare (session-api.ts).
  const caller: Caller = { tenant: "operator" as TenantId, requestId: from.requestId, scopes: [] };
  const reply = await askSession(from, "write", (session) => session.delete(caller, "operator"));
  if (!reply.ok) return problem(from, reply.problem);
  return json(reply.value.done ? 200 : 202, reply.value.session);
}

export const adminRoutes: readonly Route[] = [
  { method: "DELETE", path: "/v1/admin/sessions/:id", access: "admin", handle: remove },
];
