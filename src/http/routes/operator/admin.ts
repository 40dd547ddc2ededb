/** What the admin token opens. It is no tenant: no route of a tenant takes it, and none of these takes an API key. */
import type { SessionId, TenantId } from "../../../domain/state/ids.ts";
import { assertLostBody, type InspectionView, resolveBody } from "../../../protocol/resources/operator/admin.ts";
import { anySessionContracts } from "../../../protocol/contracts/operator/any-session-contracts.ts";
import { sessionIdPattern } from "../../../protocol/primitives.ts";
import type { Problem, Reply } from "../../../protocol/problem.ts";
import type { Caller, Inspection } from "../../../session/session-api.ts";
import { ask, briefly } from "../../backend.ts";
import { readJson } from "../../request/body.ts";
import { ifMatchOf } from "../../request/headers.ts";
import { refused } from "../../answer/problem.ts";
import { type AdminContext, askSession, json, type Route, taggedJson } from "../../route.ts";
import { type BodyOf, type Made, serve, serveBody } from "../../serve.ts";
import { sessionNotFound } from "../../../protocol/not-found.ts";

/** Ends any tenant's session, with the terminate reason `operator`. */
async function remove(context: AdminContext, given: BodyOf<typeof anySessionContracts.delete>): Promise<Made> {
  // Whose session it is only the session knows; for this reason it does not compare (session-api.ts).
  const caller: Caller = { tenant: "operator" as TenantId, requestId: context.requestId, scopes: [] };
  const reply = await askSession(context, "write", (session) => session.delete(caller, "operator"));
  await note(context, "session.delete", given.reason ?? "", reply);
  if (!reply.ok) return reply;
  return json(reply.value.done ? 200 : 202, reply.value.session);
}

async function inspect(context: AdminContext): Promise<Made> {
  return inspection(context, await askSession(context, "read", (session) => session.inspect()));
}

const needsIfMatch: Problem = {
  code: "precondition_required",
  detail:
    "Resolving a session needs `If-Match` with the ETag of what you decided on. Read /v1/admin/sessions/{id}, then repeat with its ETag.",
};

async function resolve(context: AdminContext): Promise<Made> {
  const ifMatch = ifMatchOf(context.request);
  if (ifMatch === null) return refused(needsIfMatch);
  const body = await readJson(context.request, resolveBody, { ranges: {}, empty: "refused" });
  if (!body.ok) return body;
  const operator = { by: "admin", requestId: context.requestId };
  const reply = await askSession(context, "write", (session) => session.resolve(operator, body.value, ifMatch));
  await note(context, `session.resolve.${body.value.action}`, body.value.reason, reply);
  return inspection(context, reply);
}

async function assertLost(context: AdminContext): Promise<Made> {
  if (!sessionIdPattern.test(context.param("id"))) return refused(sessionNotFound);
  const body = await readJson(context.request, assertLostBody, { ranges: {}, empty: "refused" });
  if (!body.ok) return body;
  const { tenant, reason } = body.value;
  const order = { tenant: tenant as TenantId, sessionId: context.param("id") as SessionId, by: "admin", reason };
  const reply = await ask("write", context.log, () => context.backend.operations().assertLost(order));
  await note(context, "session.assert_lost", reason, reply);
  if (!reply.ok) return reply;
  const asserted = reply.value.asserted.map(({ generation, sandboxId }) => ({ generation, sandbox_id: sandboxId }));
  return json(200, { session_id: order.sessionId, tenant, asserted });
}

/**
 * In the admin log as well as in the session's own history. After the act, and without standing in its way: an operator
 * ends a session also while FleetControl is out of order.
 */
async function note(context: AdminContext, action: string, reason: string, reply: Reply<unknown>): Promise<void> {
  const outcome = reply.ok ? "done" : reply.problem.code;
  const act = { actor: "admin", action, target: context.param("id").slice(0, 64), reason, outcome };
  await context.backend
    .control()
    .log({ ...act, requestId: context.requestId })
    .catch((error: unknown) => {
      context.log.warn("not in the admin log", { action, request_id: context.requestId, error: briefly(error) });
    });
}

async function inspection(context: AdminContext, reply: Reply<Inspection>): Promise<Made> {
  if (!reply.ok) return reply;
  const { etag, record, session, teardowns } = reply.value;
  const view: InspectionView = { id: context.param("id"), record, session, teardowns: [...teardowns] };
  return await taggedJson(200, { etag, body: view });
}

export const adminRoutes: readonly Route[] = [
  serve(anySessionContracts.inspect, inspect),
  serveBody(anySessionContracts.delete, remove),
  serve(anySessionContracts.resolve, resolve),
  serve(anySessionContracts.assertLost, assertLost),
];
