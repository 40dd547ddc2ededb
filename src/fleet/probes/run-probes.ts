/** What one cron tick tries on Mooring itself, side by side and after the layers: a probe that fails or hangs is logged, and delays nothing. */
import { outcomeWithin } from "../../calls/outcome-within.ts";
import { type CanaryTerms, tendCanary } from "./canary.ts";
import { type DrillPorts, type DrillTerms, tendDrills } from "./restore-drill.ts";

const probeMs = 3 * 60_000;

export async function runProbes(
  ports: DrillPorts & Parameters<typeof tendCanary>[0],
  terms: { readonly canary: CanaryTerms; readonly drill: DrillTerms },
): Promise<void> {
  const probes = {
    canary: () => tendCanary(ports, terms.canary),
    restore_drill: () => tendDrills(ports, terms.drill),
  };
  await Promise.all(
    Object.entries(probes).map(async ([probe, run]) => {
      const answer = await outcomeWithin(ports.clock, probeMs, run);
      if (answer.type === "answered") return;
      const error = answer.type === "failed" ? answer.message : `no end within ${probeMs} ms`;
      ports.logger.error("probe failed", { probe, error: error.slice(0, 300) });
    }),
  );
}
