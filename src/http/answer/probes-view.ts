/** What Mooring tries on itself, in figures: its canary and its restore drills. */
import type { FleetDocument } from "../../fleet/control/control-api.ts";
import { canaryIsMissed, parseCanary } from "../../domain/probes/canary.ts";
import { certainlyFailing, parseDrills } from "../../domain/probes/restore-drills.ts";
import { rfc3339 } from "../../protocol/primitives.ts";
import type { StatsView } from "../../protocol/resources/operator/fleet.ts";

/** null: it was never tried. */
export function probesView(
  canaryKept: FleetDocument | null,
  drillsKept: FleetDocument | null,
  now: number,
): Pick<StatsView, "canary" | "restore_drill"> {
  const canary = parseCanary(canaryKept?.body);
  const drills = parseDrills(drillsKept?.body);
  const { planted, last } = canary;
  return {
    canary: {
      planted_at: planted === null ? null : rfc3339(planted.plantedAt),
      found_after_seconds: last === null ? null : (last.endedAt - last.plantedAt) / 1_000,
      ended_by: last?.by ?? null,
      missed: canaryIsMissed(canary, now),
    },
    restore_drill: {
      proven: drills.proven,
      failed: drills.failed,
      inconclusive: drills.inconclusive,
      last_proven_at: drills.lastProvenAt === null ? null : rfc3339(drills.lastProvenAt),
      failing: certainlyFailing(drills).map(({ sessionId }) => sessionId),
    },
  };
}
