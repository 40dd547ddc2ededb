/** What a session's sandbox uses and says: for its tenant, and for an operator of any tenant's. Reads; nothing is woken. */
import { anySessionContracts } from "../../../protocol/contracts/operator/any-session-contracts.ts";
import { sessionReadContracts } from "../../../protocol/contracts/session/session-read-contracts.ts";
import type { Caller } from "../../../session/session-api.ts";
import { type AdminContext, askSession, type Route, type TenantContext } from "../../route.ts";
import { type Made, type QueryOf, serve, serveQuery } from "../../serve.ts";

/** `caller` null: an operator asks. */
function resources(context: TenantContext | AdminContext, caller: Caller | null): Promise<Made> {
  return askSession(context, "read", (session) => session.resources(caller));
}

function explain(context: TenantContext | AdminContext, caller: Caller | null): Promise<Made> {
  return askSession(context, "read", (session) => session.explain(caller));
}

function logs(
  context: TenantContext | AdminContext,
  caller: Caller | null,
  query: QueryOf<typeof sessionReadContracts.logs>,
): Promise<Made> {
  return askSession(context, "read", (session) => session.logs(caller, query.tail_bytes));
}

export const insightRoutes: readonly Route[] = [
  serve(sessionReadContracts.explain, (context) => explain(context, context.caller)),
  serve(anySessionContracts.explain, (context) => explain(context, null)),
  serveQuery(sessionReadContracts.logs, (context, query) => logs(context, context.caller, query)),
  serve(sessionReadContracts.resources, (context) => resources(context, context.caller)),
  serveQuery(anySessionContracts.logs, (context, query) => logs(context, null, query)),
  serve(anySessionContracts.resources, (context) => resources(context, null)),
];
