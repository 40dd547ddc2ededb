/**
 * The document and the Worker, the other way round: every success that is described is really answered somewhere in here, by
 * the real Worker and objects with the memory provider. That no answer is undescribed, `send` checks in every test.
 */
import { fileContracts } from "../../src/protocol/contracts/sandbox/file-contracts.ts";
import { processContracts, terminalContract } from "../../src/protocol/contracts/sandbox/process-contracts.ts";
import { expect, it } from "vitest";
import type { AuditPlanView } from "../../src/protocol/resources/operator/audits.ts";
import { jobView } from "../../src/protocol/resources/session/jobs.ts";
import { sessionView } from "../../src/protocol/resources/session/sessions.ts";
import { deliveryView } from "../../src/protocol/resources/tenant/webhooks.ts";
import { documentedSuccesses, eventViolations, operationOf, seenAnswers } from "../support/documented.ts";
import { parseSse } from "../support/sse.ts";
import { snapshotView } from "../../src/protocol/resources/tenant/snapshots.ts";
import { walkCompatible } from "../support/workers/e2b-walk.ts";
import { adminToken, bodyOf, keyOf, send } from "../support/workers/mooring.ts";

/** `operation status` that this Worker cannot be brought to answer, with the reason. */
/** Every success of what only an agent answers. */
const inSandboxes = [...Object.values(fileContracts), ...Object.values(processContracts), terminalContract].flatMap(
  ({ operation, answers }) =>
    Object.keys(answers)
      .filter((status) => Number(status) < 400)
      .map((status) => [
        `${operation} ${status}`,
        "needs an agent in the sandbox; test/e2e/sessions/files-and-processes.test.ts has one",
      ]),
);

const never: Readonly<Record<string, string>> = {
  ...Object.fromEntries(inSandboxes),
  "updateSession 200": "needs a provider with networks; test/containers/network.test.ts has one",
  "assertLostSession 200": "needs a sandbox whose host and rows are lost; test/unit/fleet/assert-lost.test.ts has one",
  "resolveSession 200":
    "needs a sandbox that cannot be stopped; the objects' side is in session-records.test.ts, HTTP over a recorded session in http-admin.test.ts",
  "resolveContainer 200":
    "needs a shared container that cannot be ended; containers-over-http.test.ts has one, over the real registry",
  "cancelJob 202":
    "the answer waits for the job's end as long as the sandbox answers, KILL included; 202 needs one that does not",
  "createSnapshot 202":
    "needs a save that takes longer than the answer waits; test/unit/session/snapshots.test.ts has one",
  "deleteSnapshot 202": "needs a provider that is silent; test/unit/session/snapshots.test.ts has one",
  "listPorts 200": "needs an agent in the sandbox; test/e2e/sessions/ports.test.ts has one",
  "e2bProcess 200": "needs an agent in the sandbox; test/e2e/compat/e2b-data-plane.test.ts has one",
  "e2bFilesystem 200": "needs an agent in the sandbox; test/e2e/compat/e2b-data-plane.test.ts has one",
  "e2bReadFile 200": "needs an agent in the sandbox; test/e2e/compat/e2b-data-plane.test.ts has one",
  "e2bReadFile 206": "needs an agent in the sandbox, and its answer is the native one; test/e2e has that",
  "e2bReadFile 304": "needs an agent in the sandbox, and its answer is the native one; test/e2e has that",
  "e2bWriteFiles 200": "needs an agent in the sandbox; test/e2e/compat/e2b-data-plane.test.ts has one",
  "rebuildIndex 202":
    "the index of a few sessions is built before the answer; http-fleet.test.ts has shards that are silent",
};

const wait = { prefer: "wait=60" };

interface Way {
  readonly key: string;
  readonly path: string;
}

async function running(way: Omit<Way, "path">, json: unknown = {}): Promise<string> {
  const response = await send("POST", "/v1/sessions", { key: way.key, json, headers: wait });
  expect(response.status).toBe(201);
  return `/v1/sessions/${(await bodyOf(response, sessionView)).id}`;
}

async function until({ key, path }: Way, status: string): Promise<void> {
  const read = async () => (await bodyOf(await send("GET", path, { key }), sessionView)).status;
  await expect.poll(read, { interval: 50 }).toBe(status);
}

