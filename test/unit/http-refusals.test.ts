import { describe, expect, it } from "vitest";
import { routes } from "../../src/http/app.ts";
import { limits } from "../../src/protocol/primitives.ts";
import { expectProblem, httpClient, testSecrets } from "../support/http-client.ts";
import { sampleId } from "../support/sample-views.ts";

const session = `/v1/sessions/${sampleId}`;

/** Every route that reads JSON, with a body that it accepts. */
const jsonRoutes = [
  { path: "/v1/sessions", good: { timeout_seconds: 60 } },
  { path: `${session}/timeout`, good: { timeout_seconds: 60 } },
  { path: `${session}/refresh`, good: { duration_seconds: 60 } },
  { path: `${session}/keepalive`, good: {} },
  { path: `${session}/interrupt`, good: {} },
  { path: `${session}/jobs`, good: { command: "true" } },
] as const;

it("the table above names every POST route that reads JSON", () => {
  const inTable = jsonRoutes.map((route) => route.path.replace(sampleId, ":id"));
  const posts = routes.filter((route) => route.method === "POST" && !route.path.endsWith("/stdin"));
  expect(inTable.sort()).toEqual(posts.map((route) => route.path).sort());
});

describe.each(jsonRoutes)("POST $path", ({ path, good }) => {
  it("a good body passes, so that the refusals below are about what they say", async () => {
    const client = await httpClient();
    expect((await client.send("POST", path, { json: good })).status).toBeLessThan(300);
    expect(client.calls).toHaveLength(1);
  });

  it.each([
    ["half a document", '{"a":'],
    ["NaN, which JSON has not", '{"timeout_seconds": NaN}'],
    ["a bare word", "undefined"],
    ["trailing text", "{} {}"],
    ["50,000 open brackets", "[".repeat(50_000)],
    ["a prototype key", '{"__proto__": {"critical": true}}'],
    ["a nested prototype key", '{"labels": {"__proto__": "x"}}'],
  ])("%s is 400 and reaches no object [API-5]", async (_what, body) => {
    const client = await httpClient();
    const response = await client.send("POST", path, { body, headers: { "content-type": "application/json" } });
    await expectProblem(response, "malformed_json");
    expect(client.calls).toEqual([]);
  });

  it("bytes that are not UTF-8 are 400 [SEC-5]", async () => {
    const client = await httpClient();
    const body = new Uint8Array([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]);
    await expectProblem(
      await client.send("POST", path, { body, headers: { "content-type": "application/json" } }),
      "malformed_json",
    );
  });

  it("another content type is 415", async () => {
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""]) {
      const client = await httpClient();
      const body = new TextEncoder().encode(JSON.stringify(good));
      const response = await client.send("POST", path, { body, headers: type === "" ? {} : { "content-type": type } });
      await expectProblem(response, "unsupported_media_type");
      expect(client.calls).toEqual([]);
    }
  });

  it("a parameter on the content type is fine", async () => {
    const client = await httpClient();
    const headers = { "content-type": "Application/JSON; charset=utf-8" };
    expect((await client.send("POST", path, { json: good, headers })).status).toBeLessThan(300);
  });

  it("unknown fields are 422, each named, and reach no object", async () => {
    const client = await httpClient();
    const json = { ...good, surprise: 1, "tilde~/slash": 2 };
    const problem = await expectProblem(await client.send("POST", path, { json }), "validation_failed");
    expect(problem.errors?.map((error) => error.pointer)).toEqual(["/surprise", "/tilde~0~1slash"]);
    expect(client.calls).toEqual([]);
  });

  it("a thousand unknown fields make a short answer", async () => {
    const client = await httpClient();
    const json = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`${"x".repeat(200)}${index}`, 1]));
    const problem = await expectProblem(await client.send("POST", path, { json }), "validation_failed");
    expect(JSON.stringify(problem).length).toBeLessThan(10_000);
  });

  it("a body that is no object is 422", async () => {
    for (const body of ["[]", '"text"', "7", "null", "true"]) {
      const client = await httpClient();
      const response = await client.send("POST", path, { body, headers: { "content-type": "application/json" } });
      await expectProblem(response, "validation_failed");
      expect(client.calls).toEqual([]);
    }
  });

  it("a body above the limit is 413, and is not read to its end [SEC-4]", async () => {
    let sent = 0;
    const chunk = new Uint8Array(65_536).fill(0x20);
    const endless = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          sent += chunk.length;
          controller.enqueue(chunk);
        },
      },
      { highWaterMark: 0 },
    );
    const client = await httpClient();
    // A lying Content-Length is not believed.
    const headers = { "content-type": "application/json", "content-length": "2" };
    const problem = await expectProblem(
      await client.send("POST", path, { body: endless, headers }),
      "payload_too_large",
    );
    expect(problem.limit).toBe(limits.bodyBytes);
    expect(sent).toBeLessThan(2 * limits.bodyBytes);
    expect(client.calls).toEqual([]);
  });
});

