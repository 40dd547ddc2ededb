import { describe, expect, it } from "vitest";
import { routes } from "../../../../src/http/app.ts";
import { limits } from "../../../../src/protocol/primitives.ts";
import { problemStatus } from "../../../../src/protocol/problem.ts";
import { type Call, expectProblem, httpClient, type HttpClient } from "../../../support/http-client.ts";
import { sampleId } from "../../../support/sample-views.ts";

const session = `/v1/sessions/${sampleId}`;

const noTraffic = { calls: 0, status: problemStatus.unsupported_by_provider };

/** Every route that reads JSON, with a body that it accepts. */
const jsonRoutes = [
  { path: "/v1/sessions", good: { timeout_seconds: 60 } },
  { path: `${session}/timeout`, good: { timeout_seconds: 60 } },
  { path: `${session}/refresh`, good: { duration_seconds: 60 } },
  { path: `${session}/ports`, good: { port: 8_000 } },
  { path: `${session}/snapshots`, good: { name: "base" } },
  // What it is made of, its snapshot, and the fork.
  { path: `${session}/fork`, good: { count: 1 }, calls: 3 },
  { path: `${session}/budget`, good: { max_cost: 1 } },
  { path: `${session}/keepalive`, good: {} },
  { path: `${session}/interrupt`, good: {} },
  { path: `${session}/pause`, good: {} },
  { path: `${session}/resume`, good: { timeout_seconds: 60 } },
  { path: `${session}/rebuild`, good: { confirm: true } },
  { path: `${session}/jobs`, good: { command: "true" } },
  // Sandboxes take no traffic here: read well, these end in that answer.
  { path: `${session}/files/mkdir?path=a`, good: {}, ...noTraffic },
  { path: `${session}/files/move?from=a&to=b`, good: {}, ...noTraffic },
  { path: `${session}/processes`, good: { argv: ["true"] }, ...noTraffic },
  { path: `${session}/processes/7/signal`, good: { signal: "SIGTERM" }, ...noTraffic },
  { path: `${session}/processes/7/resize`, good: { cols: 80, rows: 24 }, ...noTraffic },
  { path: `/v1/admin/sessions/${sampleId}/assert-lost`, good: { tenant: "acme", reason: "looked at the host" } },
  // Its registry is not recorded: authentication asks it as well.
  { path: "/v1/webhooks", good: { url: "https://example.com/hook" }, calls: 0 },
  { path: "/v1/webhooks/:id/rotate", good: {}, calls: 0, status: 404 },
  { path: "/v1/webhooks/:id/test", good: {}, calls: 0, status: 404 },
  { path: "/v1/webhooks/:id/deliveries/:delivery/redeliver", good: {}, calls: 0, status: 404 },
  { path: `/v1/admin/sessions/${sampleId}/resolve`, good: { action: "retry_stop", reason: "looked at the host" } },
  {
    path: "/v1/admin/containers/:id/resolve",
    good: { action: "retry_stop", reason: "looked at the host" },
    calls: 0,
    status: 404,
  },
  { path: "/v1/admin/cleanup", good: { max_age_seconds: 60 } },
  { path: "/v1/admin/cleanup/emergency", good: { reason: "the host is full" } },
  { path: "/v1/admin/audits", good: {} },
  { path: "/v1/admin/audits/:id/apply", good: { plan_hash: "ab".repeat(32) } },
  // Control is not recorded, and a rebuild asks each of two shards.
  { path: "/v1/admin/drain", good: { draining: true, reason: "a new host" }, calls: 0 },
  { path: "/v1/admin/secrets/reseal", good: {}, calls: 0 },
  { path: "/v1/admin/shards/rebuild", good: { reason: "another number of shards" }, calls: 2 },
] as const;

/** The compatible surfaces are more lenient than these, on purpose: http-operations, http-e2b and http-cube have theirs. */
const isCompatible = (path: string) => !path.startsWith("/v1/");

it("the table above names every POST route that reads JSON", () => {
  const inTable = jsonRoutes.map((route) =>
    route.path.replace(sampleId, ":id").replace("/7/", "/:pid/").replace(/\?.*/, ""),
  );
  const posts = routes.filter(
    (route) => route.method === "POST" && !route.path.endsWith("/stdin") && !isCompatible(route.path),
  );
  expect(inTable.sort()).toEqual(posts.map((route) => route.path).sort());
});