async function readsAndClocks({ key, path }: Way): Promise<void> {
  const etag = (await send("GET", path, { key })).headers.get("etag") ?? "";
  expect((await send("GET", path, { key, headers: { "if-none-match": etag } })).status).toBe(304);
  await send("POST", `${path}/timeout`, { key, json: { timeout_seconds: 600 } });
  await send("POST", `${path}/refresh`, { key, json: { duration_seconds: 600 } });
  await send("POST", `${path}/keepalive`, { key });
  await send("POST", `${path}/budget`, { key, json: { max_cost: null } });
  await send("POST", `${path}/ports`, { key, json: { port: 8_000 } });
  await send("GET", `${path}/usage`, { key });
  await send("GET", "/v1/usage", { key });
  await send("GET", `${path}/receipts`, { key });
  await send("GET", "/v1/receipt-chain", { key });
  await send("GET", "/.well-known/mooring-keys", { key });
  await send("GET", `${path}/explain`, { key });
  await send("GET", `${path}/logs`, { key });
  await send("GET", `${path}/resources`, { key });
  await send("GET", "/v1/sessions?limit=5", { key });
}

async function jobsAndStreams({ key, path }: Way): Promise<void> {
  const json = { id: "hello", command: "echo hello" };
  expect((await send("POST", `${path}/jobs`, { key, json })).status).toBe(201);
  expect((await send("POST", `${path}/jobs`, { key, json })).status).toBe(200);
  const output = parseSse(await (await send("GET", `${path}/jobs/hello/output`, { key })).text());
  expect(output.map(({ event }) => event)).toEqual(["output", "end"]);
  for (const { event, data } of output) {
    expect(eventViolations("streamOutput", event, JSON.parse(data) as never)).toEqual([]);
  }
  const raw = { accept: "application/octet-stream" };
  expect(await (await send("GET", `${path}/jobs/hello/output`, { key, headers: raw })).text()).toBe("hello\n");
  await send("GET", `${path}/jobs`, { key });
  await send("GET", `${path}/jobs/hello`, { key, headers: wait });
  expect((await send("DELETE", `${path}/jobs/hello`, { key })).status).toBe(200);
  await send("POST", `${path}/jobs`, { key, json: { id: "reads", command: "cat", stdin_open: true } });
  const state = async () => (await bodyOf(await send("GET", `${path}/jobs/reads`, { key }), jobView)).state;
  await expect.poll(state).toBe("running");
  expect((await send("POST", `${path}/jobs/reads/stdin`, { key, json: { any: "bytes" } })).status).toBe(204);
  expect((await send("POST", `${path}/interrupt`, { key })).status).toBe(200);
}

async function history({ key, path }: Way): Promise<void> {
  await send("GET", `${path}/events`, { key });
  const live = await send("GET", `${path}/events`, { key, headers: { accept: "text/event-stream" } });
  const reader = live.body!.getReader();
  const { value } = await reader.read();
  await reader.cancel();
  const events = parseSse(new TextDecoder().decode(value));
  expect(events.length).toBeGreaterThan(0);
  for (const { event, data } of events)
    expect(eventViolations("listEvents", event, JSON.parse(data) as never)).toEqual([]);
}

async function suspension({ key, path }: Way): Promise<void> {
  expect((await send("POST", `${path}/pause`, { key })).status).toBe(202);
  await until({ key, path }, "paused");
  expect((await send("POST", `${path}/resume`, { key, json: {}, headers: wait })).status).toBe(202);
  await until({ key, path }, "running");
  expect((await send("POST", `${path}/rebuild`, { key, json: { confirm: true }, headers: wait })).status).toBe(202);
  await until({ key, path }, "running");
}

async function end({ key, path }: Way): Promise<void> {
  expect((await send("DELETE", path, { key })).status).toBe(202);
  await send("GET", `${path}/teardown`, { key });
  await expect.poll(async () => (await send("DELETE", path, { key })).status).toBe(200);
}

const admin = { key: adminToken };

