/** One look at the fleet as a point for Analytics Engine: one index, and figures in an order that is never changed, only added to. */
import type { AlertBoard } from "../control/control-api.ts";
import type { FleetSnapshot } from "./alert.ts";

export interface FleetPoint {
  readonly indexes: readonly [string];
  readonly blobs: readonly string[];
  readonly doubles: readonly number[];
}

/** null: the fleet could not be seen as a whole, and half a picture would read as a fall. */
export function fleetPoint(fleet: FleetSnapshot, board: Pick<AlertBoard, "alerts">): FleetPoint | null {
  const { counts, outcomes, stuck, overdueTeardowns, capacity } = fleet;
  if (counts === null || outcomes === null || stuck === null || overdueTeardowns === null) return null;
  const firing = board.alerts.filter((alert) => alert.phase === "firing");
  return {
    indexes: ["fleet"],
    blobs: [firing.map((alert) => alert.name).join(" ")],
    doubles: [
      ...[counts.provisioning, counts.active, counts.terminating, capacity.used, capacity.limit],
      ...[stuck.length, overdueTeardowns.length, firing.length],
      ...[outcomes.launches, outcomes.launched, outcomes.provisionFailures, outcomes.provisionTimeouts],
      ...[outcomes.jobsEnded, outcomes.jobsTimedOut, outcomes.callsTimedOut],
    ],
  };
}
