/**
 * A sandbox that should be gone and is not proven to be: its attempts are used up, or take longer than all of them may. A
 * shared container in the same case is the same alert: it belongs to no session, so nothing else would ever name it.
 */
import { naming, type AlertRule, type NamedSession } from "./alert.ts";

export const teardownOverdue: AlertRule = {
  name: "teardown_overdue",
  severity: "critical",
  summary: "A sandbox, or a shared container, that was to be stopped is not proven gone within its bound.",
  command: `curl -sS -H "Authorization: Bearer $ADMIN_TOKEN" "$MOORING_URL/v1/admin/sessions?teardown=overdue"`,
  fireAfterMs: () => 0,
  judge({ overdueTeardowns, overdueContainers, at }) {
    if (overdueTeardowns === null || overdueContainers === null) return { type: "unknown" };
    if (overdueTeardowns.length + overdueContainers.length === 0) return { type: "well" };
    const containers = overdueContainers.map(({ id, tenant, from }): NamedSession => ({
      sessionId: id,
      tenant,
      status: "stopping",
      since: from,
    }));
    const { count, oldest_seconds, tenants } = naming([...overdueTeardowns, ...containers], at);
    const ids = (all: readonly NamedSession[]) => naming(all, at)["sessions"] ?? "";
    return {
      type: "bad",
      context: {
        ...naming(overdueTeardowns, at),
        ...(containers.length === 0 ? {} : { containers: ids(containers) }),
        ...{ count: count ?? 0, oldest_seconds: oldest_seconds ?? 0, tenants: tenants ?? "" },
      },
    };
  },
};