async function operating(ended: string, id: string): Promise<void> {
  for (const path of ["stats", "sessions", "ledger", "usage?tenant=walk", "log", "alerts", "keys/walk"]) {
    expect((await send("GET", `/v1/admin/${path}`, admin)).status, path).toBe(200);
  }
  for (const rest of ["", "/logs", "/resources", "/explain"])
    await send("GET", `/v1/admin/sessions/${id}${rest}`, admin);
  await send("DELETE", "/v1/admin/keys/walk/zzzzzz.0.0123456789", { ...admin, json: { reason: "a walk" } });
  await send("POST", "/v1/admin/shards/rebuild", { ...admin, json: { reason: "a walk" } });
  await send("DELETE", `/v1/admin/sessions/${ended}`, admin);
  await send("GET", "/metrics", admin);
}

async function snapshots({ key, path }: Way): Promise<void> {
  expect((await send("POST", `${path}/snapshots`, { key, json: { name: "walked" }, headers: wait })).status).toBe(201);
  for (const read of ["", "/walked"]) expect((await send("GET", `/v1/snapshots${read}`, { key })).status).toBe(200);
  expect((await send("POST", `${path}/fork`, { key, json: { count: 1 }, headers: wait })).status).toBe(201);
  const { id } = await bodyOf(await send("GET", "/v1/snapshots/walked", { key }), snapshotView);
  await expect.poll(async () => (await send("DELETE", `/v1/snapshots/${id}`, { key })).status).toBe(200);
}

async function asOperator(id: string): Promise<void> {
  for (const rest of ["/events", "/usage", "/jobs", "/jobs/hello"])
    expect((await send("GET", `/v1/admin/sessions/${id}${rest}`, admin)).status, rest).toBe(200);
  const raw = { accept: "application/octet-stream" };
  const output = await send("GET", `/v1/admin/sessions/${id}/jobs/hello/output`, { ...admin, headers: raw });
  expect(await output.text()).toBe("hello\n");
}

async function walkConsole(key: string): Promise<void> {
  const page = await (await send("GET", "/console", { key })).text();
  const [file = ""] = /\/console\/assets\/main-[A-Z0-9]{8}\.js/.exec(page) ?? [];
  for (const path of [file, "/console/sessions", "/console/sessions/abcdefghij0123456789", "/console/identity"])
    expect((await send("GET", path, { key })).status, path).toBe(200);
  const headers = { "x-mooring-console": "1" };
  expect((await send("POST", "/console/login", { key, json: { credential: key }, headers })).status).toBe(200);
  expect((await send("POST", "/console/logout", { key, headers })).status).toBe(204);
  expect((await send("POST", "/console/ticket", admin)).status).toBe(200);
  expect((await send("GET", "/v1/attention", { key })).status).toBe(200);
  expect((await send("GET", "/v1/admin/attention", admin)).status).toBe(200);
}

async function containers(key: string): Promise<void> {
  const path = await running({ key }, { isolation: "shared" });
  const { container_id: id } = await bodyOf(await send("GET", path, { key }), sessionView);
  for (const read of ["?tenant=walk", `/${id}`])
    expect((await send("GET", `/v1/admin/containers${read}`, admin)).status, read).toBe(200);
  await end({ key, path });
}

async function cleaning(): Promise<void> {
  await send("POST", "/v1/admin/cleanup", { ...admin, json: { dry_run: true, reason: "a walk" } });
  await send("POST", "/v1/admin/cleanup/emergency", { ...admin, json: { dry_run: true, reason: "a walk" } });
  const runs = await send("GET", "/v1/admin/cleanup/runs", admin);
  const { data } = (await runs.json()) as { readonly data: readonly { readonly id: string }[] };
  await send("GET", `/v1/admin/cleanup/runs/${data[0]?.id}`, admin);
  for (const draining of [true, false])
    await send("POST", "/v1/admin/drain", { ...admin, json: { draining, reason: "a walk" } });
  const plan = (await (await send("POST", "/v1/admin/audits", admin)).json()) as AuditPlanView;
  await send("GET", "/v1/admin/audits", admin);
  await send("POST", `/v1/admin/audits/${plan.id}/apply`, { ...admin, json: { plan_hash: plan.plan_hash } });
  await send("GET", `/v1/admin/audits/${plan.id}`, admin);
}

