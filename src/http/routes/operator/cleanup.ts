/** Cleanup by hand, emergency, drain, and the history of every layer. */
import type { FleetRun, LayerSummary } from "../../../fleet/control/control-api.ts";
import type { CleanupResult } from "../../../fleet/layers/cleanup.ts";
import {
  type CleanupReply,
  type DrainReply,
  type RunsPage,
  type RunView,
} from "../../../protocol/resources/operator/cleanup.ts";
import { cleanupContracts } from "../../../protocol/contracts/operator/cleanup-contracts.ts";
import { rfc3339 } from "../../../protocol/primitives.ts";
import { sha256, toHex } from "../../../protocol/bytes.ts";
import type { Problem, Reply } from "../../../protocol/problem.ts";
import { type Act, acted, askControl, ended } from "../../admin-act.ts";
import { answered, refused } from "../../answer/problem.ts";
import { type AdminContext, json, type Route } from "../../route.ts";
import { type BodyOf, type Made, type QueryOf, serve, serveBody, serveQuery } from "../../serve.ts";

async function cleanup(context: AdminContext, body: BodyOf<typeof cleanupContracts.cleanup>): Promise<Made> {
  const { max_age_seconds: maxAge, status, dry_run: dryRun = false, reason = "cleanup by hand" } = body;
  const act = { action: dryRun ? "cleanup.dry_run" : "cleanup", target: status ?? "", reason };
  const order = {
    by: "admin",
    reason,
    maxAgeMs: maxAge === undefined ? null : maxAge * 1_000,
    statuses: status === undefined ? null : [status],
    dryRun,
  };
  const run = (dry: boolean) => context.backend.operations().cleanup({ ...order, dryRun: dry });
  return await carryOut(context, act, { dryRun, planHash: body.plan_hash, run });
}

async function emergency(context: AdminContext, body: BodyOf<typeof cleanupContracts.emergency>): Promise<Made> {
  const { reason, dry_run: dryRun = false, include_paused: includePaused = false } = body;
  const target = includePaused ? "paused too" : "";
  const act = { action: dryRun ? "cleanup.emergency.dry_run" : "cleanup.emergency", target, reason };
  const order = { by: "admin", reason, dryRun, includePaused };
  const run = (dry: boolean) => context.backend.operations().emergency({ ...order, dryRun: dry });
  return await carryOut(context, act, { dryRun, planHash: body.plan_hash, run });
}

interface Planned {
  readonly dryRun: boolean;
  /** undefined: whatever it chooses when it runs. */
  readonly planHash: string | undefined;
  readonly run: (dryRun: boolean) => Promise<CleanupResult>;
}

export async function carryOut(context: AdminContext, act: Act, { dryRun, planHash, run }: Planned): Promise<Made> {
  const body = async (): Promise<Reply<CleanupResult>> => {
    // Only what was shown is ended: a plan that would choose other sessions now is refused.
    if (!dryRun && planHash !== undefined && (await hashOf(await run(true))) !== planHash) return refused(anotherPlan);
    return { ok: true, value: await run(dryRun) };
  };
  const reply = await ended(context, act, body, inWords);
  if (!reply.ok) return reply;
  return json(200, cleanupView(reply.value, dryRun ? await hashOf(reply.value) : null));
}

/** A hash over what would be ended and why. The order is left out, because the index is asked in parts. */
async function hashOf({ results }: CleanupResult): Promise<string> {
  const due = results
    .filter(({ outcome }) => outcome === "would_end")
    .map(({ sessionId, why }) => `${sessionId} ${why}`);
  return toHex(await sha256(due.toSorted().join("\n")));
}

const anotherPlan: Problem = {
  code: "precondition_failed",
  detail:
    "Other sessions would be ended now than the plan showed, so nothing was ended. RequestContext again with `dry_run`, look at the plan, and send its `plan_hash`.",
};

