/**
 * The real HTTP app over a recording backend: the objects' side of the port, in process. Every call is recorded; a test
 * gives the answers that it is about and the rest are plain successes.
 */
import { expect } from "vitest";
import { readConfig } from "../../src/config/config.ts";
import type { ConfigEnv } from "../../src/config/env.ts";
import type { AuditPlan } from "../../src/fleet/audits/plan.ts";
import type { FleetControlApi } from "../../src/fleet/control/control-api.ts";
import type { FleetOperations } from "../../src/fleet/operations-api.ts";
import { noOutcomes } from "../../src/fleet/shard/outcomes.ts";
import type { FleetShardApi } from "../../src/fleet/shard/shard-api.ts";
import type { Generation, TenantId } from "../../src/domain/state/ids.ts";
import { providerNames } from "../../src/domain/state/provider-names.ts";
import { shardName, shardNames } from "../../src/fleet/shard/shard-name.ts";
import { noStats } from "../../src/fleet/shard/shard-counters.ts";
import type { TenantApi } from "../../src/tenant/tenant-api.ts";
import { controlFace, tenantFace } from "./fleet-cores.ts";
import { createApp } from "../../src/http/app.ts";
import { type Backend, plainly } from "../../src/http/backend.ts";
import type { BudgetName, SharedCounter } from "../../src/http/guard/rate-limits.ts";
import { type ApiKeyOrder, signApiKey } from "../../src/protocol/api-keys.ts";
import { entityTag } from "../../src/protocol/entity-tag.ts";
import type { Reply } from "../../src/protocol/problem.ts";
import { cubeReply } from "../../src/protocol/compat/cube.ts";
import { z } from "zod";
import { e2bError } from "../../src/protocol/compat/e2b.ts";
import {
  type Problem,
  problemBody,
  type ProblemBody,
  type ProblemCode,
  problemStatus,
} from "../../src/protocol/problem.ts";
import type { Clock, LogFields, Logger } from "../../src/runtime/clock-ids-logger.ts";
import type { TrafficGate } from "../../src/traffic/traffic-gate.ts";
import type { SessionApi, WrittenView } from "../../src/session/session-api.ts";
import { holdToDocument } from "./documented.ts";
import type { SessionView } from "../../src/protocol/resources/session/sessions.ts";
import { sampleExplanation, sampleLogs, sampleResources } from "./sample-insight.ts";
import {
  sampleEvent,
  sampleInspection,
  sampleJob,
  sampleListItem,
  sampleSession,
  sampleSnapshot,
  sampleTeardown,
  sampleId,
} from "./sample-views.ts";

export const testSecrets = {
  ADMIN_TOKEN: "admin-token-of-the-http-tests-0001",
  KEY_SIGNING_SECRET: "key-signing-secret-of-the-http-tests-0002",
  ENV_ENCRYPTION_KEY: "env-encryption-key-of-the-http-tests-0003",
  LOCAL_HOST_TOKEN: "local-host-token-of-the-http-tests-0004",
} as const;
export const testNow = Date.parse("2026-03-01T12:00:00Z");

export interface RecordedCall {
  /** A SessionApi or FleetShardApi method. */
  readonly method: string;
  /** The session id or the tenant whose object was called. */
  readonly object: string;
  readonly args: readonly unknown[];
}

/** What a test answers itself; may throw, as object RPC may. */
export interface Answers {
  readonly session?: Partial<SessionApi>;
  /** What the registry of that tenant answers in place of the real core. */
  readonly tenant?: (name: TenantId) => Partial<TenantApi>;
  readonly shard?: Partial<FleetShardApi>;
  /** Shards of their own, by place: calls to them are recorded under `shard-<n>`, a tenant's under the shard that it is in. */
  readonly shards?: readonly Partial<FleetShardApi>[];
  readonly operations?: Partial<FleetOperations>;
  readonly missing?: readonly string[];
}

export interface LoggedLine {
  readonly level: "info" | "warn" | "error";
  readonly message: string;
  readonly fields: LogFields;
}

/**
 * `key` is the whole credential; left out, what the path needs: a valid key of tenant `acme`, or the admin token.
 * null: no Authorization header.
 */
export interface Call {
  readonly key?: string | null;
  readonly headers?: Record<string, string>;
  readonly json?: unknown;
  readonly body?: BodyInit;
}

export interface HttpClient {
  readonly calls: RecordedCall[];
  readonly log: LoggedLine[];
  /** The real core; a test may put something in it, or break a call of it. */
  readonly control: FleetControlApi;
  send(method: string, path: string, call?: Call): Promise<Response>;
  /** The app itself, as a fetch for a client of it. */
  fetch(request: Request): Promise<Response>;
}