describe("bounds on text", () => {
  it.each([
    ["a label of 1 MB", { labels: { note: "x".repeat(1_048_576) } }, "payload_too_large"],
    ["a label of 257 characters", { labels: { note: "x".repeat(257) } }, "validation_failed"],
    [
      "33 labels",
      { labels: Object.fromEntries(Array.from({ length: 33 }, (_, n) => [`k${n}`, "v"])) },
      "validation_failed",
    ],
    ["a label key with a space", { labels: { "a b": "v" } }, "validation_failed"],
    ["a label with a line break", { labels: { note: "a\nb" } }, "validation_failed"],
    ["a label that turns text around", { labels: { note: "\u202e" } }, "validation_failed"],
    ["a label with NUL", { labels: { note: "\u0000" } }, "validation_failed"],
    ["an env name with a dash", { env: { "A-B": "1" } }, "validation_failed"],
    ["an env name of ours", { env: { MOORING_SESSION_ID: "1" } }, "validation_failed"],
    ["an env value with NUL", { env: { A: "\u0000" } }, "validation_failed"],
    [
      "101 env variables",
      { env: Object.fromEntries(Array.from({ length: 101 }, (_, n) => [`E${n}`, ""])) },
      "validation_failed",
    ],
    ["a task id of 129", { task_id: "x".repeat(129) }, "validation_failed"],
  ] as const)("create with %s is refused and reaches no object [SEC-4] [SEC-5]", async (_what, json, code) => {
    const client = await httpClient();
    await expectProblem(await client.send("POST", "/v1/sessions", { json }), code);
    expect(client.calls).toEqual([]);
  });

  it.each([
    ["neither command nor argv", {}],
    ["command and argv", { command: "true", argv: ["true"] }],
    ["an empty command", { command: "" }],
    ["a command of 32 kB and one", { command: "x".repeat(limits.commandBytes + 1) }],
    ["a command with NUL", { command: "a\u0000b" }],
    ["an absolute cwd", { command: "true", cwd: "/etc" }],
    ["a cwd that climbs", { command: "true", cwd: "a/../../b" }],
    ["a job id with a slash", { command: "true", id: "a/b" }],
    ["a job id with a dot", { command: "true", id: ".." }],
    ["stdin above its bound", { command: "true", stdin: "x".repeat(limits.stdinBytes + 1) }],
    ["a timeout of two days", { command: "true", timeout_seconds: 172_800 }],
  ] as const)("a job with %s is refused and reaches no object [SEC-4] [SEC-5]", async (_what, json) => {
    const client = await httpClient();
    await expectProblem(await client.send("POST", `${session}/jobs`, { json }), "validation_failed");
    expect(client.calls).toEqual([]);
  });

  it("an env value is in no answer, not even in the one that refuses it [SEC-3]", async () => {
    const client = await httpClient();
    const json = { env: { "BAD-NAME": "hide-this-value" } };
    const response = await client.send("POST", "/v1/sessions", { json });
    expect(await response.text()).not.toContain("hide-this-value");
  });

  it("an Idempotency-Key that is empty, spaced or too long is 422 and named [SEC-4]", async () => {
    for (const key of ["", "a b", "x".repeat(256), "\u00e9"]) {
      const client = await httpClient();
      const response = await client.send("POST", "/v1/sessions", { json: {}, headers: { "idempotency-key": key } });
      const problem = await expectProblem(response, "validation_failed");
      expect(problem.errors?.[0]?.pointer).toBe("header.Idempotency-Key");
      expect(client.calls).toEqual([]);
    }
  });

  it("a URL of 20,000 characters is refused before anything looks at it [SEC-4]", async () => {
    const client = await httpClient();
    await expectProblem(await client.send("GET", `/v1/sessions?cursor=${"x".repeat(20_000)}`), "validation_failed");
  });
});

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

describe.each(routes.filter((route) => route.path.includes(":id")))("$method $path", (route) => {
  const key = route.access === "admin" ? { key: testSecrets.ADMIN_TOKEN } : {};
  const json = {
    "/jobs": { command: "true" },
    "/timeout": { timeout_seconds: 1 },
    "/refresh": { duration_seconds: 1 },
  };
  const body = Object.entries(json).find(([end]) => route.method === "POST" && route.path.endsWith(end))?.[1];
  const call = { ...key, ...(body === undefined ? {} : { json: body }) };
  const query = route.path.endsWith("/stdin") ? "?end=true" : "";

  it.each(oddIds)("the session id %s is 404 and makes no object [SEC-5] [API-12]", async (id) => {
    const client = await httpClient();
    const path = route.path.replace(":id", id).replace(":job", "job-1");
    await expectProblem(await client.send(route.method, `${path}${query}`, call), "not_found");
    expect(client.calls).toEqual([]);
  });

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
    const client = await httpClient({ answers });
    const path = route.path.replace(":id", sampleId).replace(":job", "job-1");
    const problem = await expectProblem(await client.send(route.method, `${path}${query}`, call), "not_found");
    expect(problem.detail).toBe(detail);
    expect(client.calls).toHaveLength(1);
  });
});

const sessionMethods = [
  ...["get", "delete", "timeout", "keepalive", "interrupt", "teardown", "events"],
  ...["createJob", "jobs", "job", "cancelJob", "writeStdin", "jobOutput"],
];

describe("paths and methods", () => {
  it.each([
    "/",
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
    ["PATCH", session, "GET, DELETE"],
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
    const answers = { session: { get: async () => null as never } };
    const client = await httpClient({ answers });
    await expectProblem(await client.send("GET", session), "internal");
    expect(JSON.stringify(client.log)).not.toMatch(/\.ts\b|node_modules/);
    expect(client.log.map((line) => line.level)).toEqual(["error", "info"]);
  });
});

describe("request ids", () => {
  it("a sane one is kept, anything else is replaced [API-5]", async () => {
    const client = await httpClient();
    const sent = async (id: string) =>
      (await client.send("GET", session, { headers: { "x-request-id": id } })).headers.get("x-request-id");
    expect(await sent("Trace-1.a_b")).toBe("Trace-1.a_b");
    for (const odd of ["", "a b", 'a"b', "x".repeat(65), "a/b"]) expect(await sent(odd)).toMatch(/^minted\d+$/);
  });
});
