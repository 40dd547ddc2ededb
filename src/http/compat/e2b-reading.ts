/** E2B's lists, metrics and health: reads, which wake nothing and count as nobody's activity. */
import { z } from "zod";
import type { FleetQuery, FleetRow } from "../../fleet/shard-api.ts";
import { e2bState } from "../../protocol/e2b.ts";
import { plainText, sessionIdPattern } from "../../protocol/primitives.ts";
import type { Problem, Reply } from "../../protocol/problem.ts";
import type { SessionId } from "../../domain/ids.ts";
import { ask } from "../backend.ts";
import { decodeCursor, encodeCursor } from "../cursor.ts";
import { askSession, json, type Route, type TenantAsk } from "../route.ts";
import { validate, validationFailed } from "../validation.ts";
import { metadataFilter, templateLabel } from "./e2b-metadata.ts";
import { refuse } from "./e2b-refusal.ts";
import { listedOf, metricsOf, nativeStatuses } from "./e2b-view.ts";

const pageSize = 100;

const listQuery = z.object({
  limit: z
    .string()
    .regex(/^\d{1,3}$/, `A whole number from 1 to ${pageSize}.`)
    .transform(Number)
    .refine((count) => count >= 1 && count <= pageSize, `A whole number from 1 to ${pageSize}.`)
    .default(pageSize),
  nextToken: z.string().max(100).optional(),
  state: z.array(e2bState).optional(),
  metadata: z.string().max(8_192).optional(),
  startedAfter: z.iso.datetime({ offset: true, error: "An RFC 3339 time." }).optional(),
  template: plainText(256).optional(),
  order: z.enum(["asc", "desc"]).default("desc"),
});

/** A bare array; `X-Next-Token` is there when there is more. */
async function list(from: TenantAsk): Promise<Response> {
  const { searchParams } = new URL(from.request.url);
  // An empty parameter is one that was not given: clients send those.
  const given = Object.fromEntries([...searchParams].filter(([, value]) => value !== ""));
  const states = searchParams.getAll("state").flatMap((each) => each.split(","));
  const asked = states.filter((each) => each !== "");
  const query = validate(listQuery, { ...given, state: asked.length === 0 ? undefined : asked }, "query");
  if (!query.ok) return refuse(from, query.problem);
  const { limit, nextToken, order, startedAfter, template } = query.value;
  const after = nextToken === undefined ? undefined : decodeCursor(nextToken);
  if (after === null) return refuse(from, badToken.problem);
  const labels = {
    ...(query.value.metadata === undefined ? {} : metadataFilter(query.value.metadata)),
    ...(template === undefined ? {} : { [templateLabel]: template }),
  };
  const reply = await rowsOf(from, {
    // One more than asked for tells whether there is another page.
    limit: limit + 1,
    order: order === "asc" ? "oldest" : "newest",
    statuses: nativeStatuses(query.value.state ?? ["running", "paused"]),
    labels,
    ...(after === undefined ? {} : { after }),
    // The index takes what is later than this; E2B means at or after.
    ...(startedAfter === undefined ? {} : { createdAfter: Date.parse(startedAfter) - 1 }),
  });
  if (!reply.ok) return refuse(from, reply.problem);
  const page = reply.value.slice(0, limit);
  const last = page.at(-1);
  const more = reply.value.length > limit && last !== undefined;
  const next = more ? { "x-next-token": encodeCursor({ createdAt: last.createdAt, id: last.sessionId }) } : {};
  return json(200, shownOf(page), next);
}

/** The older list knows running ones only, and no pages. */
async function listRunning(from: TenantAsk): Promise<Response> {
  const metadata = new URL(from.request.url).searchParams.get("metadata") ?? "";
  const labels = metadataFilter(metadata.slice(0, 8_192));
  const reply = await rowsOf(from, { limit: 1_000, order: "newest", statuses: nativeStatuses(["running"]), labels });
  return reply.ok ? json(200, shownOf(reply.value)) : refuse(from, reply.problem);
}

async function rowsOf(from: TenantAsk, query: Omit<FleetQuery, "tenant">): Promise<Reply<readonly FleetRow[]>> {
  const { tenant } = from.caller;
  const reply = await ask("read", from.log, async (): Promise<Reply<readonly FleetRow[]>> => {
    return { ok: true, value: await from.backend.shard(tenant).select({ ...query, tenant }) };
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

const epochSeconds = z
  .string()
  .regex(/^\d{1,12}$/, "Whole seconds since 1970.")
  .transform(Number)
  .optional();
const metricsQuery = z.object({ start: epochSeconds, end: epochSeconds });

async function metrics(from: TenantAsk): Promise<Response> {
  const query = validate(metricsQuery, Object.fromEntries(new URL(from.request.url).searchParams), "query");
  if (!query.ok) return refuse(from, query.problem);
  const reply = await askSession(from, "read", (session) => session.resources(from.caller));
  if (reply.ok) return json(200, metricsOf(reply.value, query.value.start ?? null, query.value.end ?? null));
  // There, but nothing to measure now.
  if (reply.problem.code === "session_paused" || reply.problem.code === "session_not_running") return json(200, []);
  return refuse(from, reply.problem);
}

/**
 * E2B's SDK asks its data plane whether a sandbox runs, by a header: 204, or 502 when it is gone or paused. What cannot be
 * told is neither: an error.
 */
async function health(from: TenantAsk): Promise<Response> {
  const id = from.request.headers.get(sandboxHeader);
  if (id === null) return refuse(from, noSandboxNamed);
  if (!sessionIdPattern.test(id)) return notRunning(id);
  const reply = await ask("read", from.log, () => from.backend.session(id as SessionId).get(from.caller));
  if (!reply.ok) return reply.problem.code === "not_found" ? notRunning(id) : refuse(from, reply.problem);
  return reply.value.body.status === "running" ? new Response(null, { status: 204 }) : notRunning(id);
}

export const sandboxHeader = "e2b-sandbox-id";

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

export const readingRoutes: readonly Route[] = [
  { method: "GET", path: "/sandboxes", access: "tenant", handle: listRunning },
  { method: "GET", path: "/v2/sandboxes", access: "tenant", handle: list },
  { method: "GET", path: "/sandboxes/:id/metrics", access: "tenant", handle: metrics },
  { method: "GET", path: "/v2/sandboxes/:id/metrics", access: "tenant", handle: metrics },
  { method: "GET", path: "/health", access: "sandbox", handle: health },
];
