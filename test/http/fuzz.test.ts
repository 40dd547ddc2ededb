/**
 * Requests made from the OpenAPI document, right and wrong, against the whole Worker in workerd: never a 500, never a hang,
 * and every answer as described, which for an error means a valid problem document with a code that the route names.
 *
 * A few hundred with `npm test`; `npm run fuzz` sends 10,000 (FUZZ_REQUESTS, FUZZ_SEED). A failure prints its request and seed.
 */
import fc from "fast-check";
import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import { routes } from "../../src/http/app.ts";
import { openApiDocument } from "../../src/http/answer/openapi-document.ts";
import { holdToDocument } from "../support/documented.ts";
import { type DescribedOperation, type FuzzRequest, requestTo } from "../support/request-arbitrary.ts";
import type { JsonSchema } from "../support/schema-arbitrary.ts";
import { adminToken, keyOf, workerFetch } from "../support/workers/mooring.ts";

const bound = env as unknown as { readonly FUZZ_REQUESTS?: string; readonly FUZZ_SEED?: string };
const requests = Number(bound.FUZZ_REQUESTS ?? 300);
const seed = Number(bound.FUZZ_SEED ?? 20_261_122);

/** Above the longest answer here: an E2B pause waits for running jobs, 50 s at most. `Prefer: wait` is kept small below. */
const hangMs = 60_000;
const tenants = Array.from({ length: 40 }, (_, at) => `fuzz-${at}`);
const keys = await Promise.all(tenants.map(keyOf));

interface Media {
  readonly schema: JsonSchema;
}
interface RawOperation {
  readonly operationId: string;
  readonly security: readonly Readonly<Record<string, unknown>>[];
  readonly parameters?: DescribedOperation["parameters"];
  readonly requestBody?: { readonly content: Readonly<Record<string, Media>> };
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, unknown>> }>>;
}

const document = JSON.parse(JSON.stringify(openApiDocument(routes))) as {
  readonly paths: Readonly<Record<string, Readonly<Record<string, RawOperation>>>>;
};
const operations: readonly DescribedOperation[] = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, raw]) => ({
    method: method.toUpperCase(),
    path,
    operationId: raw.operationId,
    admin: raw.security.some((scheme) => "adminToken" in scheme),
    parameters: raw.parameters ?? [],
    body: raw.requestBody?.content["application/json"]?.schema ?? (raw.requestBody === undefined ? null : "bytes"),
    streams: "text/event-stream" in (raw.responses["200"]?.content ?? {}),
  })),
);

/** What exists by now, so that requests also reach what is behind the lookups. */
interface Made {
  readonly id: string;
  readonly tenant: number;
}
const world = {
  sessions: [] as Made[],
  jobs: new Map<string, string[]>(),
  webhooks: [] as Made[],
  snapshots: [] as Made[],
  audits: [] as Made[],
};

/** What the first name in a path is the id of, and which of those that were made `pick` means. */
function subjectOf(path: string, pick: number): Made | undefined {
  const kind = path.startsWith("/v1/webhooks/")
    ? world.webhooks
    : path.startsWith("/v1/snapshots/")
      ? world.snapshots
      : path.startsWith("/v1/admin/audits/")
        ? world.audits
        : world.sessions;
  return kind.at(-1 - (pick % Math.max(1, Math.min(6, kind.length))));
}
const tally = new Map<string, number>();

interface Answered {
  readonly response: Response;
  /** The path as it was sent: an odd segment can make it another route's. */
  readonly path: string;
  readonly session: string | null;
}

function send(request: FuzzRequest): Promise<Answered> {
  const { operation, pick } = request;
  const known = subjectOf(operation.path, pick);
  const owned = /\{(id|snapshot)\}/.test(operation.path);
  const tenant = known !== undefined && owned ? known.tenant : pick % tenants.length;
  const existing: Readonly<Record<string, string>> = {
    id: known?.id ?? "neverexisted00000000",
    snapshot: known?.id ?? "neverexisted00000000",
    job: world.jobs.get(known?.id ?? "")?.at(-1 - (pick % 3)) ?? "job-1",
    tenant: tenants[tenant] ?? "",
    key: "zzzzzz.0.0123456789",
  };
  const path = operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    return encodeURIComponent(request.segments[name] ?? existing[name] ?? "unknown");
  });
  const query = new URLSearchParams(request.query.map(([name, value]) => [name, value]));
  const url = `https://mooring.test${path}${request.query.length === 0 ? "" : `?${query}`}`;
  const credentials = {
    right: operation.admin ? adminToken : keys[tenant],
    "other kind": operation.admin ? keys[tenant] : adminToken,
    none: undefined,
    odd: "mrg_fuzz-0_x.0.y_z",
  };
  const headers = new Headers();
  for (const [name, value] of request.headers)
    headers.set(name, name.toLowerCase() === "prefer" ? value.replaceAll(/\d+/g, "1") : value);
  const credential = credentials[request.credential];
  if (credential !== undefined) headers.set("authorization", `Bearer ${credential}`);
  const body = request.body === null || operation.method === "GET" ? {} : { body: request.body };
  // A redirect is an answer of its own: what it leads to is another route.
  const sent = new Request(url, { method: operation.method, headers, redirect: "manual", ...body });
  return answered(sent, operation, known?.id ?? null);
}

