/**
 * The paths and field names of the operations runbook, carried out by native calls. Admin token only. Counts are
 * sandboxes by lease phase; a status is one of six words. Unknown fields are ignored, and a JSON body needs no
 * Content-Type, because the runbook's curl lines send none.
 */
import type { SessionId, TenantId } from "../../domain/state/ids.ts";
import type { FleetQuery, FleetRow } from "../../fleet/shard/shard-api.ts";
import { rfc3339 } from "../../protocol/primitives.ts";
import type { Problem, Reply } from "../../protocol/problem.ts";
import {
  runbookCleanupBody,
  runbookContracts,
  runbookEmergencyBody,
  type RunbookItem,
  runbookListQuery,
  type RunbookStatus,
} from "../../protocol/contracts/operator/runbook-contracts.ts";
import type { ResourcesView, LogsView } from "../../protocol/resources/session/insight.ts";
import type { SessionView } from "../../protocol/resources/session/sessions.ts";
import type { Caller } from "../../session/session-api.ts";
import { ended } from "../admin-act.ts";
import { ask } from "../backend.ts";
import { badCursor, decodeCursor, encodeCursor } from "../request/cursor.ts";
import { mapped, refused } from "../answer/problem.ts";
import { type AdminContext, askSession, json, type Route } from "../route.ts";
import { type Made, serve } from "../serve.ts";
import { carryOut } from "../routes/operator/cleanup.ts";
import { validate } from "../request/validation.ts";
import { readLenient } from "./lenient-body.ts";
import { fleetSums } from "../answer/fleet-sums.ts";

/** The runbook's status for each native status. */
export const runbookStatusOf: Readonly<Record<SessionView["status"], RunbookStatus>> = {
  provisioning: "provisioning",
  running: "running",
  recovering: "running",
  pausing: "running",
  paused: "paused",
  lost: "failed",
  terminating: "terminating",
  terminated: "terminated",
  failed: "failed",
};

function nativeStatuses(word: RunbookStatus): readonly SessionView["status"][] {
  const all = Object.keys(runbookStatusOf) as SessionView["status"][];
  return all.filter((status) => runbookStatusOf[status] === word);
}

function item(
  session: {
    id: string;
    status: SessionView["status"];
    createdAt: number;
    agentType: string | null;
    taskId: string | null;
  },
  now: number,
): RunbookItem {
  return {
    id: session.id,
    status: runbookStatusOf[session.status],
    created_at: rfc3339(session.createdAt),
    age_minutes: Math.max(0, Math.floor((now - session.createdAt) / 60_000)),
    agent_type: session.agentType,
    task_id: session.taskId,
  };
}

function itemOfView(view: SessionView, now: number): RunbookItem {
  const { id, status, created_at: createdAt, agent_type: agentType, task_id: taskId } = view;
  return item({ id, status, createdAt: Date.parse(createdAt), agentType, taskId }, now);
}

function itemOfRow(row: FleetRow, now: number): RunbookItem {
  return item({ ...row, id: row.sessionId }, now);
}

async function stats(context: AdminContext): Promise<Made> {
  return mapped(await askShards(context, (api) => api.stats()), fleetSums);
}

/** A bare array, newest first. `X-Next-Cursor` is set when there is another page; send it as `cursor`. */
async function list(context: AdminContext): Promise<Made> {
  const query = validate(runbookListQuery, Object.fromEntries(new URL(context.request.url).searchParams), "query");
  if (!query.ok) return query;
  const { status, limit, cursor } = query.value;
  const after = cursor === undefined ? undefined : decodeCursor(cursor);
  if (after === null) return badCursor("query.cursor", "X-Next-Cursor");
  const asked: FleetQuery = {
    order: "newest",
    limit,
    ...(status === undefined ? {} : { statuses: nativeStatuses(status) }),
    ...(after === undefined ? {} : { after }),
  };
  const reply = await askShards(context, (api) => api.select(asked));
  if (!reply.ok) return reply;
  const rows = reply.value.flat().toSorted((a, b) => b.createdAt - a.createdAt || (a.sessionId < b.sessionId ? -1 : 1));
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const full = reply.value.some((each) => each.length >= limit) || rows.length > limit;
  const next =
    full && last !== undefined
      ? { "x-next-cursor": encodeCursor({ createdAt: last.createdAt, id: last.sessionId }) }
      : {};
  return json(
    200,
    page.map((row) => itemOfRow(row, context.clock.now())),
    next,
  );
}

async function get(context: AdminContext): Promise<Made> {
  const reply = await askSession(context, "read", (session) => session.inspect());
  if (!reply.ok) return reply;
  const { session } = reply.value;
  if (session === null) return refused(unreadable);
  return json(200, itemOfView(session, context.clock.now()));
}

const unreadable: Problem = {
  code: "unreadable_record",
  detail: "This session's record cannot be read. Look at /v1/admin/sessions/{id}, and resolve it there.",
};