describe.each(jsonRoutes)("POST $path", ({ path, good, ...expected }) => {
  /** With the precondition that one of them needs; it means nothing to the others. */
  const post = (client: HttpClient, call: Call) =>
    client.send("POST", path, { ...call, headers: { "if-match": "*", ...call.headers } });

  /** Past the reading of it: a name in the path that nobody has may be all that is wrong. */
  const passes = (status: number) => ("status" in expected ? status === expected.status : status < 300);

  it("a good body passes, so that the refusals below are about what they say", async () => {
    const client = await httpClient();
    expect(passes((await post(client, { json: good })).status)).toBe(true);
    expect(client.calls).toHaveLength("calls" in expected ? expected.calls : 1);
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
    const response = await post(client, { body, headers: { "content-type": "application/json" } });
    await expectProblem(response, "malformed_json");
    expect(client.calls).toEqual([]);
  });

  it("bytes that are not UTF-8 are 400 [SEC-5]", async () => {
    const client = await httpClient();
    const body = new Uint8Array([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]);
    await expectProblem(
      await post(client, { body, headers: { "content-type": "application/json" } }),
      "malformed_json",
    );
  });

  it("another content type is 415", async () => {
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""]) {
      const client = await httpClient();
      const body = new TextEncoder().encode(JSON.stringify(good));
      const response = await post(client, { body, headers: type === "" ? {} : { "content-type": type } });
      await expectProblem(response, "unsupported_media_type");
      expect(client.calls).toEqual([]);
    }
  });

  it("a parameter on the content type is fine", async () => {
    const client = await httpClient();
    const headers = { "content-type": "Application/JSON; charset=utf-8" };
    expect(passes((await post(client, { json: good, headers })).status)).toBe(true);
  });

  it("unknown fields are 422, each named, and reach no object", async () => {
    const client = await httpClient();
    const json = { ...good, surprise: 1, "tilde~/slash": 2 };
    const problem = await expectProblem(await post(client, { json }), "validation_failed");
    expect(problem.errors?.map((error) => error.pointer)).toEqual(["/surprise", "/tilde~0~1slash"]);
    expect(client.calls).toEqual([]);
  });

  it("a thousand unknown fields make a short answer", async () => {
    const client = await httpClient();
    const json = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`${"x".repeat(200)}${index}`, 1]));
    const problem = await expectProblem(await post(client, { json }), "validation_failed");
    expect(JSON.stringify(problem).length).toBeLessThan(10_000);
  });

  it("a body that is no object is 422", async () => {
    for (const body of ["[]", '"text"', "7", "null", "true"]) {
      const client = await httpClient();
      const response = await post(client, { body, headers: { "content-type": "application/json" } });
      await expectProblem(response, "validation_failed");
      expect(client.calls).toEqual([]);
    }
  });

  it("a body that breaks off is a refusal, not a bug of ours [API-5]", async () => {
    let pulls = 0;
    const broken = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (pulls++ === 0) controller.enqueue(new Uint8Array([0x7b]));
        else controller.error(new Error("connection reset"));
      },
    });
    const client = await httpClient();
    const headers = { "content-type": "application/json" };
    await expectProblem(await post(client, { body: broken, headers }), "malformed_json");
    expect(client.calls).toEqual([]);
  });

  it("an endless body is 413: dropped as it comes, and cut off in the end [SEC-4]", async () => {
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
    const problem = await expectProblem(await post(client, { body: endless, headers }), "payload_too_large");
    expect(problem.limit).toBe(limits.bodyBytes);
    expect(sent).toBeLessThan(34_000_000);
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

describe("request ids", () => {
  it("a sane one is kept, anything else is replaced [API-5]", async () => {
    const client = await httpClient();
    const sent = async (id: string) =>
      (await client.send("GET", session, { headers: { "x-request-id": id } })).headers.get("x-request-id");
    expect(await sent("Trace-1.a_b")).toBe("Trace-1.a_b");
    for (const odd of ["", "a b", 'a"b', "x".repeat(65), "a/b"]) expect(await sent(odd)).toMatch(/^minted\d+$/);
  });
});
