import { describe, expect, it } from "vitest";
import { routes } from "../../../../src/http/app.ts";
import { expectProblem, httpClient } from "../../../support/http-client.ts";
import { sampleId } from "../../../support/sample-views.ts";

const session = `/v1/sessions/${sampleId}`;

const oddIds = [
  "..%2f..%2fetc",
  "%2e%2e",
  "%00",
  "abcdefghij012345678%00",
  "%F0%9F%A6%84",
  "%E2%80%AE",
  "%zz",
  "%C3",
  "ABCDEFGHIJ0123456789",
  "abcdefghij012345678",
  "abcdefghij01234567890",
  "a".repeat(5_000),
  "abcdefghij012345678\u0661",
];

describe.each(routes.filter((route) => route.path.includes("/sessions/:id")))("$method $path", (route) => {
  const json = {
    "/jobs": { command: "true" },
    "/timeout": { timeout_seconds: 1 },
    "/refresh": { duration_seconds: 1 },
    "/budget": { max_cost: 1 },
    "/ports": { port: 8_000 },
    "/processes": { argv: ["true"] },
    "/signal": { signal: "SIGTERM" },
    "/resize": { cols: 80, rows: 24 },
    "/assert-lost": { tenant: "acme", reason: "looked at the host" },
    "/rebuild": { confirm: true },
    "/resolve": { action: "retry_stop", reason: "looked at the host" },
  };
  const posted = Object.entries(json).find(([end]) => route.method === "POST" && route.path.endsWith(end))?.[1];
  const body = route.method === "PATCH" ? { network: { mode: "closed" } } : posted;
  // A name that leads up out of the path is another route's, which says its own.
  const isOfAnother = (id: string) =>
    routes.some(({ path }) => path === new URL(route.path.replace(":id", id), "https://mooring.test").pathname);
  const upgrade = route.path.endsWith("/terminal") ? { upgrade: "websocket" } : {};
  const call = { headers: { "if-match": "*", ...upgrade }, ...(body === undefined ? {} : { json: body }) };
  const queries = {
    "/jobs/:job/stdin": "?end=true",
    "/files": "?path=a",
    "/stat": "?path=a",
    "/mkdir": "?path=a",
    "/move": "?from=a&to=b",
  };
  const query = Object.entries(queries).find(([end]) => route.path.endsWith(end))?.[1] ?? "";

  it.each(oddIds.filter((id) => !isOfAnother(id)))(
    "the session id %s is 404 and makes no object [SEC-5] [API-12]",
    async (id) => {
      const client = await httpClient();
      const path = route.path.replace(":id", id).replace(":job", "job-1").replace(":pid", "7");
      await expectProblem(await client.send(route.method, `${path}${query}`, call), "not_found");
      expect(client.calls).toEqual([]);
    },
  );

  it.each(route.path.includes(":job") ? ["%2e%2e", "a%2fb", "%00", "a.b", "%F0%9F%A6%84", "x".repeat(65)] : [])(
    "the job id %s is 404 and asks no object [SEC-5]",
    async (job) => {
      const client = await httpClient();
      const path = route.path.replace(":id", sampleId).replace(":job", job);
      await expectProblem(await client.send(route.method, `${path}${query}`, call), "not_found");
      expect(client.calls).toEqual([]);
    },
  );

  it("what the session refuses is told with its code and words [API-3] [API-5]", async () => {
    const detail = "There is no session with this id: the words of the object itself.";
    const refuses = async () => ({ ok: false, problem: { code: "not_found", detail } }) as const;
    const answers = { session: Object.fromEntries(sessionMethods.map((method) => [method, refuses])) };
    const operations = { assertLost: refuses };
    const client = await httpClient({ answers: { ...answers, operations }, traffic: refuses });
    const path = route.path.replace(":id", sampleId).replace(":job", "job-1").replace(":pid", "7");
    const problem = await expectProblem(await client.send(route.method, `${path}${query}`, call), "not_found");
    expect(problem.detail).toBe(detail);
    expect(client.calls.length).toBeLessThanOrEqual(1);
  });
});

const sessionMethods = [
  ...["get", "read", "delete", "timeout", "pause", "resume", "rebuild", "keepalive", "interrupt", "teardown", "events"],
  ...[
    "createJob",
    "jobs",
    "job",
    "cancelJob",
    "writeStdin",
    "jobOutput",
    "inspect",
    "resolve",
    "usage",
    "logs",
    "resources",
    "explain",
    "setNetwork",
    "budget",
    "snapshot",
    "recipe",
    "sharePort",
    "receipts",
  ],
];

describe("paths and methods", () => {
  it.each([
    "/v1",
    "/v1/",
    "/v1/sessions/",
    `${session}/`,
    `${session}/nothing`,
    "/v2/sessions",
    "/../etc/passwd",
    "/%00",
  ])("%s is a 404 problem [API-5]", async (path) => {
    const client = await httpClient();
    await expectProblem(await client.send("GET", path), "not_found");
  });

  it.each([
    ["PUT", "/v1/sessions", "POST, GET"],
    ["PUT", session, "GET, DELETE, PATCH"],
    ["GET", `${session}/timeout`, "POST"],
    ["POST", "/healthz", "GET"],
    ["OPTIONS", `${session}/jobs`, "POST, GET"],
  ])("%s %s is 405 with Allow", async (method, path, allow) => {
    const client = await httpClient();
    const response = await client.send(method, path);
    expect(response.headers.get("allow")).toBe(allow);
    await expectProblem(response, "method_not_allowed");
    expect(client.calls).toEqual([]);
  });

  it("a bug of ours is a 500 problem without a stack, in the reply and in the log [API-5]", async () => {
    const answers = { session: { read: async () => null as never } };
    const client = await httpClient({ answers });
    await expectProblem(await client.send("GET", session), "internal");
    expect(JSON.stringify(client.log)).not.toMatch(/\.ts\b|node_modules/);
    expect(client.log.map((line) => line.level)).toEqual(["error", "info"]);
  });
});
