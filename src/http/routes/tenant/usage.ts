/** `/v1/usage`: what a tenant uses of what it may. */
import { usageContracts } from "../../../protocol/contracts/tenant/usage-contracts.ts";
import { usageOf } from "../../answer/usage-view.ts";
import type { Route } from "../../route.ts";
import { serve } from "../../serve.ts";

export const usageRoutes: readonly Route[] = [
  serve(usageContracts.own, (context) => usageOf(context, context.caller.tenant)),
];