async function resources(context: AdminContext): Promise<Made> {
  const reply = await askSession(context, "read", (session) => session.resources(null));
  return mapped(reply, resourcesOf);
}

function resourcesOf({ cpu_percent, memory_mb, duration_ms, operations }: ResourcesView) {
  return { cpu_percent, memory_mb, duration_ms, operations };
}

/** How much is shown of the sandbox's log, and of each job's output. */
const tailBytes = 16_384;

async function logs(context: AdminContext): Promise<Made> {
  const reply = await askSession(context, "read", (session) => session.logs(null, tailBytes));
  return mapped(reply, logsOf);
}

function logsOf({ session_id, sandbox, unavailable, jobs, last_activity_at, diagnosis }: LogsView) {
  const told = jobs.map((job) => `== job ${job.id} (${job.state})\n${job.tail ?? ""}`);
  const text = [sandbox?.text ?? `== no log of the sandbox: ${unavailable ?? "it has none"}`, ...told].join("\n");
  return { id: session_id, logs: text, last_activity_at, diagnosis };
}

async function remove(context: AdminContext): Promise<Made> {
  // As DELETE /v1/admin/sessions/{id}: for an operator the session does not compare the tenant.
  const caller: Caller = { tenant: "operator" as TenantId, requestId: context.requestId, scopes: [] };
  const id = context.param("id") as SessionId;
  const reply = await ended(
    context,
    { action: "session.delete", target: id.slice(0, 20), reason: "runbook" },
    () => askSession(context, "write", (session) => session.delete(caller, "operator")),
    (value) => value.session.status,
  );
  if (!reply.ok) return reply;
  return json(reply.value.done ? 200 : 202, itemOfView(reply.value.session, context.clock.now()));
}

async function cleanup(context: AdminContext): Promise<Made> {
  const body = await readLenient(context.request, runbookCleanupBody);
  if (!body.ok) return body;
  const { max_age_seconds: maxAge, status, dry_run: dryRun = false, reason = "cleanup by the runbook" } = body.value;
  const order = {
    by: "admin",
    reason,
    maxAgeMs: maxAge === undefined ? null : maxAge * 1_000,
    statuses: status === undefined ? null : nativeStatuses(status),
    dryRun,
  };
  const act = { action: dryRun ? "cleanup.dry_run" : "cleanup", target: status ?? "", reason };
  const run = (dry: boolean) => context.backend.operations().cleanup({ ...order, dryRun: dry });
  return await carryOut(context, act, { dryRun, planHash: undefined, run });
}

/** The native route requires a reason. The runbook's line has none, so the log names the route. */
async function emergency(context: AdminContext): Promise<Made> {
  const body = await readLenient(context.request, runbookEmergencyBody);
  if (!body.ok) return body;
  const {
    dry_run: dryRun = false,
    include_paused: includePaused = false,
    reason = "emergency cleanup by the runbook, no reason given",
  } = body.value;
  const order = { by: "admin", reason, dryRun, includePaused };
  const act = { action: dryRun ? "cleanup.emergency.dry_run" : "cleanup.emergency", target: "", reason };
  const run = (dry: boolean) => context.backend.operations().emergency({ ...order, dryRun: dry });
  return await carryOut(context, act, { dryRun, planHash: undefined, run });
}

type Shard = ReturnType<AdminContext["backend"]["shards"]>[number]["api"];

/** Asks each shard once. If one does not answer, the result is a 503, never an incomplete list. */
async function askShards<T>(context: AdminContext, call: (api: Shard) => Promise<T>): Promise<Reply<readonly T[]>> {
  const replies = await Promise.all(
    context.backend.shards().map((_, at) =>
      ask("read", context.log, async (): Promise<Reply<T>> => {
        // A new stub for each try: a stub that threw once stays broken.
        const shard = context.backend.shards()[at];
        if (shard === undefined) throw new Error("a shard is missing");
        return { ok: true, value: await call(shard.api) };
      }),
    ),
  );
  const values: T[] = [];
  for (const reply of replies) {
    if (!reply.ok) return { ok: false, problem: { ...reply.problem, detail: silent } };
    values.push(reply.value);
  }
  return { ok: true, value: values };
}

const silent =
  "Part of the index of sessions did not answer, so there is no answer, not even a short one. Try again in a moment.";

/** The fixed paths come before `{id}`, because the first route that matches is taken. */
export const runbookRoutes: readonly Route[] = [
  serve(runbookContracts.stats, stats),
  serve(runbookContracts.list, list),
  serve(runbookContracts.cleanup, cleanup),
  serve(runbookContracts.emergency, emergency),
  serve(runbookContracts.get, get),
  serve(runbookContracts.delete, remove),
  serve(runbookContracts.logs, logs),
  serve(runbookContracts.resources, resources),
];