/** What an agent answers is made up in this world: of these routes only Mooring's own refusals are described word for word. */
const intoSandbox = /^\/(v1\/sessions\/[^/]+\/(files|processes|terminal|ports\/)|files|process\.|filesystem\.)/;

async function answered(sent: Request, operation: DescribedOperation, session: string | null): Promise<Answered> {
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error(`${operation.operationId} did not answer within ${hangMs} ms`)), hangMs);
  });
  const response = await Promise.race([workerFetch(sent), late]);
  return { response, path: new URL(sent.url).pathname, session };
}

/** What an answer taught about the world. */
async function learn(request: FuzzRequest, response: Response, session: string | null): Promise<void> {
  const { operationId } = request.operation;
  tally.set(`${operationId} ${response.status}`, (tally.get(`${operationId} ${response.status}`) ?? 0) + 1);
  if (!response.ok) return;
  if (operationId === "createSession") {
    const { id } = (await response.clone().json()) as { readonly id: string };
    world.sessions.push({ id, tenant: request.pick % tenants.length });
  }
  if (operationId === "createJob" && session !== null) {
    const { id } = (await response.clone().json()) as { readonly id: string };
    world.jobs.set(session, [...(world.jobs.get(session) ?? []), id]);
  }
  // A fleet that takes no sessions any more would end the fuzz of everything else.
  if (operationId === "drain") {
    const headers = { authorization: `Bearer ${adminToken}`, "content-type": "application/json" };
    const body = JSON.stringify({ draining: false, reason: "the fuzz goes on" });
    await workerFetch(new Request("https://mooring.test/v1/admin/drain", { method: "POST", headers, body }));
  }
}

/** Requests that end things come often: without new ones the others would soon meet nothing but ended ones. */
async function freshThings(turn: number): Promise<void> {
  const tenant = turn % tenants.length;
  const post = async (path: string, body: unknown, credential: string | undefined = keys[tenant]) => {
    const headers = { authorization: `Bearer ${credential}`, "content-type": "application/json", prefer: "wait=5" };
    const request = new Request(`https://mooring.test${path}`, { method: "POST", headers, body: JSON.stringify(body) });
    const response = await workerFetch(request);
    return response.ok ? ((await response.json()) as { readonly id: string }).id : null;
  };
  // An address that the schema cannot spell out, so chance would never find one that is taken.
  const webhook = await post("/v1/webhooks", { url: `https://hooks-${turn}.example.com/`, events: ["session.*"] });
  if (webhook !== null) world.webhooks.push({ id: webhook, tenant });
  const audit = turn % 4 === 0 ? await post("/v1/admin/audits", {}, adminToken) : null;
  if (audit !== null) world.audits.push({ id: audit, tenant });
  const id = await post("/v1/sessions", { auto_resume: turn % 2 === 0 });
  if (id === null) return;
  world.sessions.push({ id, tenant });
  const snapshot = turn % 3 === 0 ? await post(`/v1/sessions/${id}/snapshots`, {}) : null;
  if (snapshot !== null) world.snapshots.push({ id: snapshot, tenant });
  const job = await post(`/v1/sessions/${id}/jobs`, { command: "cat", stdin_open: true });
  if (job !== null) world.jobs.set(id, [job]);
}

const creating = operations.filter(({ operationId }) => operationId === "createSession" || operationId === "createJob");
const anyRequest = fc.oneof(
  { weight: 1, arbitrary: fc.constantFrom(...creating).chain(requestTo) },
  { weight: 8, arbitrary: fc.constantFrom(...operations).chain(requestTo) },
);

it(
  "whatever is sent to any route, the answer is a described one: no 500, no hang, each error a valid problem [API-4] [API-5] [SEC-4] [SEC-5]",
  { timeout: 3_600_000 },
  async () => {
    let sent = 0;
    await fc.assert(
      fc.asyncProperty(anyRequest, async (request) => {
        if (sent % 20 === 0) await freshThings(sent / 20);
        sent += 1;
        const { response, path, session } = await send(request);
        const { method, operationId } = request.operation;
        expect(response.status, operationId).not.toBe(500);
        if (!(response.ok && intoSandbox.test(path))) await holdToDocument(method, path, response);
        await learn(request, response, session);
        await response.body?.cancel();
      }),
      { numRuns: requests, seed, endOnFailure: true },
    );
    const succeeded = new Set(
      [...tally.keys()].filter((each) => Number(each.split(" ")[1]) < 400).map((each) => each.split(" ")[0]),
    );
    const rows = [...tally]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([what, count]) => `${String(count).padStart(6)} ${what}`);
    // oxlint-disable-next-line no-console -- what a reader of the run wants to see
    console.log(
      `${requests} requests, seed ${seed}: ${succeeded.size} of ${operations.length} operations answered a success.\n${rows.join("\n")}`,
    );
    // Requests that all fail at the door would prove little.
    expect(succeeded.size).toBeGreaterThan(requests >= 5_000 ? operations.length * 0.75 : operations.length * 0.25);
  },
);
