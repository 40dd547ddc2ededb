/**
 * The HTTP front: request ids, one log line per request, security headers, the refusals that need no route (config,
 * unknown path, wrong method, too long a URL), authentication, and the catch for our own bugs. It never logs or
 * answers a header, a body, a key or a stack.
 */
import { type Context, Hono } from "hono";
import type { Config } from "../config/config.ts";
import { rightFor } from "../protocol/contract.ts";
import type { Problem, Reply } from "../protocol/problem.ts";
import { briefly } from "./backend.ts";
import { cubeRoutes } from "./compat/cube.ts";
import { dataPlaneRoutes } from "./compat/e2b/data-plane.ts";
import { readingRoutes } from "./compat/e2b/reading.ts";
import { e2bSnapshotRoutes } from "./compat/e2b/snapshots.ts";
import { sandboxRoutes } from "./compat/e2b/sandboxes.ts";
import { runbookRoutes } from "./compat/runbook.ts";
import { lacksRight } from "./guard/auth.ts";
import { RequestGate } from "./guard/request-gate.ts";
import type { RequestContext, Route, AppDependencies } from "./route.ts";
import { adminRoutes } from "./routes/operator/admin.ts";
import { alertRoutes } from "./routes/operator/alerts.ts";
import { attentionRoutes } from "./routes/operator/attention.ts";
import { containerRoutes } from "./routes/operator/containers.ts";
import { descriptionRoutes } from "./routes/service/description.ts";
import { consoleRoutes } from "./routes/service/console.ts";
import { docsRoutes } from "./routes/service/docs.ts";
import { eventRoutes } from "./routes/session/events.ts";
import { fileRoutes } from "./routes/sandbox/files.ts";
import { auditRoutes } from "./routes/operator/audits.ts";
import { cleanupRoutes } from "./routes/operator/cleanup.ts";
import { fleetRoutes } from "./routes/operator/fleet.ts";
import { healthRoutes } from "./routes/service/health.ts";
import { insightRoutes } from "./routes/session/insight.ts";
import { jobRoutes } from "./routes/session/jobs.ts";
import { keyRoutes } from "./routes/operator/keys.ts";
import { metricsRoutes } from "./routes/service/metrics.ts";
import { outputRoutes } from "./routes/session/output.ts";
import { portRoutes } from "./routes/sandbox/ports.ts";
import { receiptRoutes } from "./routes/session/receipts.ts";
import { processRoutes } from "./routes/sandbox/processes.ts";
import { rootRoutes } from "./routes/service/root.ts";
import { secretRoutes } from "./routes/operator/secrets.ts";
import { sessionRoutes } from "./routes/session/sessions.ts";
import { webhookRoutes } from "./routes/tenant/webhooks.ts";
import { snapshotRoutes } from "./routes/tenant/snapshots.ts";
import { usageRoutes } from "./routes/tenant/usage.ts";
import { corsHeaders, preflightAnswer } from "./guard/cors.ts";
import { PortFront } from "./sandbox-ports/port-front.ts";
import { headersTooLarge, withinBody } from "./guard/size-limits.ts";
import { surfaceOf } from "./guard/surface.ts";
import { traceOf, type TraceContext } from "./request/traceparent.ts";

/** All of them: the tests of refusals go through this table, so a new route is covered by being here. */
export const routes: readonly Route[] = [
  ...healthRoutes,
  ...sessionRoutes,
  ...jobRoutes,
  ...outputRoutes,
  ...snapshotRoutes,
  ...portRoutes,
  ...fileRoutes,
  ...processRoutes,
  ...eventRoutes,
  ...usageRoutes,
  ...webhookRoutes,
  ...insightRoutes,
  ...alertRoutes,
  ...metricsRoutes,
  ...adminRoutes,
  ...fleetRoutes,
  ...attentionRoutes,
  ...containerRoutes,
  ...keyRoutes,
  ...receiptRoutes,
  ...secretRoutes,
  ...cleanupRoutes,
  ...auditRoutes,
  ...runbookRoutes,
  ...sandboxRoutes,
  ...e2bSnapshotRoutes,
  ...readingRoutes,
  ...dataPlaneRoutes,
  ...cubeRoutes,
  ...docsRoutes,
  ...consoleRoutes,
  ...rootRoutes,
  ...descriptionRoutes(() => routes),
];

/** Above any URL of ours: ids, 32 labels as filters, a cursor. */
const maxUrl = 16_384;

const fixedHeaders = {
  "x-content-type-options": "nosniff",
  "cache-control": "no-store",
  "referrer-policy": "no-referrer",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
};

interface Seen {
  readonly requestId: string;
  readonly trace: TraceContext;
  route: string;
  tenant: string | null;
  /** Headers that the gate wants on the answer. */
  headers: Readonly<Record<string, string>>;
}
type Variables = { Variables: { seen: Seen } };

export interface HttpApp {
  fetch(request: Request): Promise<Response>;
}

