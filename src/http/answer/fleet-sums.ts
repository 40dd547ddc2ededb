/** The counts of all shards together. */
import type { ShardStats } from "../../fleet/shard/shard-api.ts";

export function fleetSums(shards: readonly ShardStats[]) {
  const sum = (of: (one: ShardStats) => number) => shards.reduce((total, each) => total + of(each), 0);
  return {
    active: sum((each) => each.active),
    provisioning: sum((each) => each.provisioning),
    terminating: sum((each) => each.terminating),
    total_created: sum((each) => each.created),
    total_destroyed: sum((each) => each.destroyed),
  };
}
