/** Cleanup by hand, emergency, drain, and the history of every layer. */
import type { FleetRun, LayerSummary } from "../../fleet/control-api.ts";
import type { CleanupResult } from "../../fleet/layers/cleanup.ts";
import {
  cleanupBody,
  type CleanupReply,
  drainBody,
  type DrainReply,
  emergencyBody,
  type RunsPage,
  type RunView,
} from "../../protocol/cleanup.ts";
import { cleanupContracts, runsQuery } from "../../protocol/contracts/cleanup-contracts.ts";
import { rfc3339 } from "../../protocol/primitives.ts";
import { acted, askControl, ended } from "../admin-act.ts";
import { readJson } from "../body.ts";
import { readQuery } from "../headers.ts";
import { type AdminAsk, json, problem, type Route, serve } from "../route.ts";

const noRanges = { ranges: {} } as const;

async function cleanup(from: AdminAsk): Promise<Response> {
  const body = await readJson(from.request, cleanupBody, { ...noRanges, empty: "no fields" });
  if (!body.ok) return problem(from, body.problem);
  const { max_age_seconds: maxAge, status, dry_run: dryRun = false, reason = "cleanup by hand" } = body.value;
  const act = { action: dryRun ? "cleanup.dry_run" : "cleanup", target: status ?? "", reason };
  const order = {
    by: "admin",
    reason,
    maxAgeMs: maxAge === undefined ? null : maxAge * 1_000,
    statuses: status === undefined ? null : [status],
    dryRun,
  };
  const reply = await ended(
    from,
    act,
    async () => ({ ok: true, value: await from.backend.operations().cleanup(order) }),
    inWords,
  );
  return reply.ok ? json(200, cleanupView(reply.value)) : problem(from, reply.problem);
}

async function emergency(from: AdminAsk): Promise<Response> {
  const body = await readJson(from.request, emergencyBody, { ...noRanges, empty: "refused" });
  if (!body.ok) return problem(from, body.problem);
  const { reason, dry_run: dryRun = false } = body.value;
  const act = { action: dryRun ? "cleanup.emergency.dry_run" : "cleanup.emergency", target: "", reason };
  const reply = await ended(
    from,
    act,
    async () => ({ ok: true, value: await from.backend.operations().emergency({ by: "admin", reason, dryRun }) }),
    inWords,
  );
  return reply.ok ? json(200, cleanupView(reply.value)) : problem(from, reply.problem);
}

export function inWords(result: CleanupResult): string {
  return `run ${result.runId}: ${endedOf(result)} of ${result.found} ended`;
}

function endedOf(result: CleanupResult): number {
  return result.results.filter((each) => each.outcome === "ended").length;
}

export function cleanupView(result: CleanupResult): CleanupReply {
  return {
    run_id: result.runId,
    dry_run: result.dryRun,
    found: result.found,
    ended: endedOf(result),
    results: result.results.map(({ sessionId, outcome, why, detail }) => ({ id: sessionId, outcome, why, detail })),
    silent_shards: [...result.silentShards],
    more: result.more,
  };
}

async function drain(from: AdminAsk): Promise<Response> {
  const body = await readJson(from.request, drainBody, { ...noRanges, empty: "refused" });
  if (!body.ok) return problem(from, body.problem);
  const { draining, reason } = body.value;
  const reply = await acted(
    from,
    { action: draining ? "drain" : "drain.end", target: "", reason },
    async () => ({ ok: true, value: await from.backend.control().drain(draining ? { by: "admin", reason } : null) }),
    (view) => (view === null ? "taking new sessions" : `draining since ${rfc3339(view.since)}`),
  );
  if (!reply.ok) return problem(from, reply.problem);
  const view = reply.value;
  const body200: DrainReply =
    view === null
      ? { draining: false, since: null, by: null, reason: null }
      : { draining: true, since: rfc3339(view.since), by: view.by, reason: view.reason };
  return json(200, body200);
}

async function runs(from: AdminAsk): Promise<Response> {
  const query = readQuery(from.request, runsQuery);
  if (!query.ok) return problem(from, query.problem);
  const { limit, layer, before } = query.value;
  const asked = { layer: layer ?? null, limit, before: before === undefined ? null : Date.parse(before) };
  const reply = await askControl(from, async (control) => {
    const [layers, page] = await Promise.all([control.layers(), control.runs(asked)]);
    return { layers, page };
  });
  if (!reply.ok) return problem(from, reply.problem);
  const { layers, page } = reply.value;
  const last = page.at(-1);
  const body: RunsPage = {
    layers: layers.map(layerView),
    data: page.map(runView),
    next_before: page.length < limit || last === undefined ? null : rfc3339(last.startedAt),
  };
  return json(200, body);
}

async function run(from: AdminAsk): Promise<Response> {
  const reply = await askControl(from, (control) => control.run(from.param("run")));
  if (!reply.ok) return problem(from, reply.problem);
  if (reply.value === null) {
    return problem(from, {
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
  serve(cleanupContracts.cleanup, cleanup),
  serve(cleanupContracts.emergency, emergency),
  serve(cleanupContracts.runs, runs),
  serve(cleanupContracts.run, run),
  serve(cleanupContracts.drain, drain),
];