export function createApp(around: AppDependencies): HttpApp {
  const app = new Hono<Variables>();
  const { reading } = around;
  const config = reading.ok ? reading.config : reading.fallback;
  const gate = new RequestGate(config, around);
  const problem = (c: Context<Variables>, what: Problem, headers?: Record<string, string>) =>
    surfaceOf(c.req.path).refuse(
      what,
      { requestId: c.var.seen.requestId, now: around.clock.now(), url: c.req.url },
      headers,
    );

  app.use(async (c, next) => {
    const startedAt = around.clock.now();
    const request = c.req.raw;
    const requestId = requestIdOf(request, around);
    const trace = traceOf(request, around.ids);
    const seen: Seen = { requestId, trace, route: "unmatched", tenant: null, headers: {} };
    c.set("seen", seen);
    const heavy = headersTooLarge(request, config.sizes);
    if (c.req.url.length > maxUrl) c.res = problem(c, urlTooLong);
    else if (heavy !== null) c.res = problem(c, heavy);
    else await next();
    // The docs page has a policy of its own, and its files may be cached.
    for (const [name, value] of Object.entries(fixedHeaders))
      if (!c.res.headers.has(name)) c.res.headers.set(name, value);
    for (const [name, value] of Object.entries(seen.headers)) c.res.headers.set(name, value);
    for (const [name, value] of Object.entries(corsHeaders(request, c.req.path, config.corsOrigins)))
      c.res.headers.append(name, value);
    c.res.headers.set("x-request-id", seen.requestId);
    around.log.info("request", {
      method: c.req.method.slice(0, 16),
      route: seen.route,
      status: c.res.status,
      ms: around.clock.now() - startedAt,
      request_id: seen.requestId,
      trace_id: seen.trace.traceId,
      tenant: seen.tenant,
    });
  });

  for (const route of routes) {
    app.on(route.method, route.path, async (c) => {
      c.var.seen.route = route.path;
      const response = await answer(route, c, around, gate);
      if (c.req.raw.method !== "HEAD") return response;
      // A HEAD to a stream must not leave the stream running with nobody to read it.
      await response.body?.cancel();
      return new Response(null, response);
    });
  }
  for (const path of new Set(routes.map((route) => route.path))) {
    const allow = routes.filter((route) => route.path === path).map((route) => route.method);
    app.all(path, (c) => {
      c.var.seen.route = path;
      const preflight = preflightAnswer(c.req.raw, c.req.path, allow, config.corsOrigins);
      if (preflight !== null) return preflight;
      return problem(c, methodNotAllowed(allow), { allow: allow.join(", ") });
    });
  }
  app.notFound((c) => surfaceOf(c.req.path).notServed?.(c.req.raw) ?? problem(c, routeNotFound));
  app.onError((error, c) => {
    around.log.error("bug", { route: c.var.seen.route, request_id: c.var.seen.requestId, error: briefly(error) });
    return problem(c, bug);
  });
  const ports = new PortFront(around, config, gate);
  return { fetch: async (request) => (await ports.answer(request)) ?? (await app.fetch(request)) };
}

async function answer(
  route: Route,
  c: Context<Variables>,
  around: AppDependencies,
  gate: RequestGate,
): Promise<Response> {
  const { reading, ...rest } = around;
  const request = c.req.raw;
  const { requestId, trace } = c.var.seen;
  const context: RequestContext = { ...rest, request, requestId, param: (name) => c.req.param(name) ?? "" };
  const surface = surfaceOf(c.req.path);
  const refuse = (what: Problem) => surface.refuse(what, { requestId, now: around.clock.now(), url: request.url });
  if (route.access === "open") {
    const isOperator = async () => request.headers.has("authorization") && (await gate.admin(request)).ok;
    return await route.handle({ ...context, reading, isOperator, gate });
  }
  if (!reading.ok) return refuse(misconfigured);
  const { config } = reading;
  if (route.access === "admin") {
    const admin = await gate.admin(request);
    if (!admin.ok) return refuse(admin.problem);
    const sent = await bodyOf(route, request, config);
    return sent.ok ? await route.handle({ ...context, request: sent.value, config }) : refuse(sent.problem);
  }
  const { tenant, headers } = await gate.tenant(request, surface, route.access);
  c.var.seen.headers = headers;
  if (!tenant.ok) return refuse(tenant.problem);
  c.var.seen.tenant = tenant.value.tenant;
  const lacking = lacksRight(tenant.value.scopes, rightFor(route));
  if (lacking !== null) return refuse(lacking);
  const sent = await bodyOf(route, request, config);
  if (!sent.ok) return refuse(sent.problem);
  const caller = { ...tenant.value, requestId, traceparent: trace.traceparent };
  return await route.handle({ ...context, request: sent.value, config, caller });
}

/** A route that takes no body leaves it unread, as ever; one that takes a stream passes it on. */
async function bodyOf(route: Route, request: Request, config: Config): Promise<Reply<Request>> {
  return route.body === undefined || route.body === "stream"
    ? { ok: true, value: request }
    : await withinBody(request, config.sizes);
}

/** A client's own id is kept when it cannot forge a log line or a header. */
function requestIdOf(request: Request, around: AppDependencies): string {
  const given = request.headers.get("x-request-id");
  return given !== null && /^[A-Za-z0-9._-]{1,64}$/.test(given) ? given : around.ids.id();
}

const urlTooLong: Problem = {
  code: "validation_failed",
  detail: `The URL is longer than ${maxUrl} characters, so the request was not looked at. Send fewer or shorter parameters.`,
  errors: [{ pointer: "query", detail: `At most ${maxUrl} characters with the path.` }],
};
const routeNotFound: Problem = {
  code: "not_found",
  detail:
    "There is no such route. Check the path; routes begin with /v1/, ids hold no slash, and no path ends with one.",
};
const misconfigured: Problem = {
  code: "unavailable",
  detail:
    "This Mooring's configuration does not fit together, so it serves nothing. Its operator finds the reasons at /readyz.",
};
const bug: Problem = {
  code: "internal",
  detail:
    "Mooring made a mistake of its own with this request. Tell its operator the request_id; whether anything was changed, a read will show.",
};

function methodNotAllowed(allow: readonly string[]): Problem {
  return {
    code: "method_not_allowed",
    detail: `This path exists, but not with this method. It takes ${allow.join(", ")}.`,
  };
}
