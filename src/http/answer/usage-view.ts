/** What a tenant uses of what it may, for itself and for an operator. */
import { nanosPerUnit } from "../../domain/rules/price.ts";
import type { TenantId } from "../../domain/state/ids.ts";
import { rfc3339 } from "../../protocol/primitives.ts";
import type { Reply } from "../../protocol/problem.ts";
import type { TenantUsageView } from "../../protocol/resources/operator/fleet.ts";
import { askAll } from "../fan-out.ts";
import type { AdminContext, TenantContext } from "../route.ts";

export async function usageOf(
  context: AdminContext | TenantContext,
  tenant: TenantId,
): Promise<Reply<TenantUsageView>> {
  const registry = context.backend.tenant(tenant);
  const reply = await askAll(
    context,
    [tenant],
    () => `the registry of ${tenant}`,
    async () => {
      const [usage, standing] = await Promise.all([registry.usage(), registry.standing()]);
      return { usage, standing };
    },
  );
  if (!reply.ok) return reply;
  const [answer] = reply.value;
  if (answer === undefined) throw new Error("one registry was asked, and none answered");
  const { usage, standing } = answer;
  const { month } = standing;
  return {
    ok: true,
    value: {
      tenant,
      sandboxes: standing.sandboxes,
      month: {
        from: rfc3339(month.from),
        until: rfc3339(month.until),
        cost: month.nanos / nanosPerUnit,
        cost_per_hour: (month.nanosPerSecond * 3_600) / nanosPerUnit,
        max_cost: month.maxNanos === null ? null : month.maxNanos / nanosPerUnit,
        currency: context.config.policy.prices.currency,
      },
      usage: usage.figures.map(({ status, provider, ms }) => ({ status, provider, seconds: ms / 1_000 })),
      total_seconds: usage.figures.reduce((sum, { ms }) => sum + ms, 0) / 1_000,
      sessions: usage.sessions,
      imbalances: usage.imbalances.map(
        ({ status, provider, byMs }) => `${status} with ${provider}: the sum is ${byMs} ms more than its sessions`,
      ),
    },
  };
}
