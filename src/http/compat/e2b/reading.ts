/** E2B's lists, metrics and health: reads, which wake nothing and do not count as activity. */
import type { FleetQuery, FleetRow } from "../../../fleet/shard/shard-api.ts";
import {
  e2bContracts,
  e2bListQuery,
  e2bListRunningQuery,
  e2bMetricsQuery,
  e2bReadContracts,
} from "../../../protocol/contracts/compat/e2b-contracts.ts";
import { sessionIdPattern } from "../../../protocol/primitives.ts";
import type { Problem, Reply } from "../../../protocol/problem.ts";
import type { SessionId } from "../../../domain/state/ids.ts";
import { ask } from "../../backend.ts";
import { decodeCursor, encodeCursor } from "../../request/cursor.ts";
import { namedSandbox } from "../../guard/sandbox-auth.ts";
import { askSession, json, type Route, type TenantContext } from "../../route.ts";
import { serve } from "../../serve.ts";
import { validate, validationFailed } from "../../request/validation.ts";
import { metadataFilter, templateLabel } from "./metadata.ts";
import { refuse } from "./refusal.ts";
import { listedOf, metricsOf, nativeStatuses } from "./view.ts";

/** A bare array. `X-Next-Token` is set when there is another page. */
async function list(context: TenantContext): Promise<Response> {
  const { searchParams } = new URL(context.request.url);
  const states = searchParams.getAll("state").filter((each) => each !== "");
  const once = { ...Object.fromEntries(searchParams), state: states.join(",") };
  // Clients send empty parameters. They count as not given.
  const given = Object.fromEntries(Object.entries(once).filter(([, value]) => value !== ""));
  const query = validate(e2bListQuery, given, "query");
  if (!query.ok) return refuse(context, query.problem);
  const { limit, nextToken, order, startedAfter, template } = query.value;
  const after = nextToken === undefined ? undefined : decodeCursor(nextToken);
  if (after === null) return refuse(context, badToken.problem);
  const reply = await rowsOf(context, {
    // One more than was asked for, to see whether there is another page.
    limit: limit + 1,
    order: order === "asc" ? "oldest" : "newest",
    statuses: nativeStatuses(query.value.state ?? ["running", "paused"]),
    labels: metadataFilter(query.value.metadata ?? ""),
    // The name that the answer shows as `templateID` (view.ts).
    ...(template === undefined ? {} : { template, templateLabel }),
    ...(after === undefined ? {} : { after }),
    // The index takes sessions later than an instant; E2B means at that instant or later.
    ...(startedAfter === undefined ? {} : { createdAfter: Date.parse(startedAfter) - 1 }),
  });
  if (!reply.ok) return refuse(context, reply.problem);
  const page = reply.value.slice(0, limit);
  const last = page.at(-1);
  const more = reply.value.length > limit && last !== undefined;
  const next = more ? { "x-next-token": encodeCursor({ createdAt: last.createdAt, id: last.sessionId }) } : {};
  return json(200, shownOf(page), next);
}

/** The older list: running sandboxes only, without pages. */
async function listRunning(context: TenantContext): Promise<Response> {
  const query = validate(e2bListRunningQuery, Object.fromEntries(new URL(context.request.url).searchParams), "query");
  if (!query.ok) return refuse(context, query.problem);
  const labels = metadataFilter(query.value.metadata ?? "");
  const rows: FleetRow[] = [];
  for (let after: FleetQuery["after"]; ;) {
    const page = { limit: pageRows, order: "newest", statuses: nativeStatuses(["running"]), labels } as const;
    const reply = await rowsOf(context, after === undefined ? page : { ...page, after });
    if (!reply.ok) return refuse(context, reply.problem);
    rows.push(...reply.value);
    const last = reply.value.at(-1);
    if (reply.value.length < pageRows || last === undefined) return json(200, shownOf(rows));
    if (rows.length >= listedAtOnce) return refuse(context, tooMany.problem);
    after = { createdAt: last.createdAt, id: last.sessionId };
  }
}

const pageRows = 1_000;
/**
 * The most that one answer without pages may hold. More is refused: a list that is cut would be taken for the whole.
 */
const listedAtOnce = 20_000;
const tooMany = validationFailed([
  {
    pointer: "query",
    detail: `More than ${listedAtOnce} sandboxes run, and this list has no pages. Use GET /v2/sandboxes, or a filter.`,
  },
]) as Extract<Reply<never>, { ok: false }>;

async function rowsOf(context: TenantContext, query: Omit<FleetQuery, "tenant">): Promise<Reply<readonly FleetRow[]>> {
  const { tenant } = context.caller;
  const reply = await ask("read", context.log, async (): Promise<Reply<readonly FleetRow[]>> => {
    return { ok: true, value: await context.backend.shard(tenant).select({ ...query, tenant }) };
  });
  return reply.ok ? reply : { ok: false, problem: { ...reply.problem, detail: silent } };
}

const silent =
  "The index of sandboxes did not answer, so there is no list, not even a short one. Try again in a moment.";

const badToken = validationFailed([
  { pointer: "query.nextToken", detail: "Not a token of this list. Pass X-Next-Token unchanged." },
]) as Extract<Reply<never>, { ok: false }>;

function shownOf(rows: readonly FleetRow[]) {
  return rows.flatMap((row) => listedOf(row) ?? []);
}

async function metrics(context: TenantContext): Promise<Response> {
  const query = validate(e2bMetricsQuery, Object.fromEntries(new URL(context.request.url).searchParams), "query");
  if (!query.ok) return refuse(context, query.problem);
  const reply = await askSession(context, "read", (session) => session.resources(context.caller));
  if (reply.ok) return json(200, metricsOf(reply.value, query.value.start ?? null, query.value.end ?? null));
  // The sandbox exists, but there is nothing to measure now.
  if (reply.problem.code === "session_paused" || reply.problem.code === "session_not_running") return json(200, []);
  return refuse(context, reply.problem);
}

/**
 * E2B's SDK asks the data plane whether a sandbox runs and names it in a header: 204 if so, 502 if it is gone or
 * paused. When Mooring cannot tell, the answer is neither: an error.
 */
async function health(context: TenantContext): Promise<Response> {
  const id = namedSandbox(context.request)?.id ?? null;
  if (id === null) return refuse(context, noSandboxNamed);
  if (!sessionIdPattern.test(id)) return notRunning(id);
  const reply = await ask("read", context.log, () => context.backend.session(id as SessionId).get(context.caller));
  if (!reply.ok) return reply.problem.code === "not_found" ? notRunning(id) : refuse(context, reply.problem);
  return reply.value.body.status === "running" ? new Response(null, { status: 204 }) : notRunning(id);
}

const noSandboxNamed: Problem = {
  code: "validation_failed",
  detail:
    "Which sandbox is meant is said by the header E2b-Sandbox-Id, and there was none. For Mooring itself ask /healthz.",
};

function notRunning(id: string): Response {
  return json(502, {
    sandboxId: id.slice(0, 20),
    message: "The sandbox does not run: it is paused, or gone.",
    code: 502,
  });
}

const [older, newer] = e2bContracts;
export const readingRoutes: readonly Route[] = [
  serve(e2bReadContracts.listRunning, listRunning),
  serve(e2bReadContracts.list, list),
  serve(older.metrics, metrics),
  serve(newer.metrics, metrics),
  serve(e2bReadContracts.health, health),
];