async function webhooks(key: string): Promise<void> {
  // No session here loses its contents, and nothing is sent while the webhook is off: this test is about the answers.
  const order = { url: "https://hooks.example.com/x", events: ["session.contents_lost"] };
  const made = await send("POST", "/v1/webhooks", { key, json: order });
  expect(made.status).toBe(201);
  const path = made.headers.get("location") ?? "";
  expect((await send("PATCH", path, { key, json: { enabled: false } })).status).toBe(200);
  for (const read of ["/v1/webhooks", path]) expect((await send("GET", read, { key })).status).toBe(200);
  expect((await send("POST", `${path}/rotate`, { key })).status).toBe(200);
  const { id } = await bodyOf(await send("POST", `${path}/test`, { key }), deliveryView);
  expect((await send("GET", `${path}/deliveries`, { key })).status).toBe(200);
  expect((await send("POST", `${path}/deliveries/${id}/redeliver`, { key })).status).toBe(202);
  expect((await send("DELETE", path, { key })).status).toBe(204);
  expect((await send("POST", "/v1/admin/secrets/reseal", { ...admin, json: {} })).status).toBe(200);
}

async function runbook(id: string): Promise<void> {
  for (const path of ["stats", "list", id, `${id}/logs`, `${id}/resources`]) {
    expect((await send("GET", `/api/sandbox/${path}`, admin)).status, path).toBe(200);
  }
  await send("POST", "/api/sandbox/cleanup", { ...admin, json: { dry_run: true } });
  await send("POST", "/api/sandbox/cleanup/emergency", { ...admin, json: { dry_run: true } });
  expect((await send("DELETE", `/api/sandbox/${id}`, admin)).status).toBe(202);
  await expect.poll(async () => (await send("DELETE", `/api/sandbox/${id}`, admin)).status).toBe(200);
}

it("every success that the document describes is answered, and exactly as described [API-4]", async () => {
  const key = await keyOf("walk");
  const browser = { key, headers: { accept: "text/html" } };
  expect((await send("GET", "/", browser)).status).toBe(302);
  for (const path of ["/", "/healthz", "/readyz", "/openapi.json", "/docs", "/docs/reference"])
    expect((await send("GET", path, { key })).status).toBe(200);
  const started = await send("POST", "/v1/sessions", { key, json: {} });
  expect(started.status).toBe(202);
  const fleeting = `/v1/sessions/${(await bodyOf(started, sessionView)).id}`;
  const path = await running({ key });
  const way = { key, path };
  await readsAndClocks(way);
  await jobsAndStreams(way);
  await history(way);
  await snapshots({ key, path: await running({ key }) });
  await suspension(way);
  const id = path.split("/").at(-1) ?? "";
  const other = await running({ key });
  expect((await send("DELETE", `/v1/admin${other.slice(3)}`, admin)).status).toBe(202);
  await expect.poll(async () => (await send("DELETE", `/v1/admin${other.slice(3)}`, admin)).status).toBe(200);
  await operating(other.split("/").at(-1) ?? "", id);
  await asOperator(id);
  await walkConsole(key);
  await containers(key);
  await cleaning();
  await webhooks(key);
  await end({ key, path: fleeting });
  await runbook(id);
  await walkCompatible(await keyOf("walk-e2b"));
  expect((await send("DELETE", "/v1/admin/keys/walk", { ...admin, json: { reason: "a walk" } })).status).toBe(200);

  const described = documentedSuccesses();
  const unseen = described.filter((each) => !seenAnswers.has(each) && !(each in never));
  const seen = described.length - unseen.length - Object.keys(never).length;
  // oxlint-disable-next-line no-console -- the figure that a reader of the run wants
  console.log(
    `The document describes ${described.length} successes: ${seen} seen, ${Object.keys(never).length} excepted.`,
  );
  expect(unseen).toEqual([]);
  // An exception that does come, or is described no more, is none.
  expect(Object.keys(never).filter((each) => seenAnswers.has(each) || !described.includes(each))).toEqual([]);
});

it("a path that no route has belongs to no operation of the document [API-4]", () => {
  expect(operationOf("GET", "/v1/sessions")?.operationId).toBe("listSessions");
  expect(operationOf("GET", "/v1/sessions/")).toBeNull();
  expect(operationOf("PUT", "/v1/sessions")).toBeNull();
});
