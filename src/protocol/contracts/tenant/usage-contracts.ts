/** `/v1/usage`: what a tenant uses of what it may. */
import { contract } from "../../contract.ts";
import { tenantUsageView } from "../../resources/operator/fleet.ts";

export const usageContracts = {
  own: contract({
    access: "tenant",
    tag: "Sessions",
    operation: "getOwnUsage",
    method: "GET",
    path: "/v1/usage",
    summary: "What you use of what you may: sandboxes, the month's cost, seconds",
    description:
      "With prices set by the operator, `month` says what this calendar month has cost and may cost. At the bound, sessions that cost something pause with their files or end, reason `budget`, and nothing new starts until the next month or a higher bound.",
    answers: { 200: { means: "Sums over all of your sessions.", body: tenantUsageView } },
  }),
} as const;
