/** `/v1/usage`: what a tenant uses of what it may. */
import { usageContracts } from "../../../protocol/contracts/tenant/usage-contracts.ts";
import { usageOf } from "../../answer/usage-view.ts";
import { json, problem, type Route, serve, type TenantAsk } from "../../route.ts";

async function ownUsage(from: TenantAsk): Promise<Response> {
  const reply = await usageOf(from, from.caller.tenant);
  return reply.ok ? json(200, reply.value) : problem(from, reply.problem);
}

export const usageRoutes: readonly Route[] = [serve(usageContracts.own, ownUsage)];
