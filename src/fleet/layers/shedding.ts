/**
 * The layer that makes room when the fleet runs full. It begins when two looks in a row are above the upper mark, and ends below the
 * lower one. shed.ts says what it may end; this file looks, counts, and tells the operators.
 */
import type { FleetControlApi } from "../control/control-api.ts";
import { inLanes } from "../../calls/in-lanes.ts";
import { outcomeWithin } from "../../calls/outcome-within.ts";
import { RunRecord } from "../control/run-record.ts";
import type { FleetShardApi } from "../shard/shard-api.ts";
import { cleanup, type CleanupPorts, type CleanupResult, type CleanupTerms } from "./cleanup.ts";
import { isAbove, type Pressure, shedAbove, sheddable, shedBelow, toShed } from "./shed.ts";

export interface SheddingPorts extends CleanupPorts {
  readonly control: Pick<FleetControlApi, "putRun" | "capacity" | "log">;
  readonly shards: readonly { readonly name: string; readonly api: Pick<FleetShardApi, "select" | "stats"> }[];
}

/** A peak of a moment is no pressure. ms */
export const secondLookMs = 5_000;

const byItself = { layer: "shedding", by: "cron" } as const;

/** null: there was room, and nothing was touched. Throws when the fleet's use could not be read: then nothing is shed. */
export async function shedding(ports: SheddingPorts, terms: CleanupTerms): Promise<CleanupResult | null> {
  const first = await pressureOf(ports, terms);
  if (!isAbove(first)) return await nothingToDo(ports, first);
  await ports.clock.sleep(secondLookMs);
  const second = await pressureOf(ports, terms);
  if (!isAbove(second)) return await nothingToDo(ports, second);
  const count = toShed(second);
  if (count === 0) return await nothingToDo(ports, second);
  const words = `${second.used} of ${second.limit} sandboxes in use, above ${shedAbove}: sheds until below ${shedBelow}`;
  const result = await cleanup(
    ports,
    { ...terms, choices: count },
    {
      ...byItself,
      ending: { actor: "maintenance", reason: "emergency", words: `capacity shedding: ${words}` },
      questions: sheddable(ports.clock.now(), terms.policy),
      dryRun: false,
    },
  );
  const ended = result.results.filter((each) => each.outcome === "ended").length;
  const { used, limit, terminating } = second;
  ports.logger.error("capacity shedding", { used, limit, terminating, wanted: count, found: result.found, ended });
  const act = { actor: "fleet", action: "cleanup.shedding", target: "", requestId: result.runId };
  const told = await outcomeWithin(ports.clock, terms.callMs, () =>
    ports.control.log({ ...act, reason: words, outcome: `${ended} of ${count} ended` }),
  );
  if (told.type !== "answered") ports.logger.warn("shedding not in the admin log", { run: result.runId });
  return result;
}

async function nothingToDo(ports: SheddingPorts, pressure: Pressure): Promise<null> {
  const record = await RunRecord.begin(ports, { ...byItself, reason: "" });
  await record.end("ok", { found: 0, done: 0, skipped: 0, failed: 0, detail: { pressure } });
  return null;
}

async function pressureOf(ports: SheddingPorts, terms: CleanupTerms): Promise<Pressure> {
  const capacity = await outcomeWithin(ports.clock, terms.callMs, () => ports.control.capacity());
  if (capacity.type !== "answered") throw new Error(`control did not say how much is in use (${capacity.type})`);
  const stats = await inLanes(ports.shards, terms.concurrency, ({ api }) =>
    outcomeWithin(ports.clock, terms.callMs, () => api.stats()),
  );
  let terminating = 0;
  for (const each of stats) {
    // Not knowing what comes free anyway, one would end more than is needed.
    if (each.type !== "answered") throw new Error(`a shard did not say what is terminating (${each.type})`);
    terminating += each.value.terminating;
  }
  return { limit: capacity.value.limit, used: capacity.value.used, terminating };
}
