/**
 * Runs the sweep and logs one line with its counts, and a line for each session or shard that gave trouble. It never throws:
 * the result says whether the sweep failed.
 */
import type { Logger } from "../../runtime/clock-ids-logger.ts";
import { sweep, type SweepPorts, type SweepResult, type SweepTerms } from "./sweep.ts";

export interface SweepRunPorts extends SweepPorts {
  readonly logger: Logger;
}

export interface SweepRunTerms {
  readonly sweep: SweepTerms;
}

export interface SweepRun {
  readonly tookMs: number;
  readonly sweep: { readonly ok: true; readonly result: SweepResult } | { readonly ok: false; readonly error: string };
}

/** At most this many troubled sessions are named in the log of one run; the result has them all. */
const namedAtMost = 20;

export async function runSweep(ports: SweepRunPorts, terms: SweepRunTerms): Promise<SweepRun> {
  const { clock, logger } = ports;
  const startedAt = clock.now();
  const swept = await sweep(ports, terms.sweep).then(
    (result) => ({ ok: true as const, result }),
    (error: unknown) => ({ ok: false as const, error: String(error) }),
  );
  const tookMs = clock.now() - startedAt;
  if (swept.ok) logSweep(logger, swept.result, tookMs);
  else logger.error("sweep failed", { took_ms: tookMs, error: swept.error });
  return { tookMs, sweep: swept };
}

function logSweep(logger: Logger, result: SweepResult, tookMs: number): void {
  const troubled = result.sessions.filter(({ outcome }) => outcome !== "looked");
  const silent = result.shards.filter(({ outcome }) => outcome !== "answered");
  for (const { name, outcome } of silent) logger.warn("shard did not answer the sweep", { shard: name, outcome });
  for (const { sessionId, outcome, detail } of troubled.slice(0, namedAtMost)) {
    logger.warn("overdue session was not brought to look", { session: sessionId, outcome, detail });
  }
  const count = (outcome: string) => result.sessions.filter((each) => each.outcome === outcome).length;
  logger.info("sweep finished", {
    took_ms: tookMs,
    shards: result.shards.length,
    shards_silent: silent.length,
    overdue: result.sessions.length,
    looked: count("looked"),
    unknown: count("unknown"),
    failed: count("failed"),
    hung: count("hung"),
    not_reached: count("not_reached"),
  });
}
