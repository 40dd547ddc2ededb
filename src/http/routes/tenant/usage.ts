/** `/v1/usage`: what a tenant uses of what it may. */
import { usageContracts } from "../../../protocol/contracts/tenant/usage-contracts.ts";
import { usageOf } from "../../answer/usage-view.ts";
import { json, problem, type Route, serve, type TenantContext } from "../../route.ts";

async function ownUsage(context: TenantContext): Promise<Response> {
  const reply = await usageOf(context, context.caller.tenant);
  return reply.ok ? json(200, reply.value) : problem(context, reply.problem);
}

export const usageRoutes: readonly Route[] = [serve(usageContracts.own, ownUsage)];