export interface ClientOptions {
  readonly answers?: Answers;
  readonly env?: ConfigEnv;
  readonly clock?: Clock;
  /** What a sandbox answers; left out: none takes traffic. */
  readonly traffic?: TrafficGate["send"];
  /** The platform's rate limits; left out: not bound. */
  readonly counters?: Partial<Record<BudgetName, SharedCounter>>;
}

export const stillClock: Clock = {
  now: () => testNow,
  // Quiet time never passes by itself here; a stream test that wants a heartbeat brings its own clock.
  sleep: (_ms, signal) =>
    new Promise((resolve) => {
      if (signal === undefined || signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve());
    }),
};

export async function httpClient(options: ClientOptions = {}): Promise<HttpClient> {
  const calls: RecordedCall[] = [];
  const log: LoggedLine[] = [];
  const answers = options.answers ?? {};
  const clock = options.clock ?? stillClock;
  const now = () => clock.now();
  const control = controlFace({ now });
  const tenants = new Map<TenantId, TenantApi>();
  const tenant = (name: TenantId): TenantApi => {
    const known = tenants.get(name) ?? overlaid(tenantFace(name, { now }), answers.tenant?.(name) ?? {});
    tenants.set(name, known);
    return known;
  };
  const shard = { ...plainShard, ...answers.shard };
  const places = answers.shards?.length ?? 2;
  const shardAt = (place: number): FleetShardApi => ({ ...shard, ...answers.shards?.[place] });
  const backend: Backend = {
    // Asked by authentication, so they are not recorded: a test counts the calls that its route makes.
    tenant,
    control: () => control,
    operations: () => recorded("fleet", { ...plainOperations, ...answers.operations }, calls),
    shards: () => shardNames(places).map((name, place) => ({ name, api: recorded(name, shardAt(place), calls) })),
    session: (id) => recorded(id, { ...plainSession, ...answers.session }, calls),
    shard: (tenant) =>
      answers.shards === undefined
        ? recorded(tenant, shard, calls)
        : recorded(shardName(tenant, places), shardAt(shardNames(places).indexOf(shardName(tenant, places))), calls),
    receiptKeys: async () => [{ key_id: "0123456789abcdef", public_key: "A".repeat(43) }],
    asset: async (path) => (/^\/(docs|console)\//.test(path) ? new Blob([path]).stream() : null),
    missing: async () => (answers.missing ?? []).map(plainly),
  };
  const write =
    (level: LoggedLine["level"]): Logger["info"] =>
    (message, fields) => {
      log.push({ level, message, fields: fields ?? {} });
    };
  let minted = 0;
  const app = createApp({
    reading: readConfig(options.env ?? { SANDBOX_PROVIDER: "memory", ...testSecrets }, providerNames),
    backend,
    counters: { reads: null, writes: null, traffic: null, auth_failures: null, ...options.counters },
    traffic: { send: async (...order) => (await options.traffic?.(...order)) ?? { ok: false, problem: noTraffic } },
    clock: options.clock ?? stillClock,
    ids: { id: () => `minted${String(++minted).padStart(14, "0")}`, secret: () => "0".repeat(64), random: () => 0.5 },
    log: { info: write("info"), warn: write("warn"), error: write("error") },
  });
  const key = await testKey();
  return {
    calls,
    log,
    control,
    fetch: (request) => app.fetch(request),
    send: async (method, path, call = {}) => {
      const headers = new Headers(call.headers);
      const fitting = /^\/(v1\/admin|api\/sandbox)\//.test(path) ? testSecrets.ADMIN_TOKEN : key;
      const credential = call.key === undefined ? fitting : call.key;
      if (credential !== null) headers.set("authorization", `Bearer ${credential}`);
      if (call.json !== undefined && !headers.has("content-type")) headers.set("content-type", "application/json");
      const body = call.json === undefined ? call.body : JSON.stringify(call.json);
      const response = await app.fetch(
        new Request(`https://mooring.test${path}`, {
          method,
          headers,
          ...(body === undefined ? {} : { body, duplex: "half" }),
        }),
      );
      // Answers that a test invents may be ones that the routes never see.
      if (options.answers === undefined) await holdToDocument(method, path, response);
      return response;
    },
  };
}

export function testKey(
  order: Partial<Omit<ApiKeyOrder, "nonce">> & { readonly secret?: string } = {},
): Promise<string> {
  return signApiKey(
    { tenant: "acme", scopes: [], issuedAt: testNow, ...order, nonce: "0123456789" },
    order.secret ?? testSecrets.KEY_SIGNING_SECRET,
  );
}

/** A whole and truthful problem: its shape, its status, its headers, and nothing of ours in it (API-5). */
export async function expectProblem(response: Response, code: ProblemCode): Promise<ProblemBody> {
  const text = await response.text();
  const body = problemBody.strict().parse(JSON.parse(text));
  expect(body.code).toBe(code);
  expect(body.status).toBe(problemStatus[code]);
  expect(response.status).toBe(body.status);
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  expect(response.headers.get("x-content-type-options")).toBe("nosniff");
  expect(response.headers.get("x-request-id")).toBe(body.request_id);
  // What happened and what to do: a bare phrase is no help.
  expect(body.detail.length).toBeGreaterThan(40);
  expect(text).not.toMatch(/\.ts\b|node_modules|\/src\/| {4}at /);
  for (const secret of Object.values(testSecrets)) expect(text).not.toContain(secret);
  const retryAfter = response.headers.get("retry-after");
  if (retryAfter !== null) expect(retryAfter).toMatch(/^[1-9]\d*$/);
  return body;
}

/** The same on whichever surface the path is of: E2B's and CubeSandbox's clients get a no that they can read. */
export async function expectRefusal(path: string, response: Response, code: ProblemCode): Promise<string> {
  if (path.startsWith("/cube/")) {
    const { ret, end_at } = cubeReply.strict().parse(await compatBody(response));
    expect([ret.ret_code === 200, end_at]).toEqual([false, undefined]);
    return ret.ret_msg;
  }
  if (/^\/(files|process\.Process|filesystem\.Filesystem)/.test(path)) {
    const text = await response.text();
    expect(response.status).toBeGreaterThanOrEqual(400);
    expect(text).not.toMatch(/\.ts\b|node_modules|\/src\/| {4}at /);
    for (const secret of Object.values(testSecrets)) expect(text).not.toContain(secret);
    return e2bDataError.parse(JSON.parse(text)).message;
  }
  if (!/^\/(health|templates|snapshots|(v2\/)?sandboxes)/.test(path))
    return (await expectProblem(response, code)).detail;
  const error = e2bError.strict().parse(await compatBody(response));
  expect(error).toMatchObject({ code: response.status, error_code: code });
  return error.message;
}

/** Of E2B's data plane: a code of the Connect protocol, or a status. */
const e2bDataError = z.strictObject({ code: z.union([z.string(), z.int()]), message: z.string() });

async function compatBody(response: Response): Promise<unknown> {
  const text = await response.text();
  expect(response.status).toBeGreaterThanOrEqual(400);
  expect(response.headers.get("content-type")).toBe("application/json");
  expect(response.headers.get("x-request-id")).not.toBeNull();
  expect(text).not.toMatch(/\.ts\b|node_modules|\/src\/| {4}at /);
  for (const secret of Object.values(testSecrets)) expect(text).not.toContain(secret);
  return JSON.parse(text);
}

export function refusal(problem: Problem): { readonly ok: false; readonly problem: Problem } {
  return { ok: false, problem };
}

function recorded<T extends object>(object: string, api: T, calls: RecordedCall[]): T {
  return new Proxy(api, {
    get(target, method, receiver) {
      const member: unknown = Reflect.get(target, method, receiver);
      if (typeof member !== "function") return member;
      return (...args: unknown[]) => {
        calls.push({ method: String(method), object, args });
        return Reflect.apply(member, target, args) as unknown;
      };
    },
  });
}

/** `over` where it says something, else `base`. */
function overlaid<T extends object>(base: T, over: Partial<T>): T {
  return new Proxy(base, {
    get: (target, name, receiver) => Reflect.get(name in over ? over : target, name, receiver) as unknown,
  });
}

const noTraffic = { code: "unsupported_by_provider", detail: "No traffic in this test. GET /v1/sessions" } as const;

/** As an object answers a read. */
export async function writtenSession(version: string, view: SessionView): Promise<Reply<WrittenView>> {
  const text = JSON.stringify(view);
  return { ok: true, value: { text, etag: await entityTag(version, text) } };
}

const plainSession: SessionApi = {
  owner: async () => null,
  create: async (id) => ({ ok: true, value: { etag: "1", body: sampleSession({ id }), replayed: false } }),
  get: async () => ({ ok: true, value: { etag: "7", body: sampleSession() } }),
  read: () => writtenSession("7", sampleSession()),
  delete: async () => ({
    ok: true,
    value: { session: sampleSession({ status: "terminating" }), done: false, changed: true },
  }),
  setNetwork: async () => ({ ok: true, value: { etag: "8", body: sampleSession() } }),
  budget: async () => ({ ok: true, value: { etag: "8", body: sampleSession() } }),
  tenantBudgetSpent: async () => ({ known: true }),
  timeout: async () => ({ ok: true, value: { etag: "8", body: sampleSession() } }),
  pause: async () => ({ ok: true, value: { etag: "8", body: sampleSession({ status: "pausing" }), changed: true } }),
  attach: async () => ({ ok: true, value: { etag: "8", body: sampleSession(), changed: false } }),
  resume: async () => ({ ok: true, value: { etag: "8", body: sampleSession({ status: "provisioning" }) } }),
  rebuild: async () => ({ ok: true, value: { etag: "8", body: sampleSession({ status: "provisioning" }) } }),
  keepalive: async () => ({ ok: true, value: { etag: "7", body: sampleSession() } }),
  interrupt: async () => ({ ok: true, value: { interrupted: ["job-1"], queued: ["job-2"] } }),
  usage: async () => ({
    ok: true,
    value: { session_id: sampleId, as_of: new Date(testNow).toISOString(), usage: [], total_seconds: 0 },
  }),
  teardown: async () => ({ ok: true, value: sampleTeardown() }),
  events: async () => ({ ok: true, value: [sampleEvent(1), sampleEvent(2)] }),
  createJob: async () => ({ ok: true, value: { job: sampleJob(), replayed: false } }),
  jobs: async () => {
    const { output_tail: _tail, ...item } = sampleJob();
    return { ok: true, value: [item] };
  },
  job: async () => ({ ok: true, value: sampleJob({ state: "succeeded", exit_code: 0 }) }),
  cancelJob: async () => ({ ok: true, value: sampleJob({ state: "cancelled" }) }),
  writeStdin: async () => ({ ok: true, value: null }),
  jobOutput: async (_caller, _id, offset) => ({
    ok: true,
    value: { from: offset, body: new Blob(["done\n"]).stream() },
  }),
  end: async () => ({ ok: true, value: { ended: true, why: "", session: sampleSession({ status: "terminating" }) } }),
  inspect: async () => ({ ok: true, value: sampleInspection() }),
  resolve: async () => ({ ok: true, value: sampleInspection() }),
  pass: async () => ({ ok: false, problem: noTraffic }),
  snapshot: async () => ({ ok: true, value: sampleSnapshot() }),
  recipe: async () => ({ ok: true, value: {} }),
  explain: async () => ({ ok: true, value: sampleExplanation() }),
  resources: async () => ({ ok: true, value: sampleResources() }),
  logs: async () => ({ ok: true, value: sampleLogs() }),
  restorePoint: async () => null,
  restoreDrilled: async () => ({ current: false }),
  reseal: async () => ({ ok: true, value: { current: 1, renewed: 0, unreadable: 0 } }),
  poke: async () => ({ known: true, nextDeadline: null }),
};

const plainShard: FleetShardApi = {
  list: async () => [sampleListItem()],
  overdue: async () => [],
  overdueContainers: async () => [],
  tenantBudgets: async () => [],
  ping: async () => true,
  report: async (report) => ({ version: report.version }),
  counts: async (counts) => ({ version: counts.version }),
  ...{ markBlocked: async () => {}, toldEnd: async () => {} },
  select: async () => [],
  stats: async () => noStats,
  outcomes: async () => noOutcomes,
  rebuild: async () => ({ type: "built", shards: 2, at: testNow, sessions: 0 }),
};

const quietRun = { runId: "run00000000000000000", found: 0, results: [], silentShards: [], more: false };
const plainOperations: FleetOperations = {
  cleanup: async ({ dryRun }) => ({ ...quietRun, dryRun }),
  emergency: async ({ dryRun }) => ({ ...quietRun, dryRun }),
  planAudit: async () => samplePlan(),
  assertLost: async () => ({ ok: true, value: { asserted: [{ generation: 7 as Generation, sandboxId: "s-g7" }] } }),
  applyAudit: async ({ planId, by }) => ({ ok: true, value: { planId, appliedAt: testNow, by, items: [] } }),
};

export function samplePlan(): AuditPlan {
  const names = { id: "plan0000000000000000", by: "admin", hash: "ab".repeat(32) };
  const times = { createdAt: testNow, expiresAt: testNow + 3_600_000 };
  return {
    ...names,
    ...times,
    findings: [],
    complete: true,
    notes: [],
    looked: { tenants: 0, records: 0, sandboxes: 0 },
  };
}
