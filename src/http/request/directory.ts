/** The directory of tenants, for what asks every registry. */
import type { TenantId } from "../../domain/state/ids.ts";
import type { TenantEntry } from "../../fleet/control/control-api.ts";
import type { Reply } from "../../protocol/problem.ts";
import { askControl } from "../admin-act.ts";
import type { AdminContext } from "../route.ts";

const tenantsAtOnce = 1_000;

/** With what the global cap has booked for each; in the order of the name, strictly after `after`. */
export async function tenantEntries(
  context: AdminContext,
  after: TenantId | null,
): Promise<Reply<readonly TenantEntry[]>> {
  return await askControl(context, async (control) => {
    const all: TenantEntry[] = [];
    for (;;) {
      const some = await control.tenants(all.at(-1)?.tenant ?? after, tenantsAtOnce);
      all.push(...some);
      if (some.length < tenantsAtOnce) return all;
    }
  });
}

/** Their names, in order: `first`, if there is one, and all that follow it. */
export async function knownTenants(context: AdminContext, first: TenantId | null): Promise<Reply<readonly TenantId[]>> {
  const entries = await tenantEntries(context, first);
  if (!entries.ok) return entries;
  const names = entries.value.map(({ tenant }) => tenant);
  return { ok: true, value: first === null ? names : [first, ...names] };
}
