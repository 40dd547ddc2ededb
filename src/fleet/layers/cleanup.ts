/**
 * One cleanup run, whoever asked for it: choose, end, tell. Writes the log lines that the runbook greps for and
 * a record that can be read while it goes on. Bounded in time and number; what is left is for the next run.
 */
import type { SessionId } from "../../domain/state/ids.ts";
import type { Policy } from "../../domain/rules/policy.ts";
import { RunRecord, type RunFigures, type RunPorts } from "../control/run-record.ts";
import { choose, type Chosen, type Ending, type IndexPorts, type IndexTerms } from "./ask-index.ts";
import { type Choice, holdsOnlyFiles, type Question } from "./choices.ts";
import { endBatch, type EndPorts, type EndResult, type EndTerms } from "./end-batch.ts";

export interface CleanupPorts extends IndexPorts, EndPorts, RunPorts {}
export interface CleanupTerms extends IndexTerms, EndTerms {
  readonly policy: Policy;
}

export interface CleanupOrder {
  readonly layer: "age" | "shedding" | "cleanup" | "emergency";
  readonly by: string;
  readonly ending: Ending;
  readonly questions: readonly Question[];
  /** Choose and tell, end nothing. */
  readonly dryRun: boolean;
}

export interface CleanupItem extends Omit<EndResult, "outcome"> {
  readonly outcome: EndResult["outcome"] | "would_end";
  /** In words: what becomes of its files. */
  readonly files: string;
}

export interface CleanupResult {
  readonly runId: string;
  readonly dryRun: boolean;
  readonly found: number;
  /** In a dry run: what would be ended, as far as the index knows. Those that were left alone come last. */
  readonly results: readonly CleanupItem[];
  /** Shards that did not answer: what they know was not looked at. */
  readonly silentShards: readonly string[];
  /** Run again: there was more than one run takes. */
  readonly more: boolean;
}

/** By cron: ends well before the next tick. */
export function cronCleanupTerms(policy: Policy): CleanupTerms {
  return { policy, callMs: 10_000, concurrency: 6, pageSize: 500, choices: 5_000, runMs: 120_000 };
}

/** By HTTP: somebody waits, and proxies give up after a minute or so. */
export function askedCleanupTerms(policy: Policy): CleanupTerms {
  return { ...cronCleanupTerms(policy), callMs: 5_000, choices: 2_000, runMs: 25_000 };
}

export async function cleanup(ports: CleanupPorts, terms: CleanupTerms, order: CleanupOrder): Promise<CleanupResult> {
  const { logger, clock } = ports;
  const { layer, by, dryRun, ending } = order;
  const record = await RunRecord.begin(ports, { layer, by, reason: ending.words });
  const startedAt = clock.now();
  logger.info("Sandbox cleanup started", { layer, by, run: record.id, dry_run: dryRun });
  const all = await choose(ports, terms, order.questions, ending);
  const spared = all.choices.filter((each) => each.spared !== null);
  const chosen = { ...all, choices: all.choices.filter((each) => each.spared === null) };
  logger.info(`Found ${chosen.choices.length} sandboxes to cleanup`, { layer, run: record.id });
  for (const shard of chosen.silent) logger.warn("shard did not answer the cleanup", { layer, shard });
  const results = dryRun ? [] : await endAll(ports, terms, chosen, record);
  const figures = figuresOf(chosen, results, dryRun);
  const whole = figures.failed === 0 && chosen.silent.length === 0 && !chosen.more;
  await record.end(whole ? "ok" : figures.done === 0 && figures.failed > 0 ? "failed" : "partial", figures);
  const { found, done, skipped, failed } = figures;
  logger.info("Cleanup completed", {
    layer,
    run: record.id,
    found,
    done,
    skipped,
    failed,
    took_ms: clock.now() - startedAt,
  });
  return {
    runId: record.id,
    dryRun,
    found,
    results: [...(dryRun ? chosen.choices.map(wouldEnd) : withFiles(results, chosen)), ...spared.map(leftAlone)],
    silentShards: chosen.silent,
    more: chosen.more || results.some((each) => each.outcome === "not_reached"),
  };
}

function wouldEnd({ sessionId, why, status }: Choice): CleanupItem {
  return { sessionId, why, outcome: "would_end", detail: status, files: filesOf(status) };
}

function withFiles(results: readonly EndResult[], { choices }: Chosen): readonly CleanupItem[] {
  const statuses = new Map(choices.map((each) => [each.sessionId, each.status]));
  return results.map((each) => {
    const status = statuses.get(each.sessionId);
    const deletes = each.outcome === "ended" || each.outcome === "unclear";
    return { ...each, files: deletes && status !== undefined ? filesOf(status) : untouched };
  });
}

function leftAlone({ sessionId, why, spared }: Choice): CleanupItem {
  return { sessionId, why, outcome: "kept", detail: spared ?? "", files: untouched };
}

const untouched = "This run deletes none of its files.";

function filesOf(status: Choice["status"]): string {
  return holdsOnlyFiles(status)
    ? "Its saved files are deleted with it. Nothing brings them back."
    : "Its workspace goes with its sandbox, and so do files that an earlier pause saved.";
}

async function endAll(
  ports: CleanupPorts,
  terms: CleanupTerms,
  chosen: Chosen,
  record: RunRecord,
): Promise<readonly EndResult[]> {
  return await endBatch(ports, terms, chosen.choices, async (result, soFar) => {
    const { sessionId, outcome, detail, why } = result;
    if (outcome === "ended") ports.logger.info(`Cleaned up ${sessionId}`, { session: sessionId, why, run: record.id });
    else ports.logger.warn("not cleaned up", { session: sessionId, outcome, detail, run: record.id });
    await record.progress(figuresOf(chosen, soFar, false));
  });
}

function figuresOf(chosen: Chosen, results: readonly EndResult[], dryRun: boolean): RunFigures {
  const count = (...outcomes: readonly EndResult["outcome"][]) =>
    results.filter((each) => outcomes.includes(each.outcome)).length;
  const brief = (id: SessionId, outcome: string, why: string, detail: string) => ({ id, outcome, why, detail });
  return {
    found: chosen.choices.length,
    done: count("ended"),
    skipped: dryRun ? chosen.choices.length : count("kept", "gone"),
    failed: count("failed", "unclear", "not_reached"),
    detail: {
      dry_run: dryRun,
      more: chosen.more,
      silent_shards: chosen.silent,
      results: results.map((each) => brief(each.sessionId, each.outcome, each.why, each.detail)),
    },
  };
}