function inWords(result: CleanupResult): string {
  return `run ${result.runId}: ${endedOf(result)} of ${result.found} ended`;
}

function endedOf(result: CleanupResult): number {
  return result.results.filter((each) => each.outcome === "ended").length;
}

/** `planHash`: of a dry run. */
function cleanupView(result: CleanupResult, planHash: string | null): CleanupReply {
  return {
    run_id: result.runId,
    dry_run: result.dryRun,
    plan_hash: planHash,
    found: result.found,
    ended: endedOf(result),
    results: result.results.map(({ sessionId: id, outcome, why, detail, files }) => ({
      id,
      outcome,
      why,
      detail,
      files,
    })),
    silent_shards: [...result.silentShards],
    more: result.more,
  };
}

async function drain(context: AdminContext, body: BodyOf<typeof cleanupContracts.drain>): Promise<Made> {
  const { draining, reason } = body;
  const reply = await acted(
    context,
    { action: draining ? "drain" : "drain.end", target: "", reason },
    () => answered(context.backend.control().drain(draining ? { by: "admin", reason } : null)),
    (view) => (view === null ? "taking new sessions" : `draining since ${rfc3339(view.since)}`),
  );
  if (!reply.ok) return reply;
  const view = reply.value;
  const body200: DrainReply =
    view === null
      ? { draining: false, since: null, by: null, reason: null }
      : { draining: true, since: rfc3339(view.since), by: view.by, reason: view.reason };
  return json(200, body200);
}

async function runs(context: AdminContext, query: QueryOf<typeof cleanupContracts.runs>): Promise<Made> {
  const { limit, layer, before } = query;
  const asked = { layer: layer ?? null, limit, before: before === undefined ? null : Date.parse(before) };
  const reply = await askControl(context, async (control) => {
    const [layers, page] = await Promise.all([control.layers(), control.runs(asked)]);
    return { layers, page };
  });
  if (!reply.ok) return reply;
  const { layers, page } = reply.value;
  const last = page.at(-1);
  const body: RunsPage = {
    layers: layers.map(layerView),
    data: page.map(runView),
    next_before: page.length < limit || last === undefined ? null : rfc3339(last.startedAt),
  };
  return json(200, body);
}

async function run(context: AdminContext): Promise<Made> {
  const reply = await askControl(context, (control) => control.run(context.param("run")));
  if (!reply.ok) return reply;
  if (reply.value === null) {
    return refused({
      code: "not_found",
      detail:
        "There is no run with this id, or it was so long ago that it is gone. List them at /v1/admin/cleanup/runs.",
    });
  }
  return json(200, { ...runView(reply.value), detail: JSON.parse(reply.value.detail) as unknown });
}

function runView(each: FleetRun): RunView {
  const { id, layer, by, reason, startedAt, endedAt, outcome, found, done, skipped, failed } = each;
  const times = { started_at: rfc3339(startedAt), ended_at: endedAt === null ? null : rfc3339(endedAt) };
  return { id, layer, by, reason, ...times, outcome, found, done, skipped, failed };
}

function layerView(each: LayerSummary): RunsPage["layers"][number] {
  const orNull = (at: number | null) => (at === null ? null : rfc3339(at));
  return {
    layer: each.layer,
    last_started_at: rfc3339(each.lastStartedAt),
    last_ended_at: orNull(each.lastEndedAt),
    last_outcome: each.lastOutcome,
    last_ok_at: orNull(each.lastOkAt),
    success_rate: each.ended === 0 ? null : each.ok / each.ended,
    failures_in_row: each.failuresInRow,
  };
}

export const cleanupRoutes: readonly Route[] = [
  serveBody(cleanupContracts.cleanup, cleanup),
  serveBody(cleanupContracts.emergency, emergency),
  serveQuery(cleanupContracts.runs, runs),
  serve(cleanupContracts.run, run),
  serveBody(cleanupContracts.drain, drain),
];
