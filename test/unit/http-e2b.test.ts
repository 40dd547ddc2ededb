/** E2B's shapes at the edge: what reaches the session, and how each answer and each refusal looks to its SDK. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { routes } from "../../src/http/app.ts";
import { labelKeyOf, labelsOf, metadataFilter, metadataOf, templateLabel } from "../../src/http/compat/e2b-metadata.ts";
import { e2bStateOf } from "../../src/http/compat/e2b-view.ts";
import type { FleetRow } from "../../src/fleet/shard-api.ts";
import { signAccess } from "../../src/protocol/e2b-access.ts";
import { e2bError, e2bListedSandbox, e2bMetric, e2bSandbox, e2bSandboxDetail } from "../../src/protocol/e2b.ts";
import { labels } from "../../src/protocol/primitives.ts";
import { type ProblemCode, problemCodes, type Reply } from "../../src/protocol/problem.ts";
import { type SessionView, sessionStatuses } from "../../src/protocol/sessions.ts";
import type { SessionApi } from "../../src/session/session-api.ts";
import { expectRefusal, httpClient, refusal, testKey, testNow, testSecrets } from "../support/http-client.ts";
import { sampleId, sampleSession } from "../support/sample-views.ts";

const sandbox = `/sandboxes/${sampleId}`;
const bases = ["/sandboxes", "/v2/sandboxes"] as const;
const born = { labels: { [templateLabel]: "base" } };

const withSession = (session: Partial<SessionApi>) => httpClient({ answers: { session } });
/** Every call of a session answers with this view. */
const standing = (view: Partial<SessionView>, changed = false): Partial<SessionApi> => {
  const value = { etag: "1", body: sampleSession(view), changed, replayed: false };
  const reply = async (): Promise<Reply<typeof value>> => ({ ok: true, value });
  return {
    create: reply,
    get: reply,
    pause: reply,
    attach: reply,
    timeout: reply,
    delete: async () => ({ ok: true, value: { session: value.body, done: false, changed } }),
  };
};

describe.each(bases)("POST %s", (base) => {
  it("makes a session with E2B's clock: its end is absolute, 300 s by default, and idle ends nothing [API-8]", async () => {
    const client = await httpClient();
    const response = await client.send("POST", base, { json: { templateID: "base" } });
    expect(response.status).toBe(201);
    const body = e2bSandbox.strict().parse(await response.json());
    expect(body.sandboxID).toMatch(/^[a-z0-9]{20}$/);
    expect(client.calls).toEqual([
      {
        method: "create",
        object: body.sandboxID,
        args: [
          body.sandboxID,
          expect.objectContaining({ tenant: "acme" }),
          {
            timeout_seconds: 300,
            idle_timeout_seconds: null,
            on_timeout: "kill",
            on_loss: "terminate",
            auto_resume: false,
            labels: { [templateLabel]: "base" },
          },
          null,
          50_000,
        ],
      },
    ]);
  });

  it("hands over what was asked, and ignores what it does not know [API-8]", async () => {
    const client = await httpClient();
    const json = {
      templateID: "tpl",
      metadata: { user: "ada", "odd key": "v" },
      envVars: { A: "1" },
      timeout: 60,
      autoPause: true,
      autoResume: { enabled: true, more: 1 },
      secure: true,
      network: {},
      volumeMounts: [],
      somethingNew: { deeply: ["nested"] },
    };
    expect((await client.send("POST", base, { json })).status).toBe(201);
    expect(client.calls[0]?.args[2]).toEqual({
      timeout_seconds: 60,
      idle_timeout_seconds: null,
      on_timeout: "pause",
      on_loss: "terminate",
      auto_resume: true,
      env: { A: "1" },
      labels: { user: "ada", "e2b/odd.20key": "v", [templateLabel]: "tpl" },
    });
  });

  it.each([
    ["no network", { allow_internet_access: false }],
    ["traffic rules", { network: { denyOut: ["0.0.0.0/0"] } }],
    ["volumes", { volumeMounts: [{ name: "v", path: "/data" }] }],
    ["an MCP gateway", { mcp: { browserbase: {} } }],
    ["workload identity", { iam: { tokens: { a: {} } } }],
    ["a pause with memory", { autoPause: true, autoPauseMemory: true }],
    ["no time", { timeout: 0 }],
    ["less than no time", { timeout: -5 }],
    ["more time than there is", { timeout: 86_401 }],
    ["half a second", { timeout: 1.5 }],
    ["a text for a time", { timeout: "60" }],
    ["a number for metadata", { metadata: { a: 1 } }],
    ["a long value", { metadata: { a: "x".repeat(257) } }],
    ["a control character", { metadata: { a: "x\u0000y" } }],
    ["a direction override", { metadata: { a: "\u202egnp.exe" } }],
    ["a key too long to be a label", { metadata: { ["ключ".repeat(8)]: "x" } }],
    ["an empty key", { metadata: { "": "x" } }],
    ["too many entries", { metadata: Object.fromEntries(Array.from({ length: 32 }, (_, at) => [`k${at}`, "v"])) }],
    ["a reserved variable", { envVars: { MOORING_ROLE: "x" } }],
    ["an odd template", { templateID: "a\nb" }],
  ])("%s is 400 in words, and makes nothing [API-8] [SEC-4] [SEC-5]", async (_what, json) => {
    const client = await httpClient();
    const response = await client.send("POST", base, { json });
    expect(response.status).toBe(400);
    await expectRefusal(base, response, "validation_failed");
    expect(client.calls).toEqual([]);
  });

  it("what is not ready in time is ended, and so is one whose answer got lost: nobody has its id [API-2]", async () => {
    const slow = await withSession(standing({ status: "provisioning" }));
    expect((await slow.send("POST", base, { json: {} })).status).toBe(504);
    const lost = await withSession({ create: () => Promise.reject(new Error("the object was reset")) });
    expect((await lost.send("POST", base, { json: {} })).status).toBe(503);
    for (const { calls } of [slow, lost]) expect(calls.map(({ method }) => method)).toEqual(["create", "delete"]);
    const failed = await withSession(standing({ status: "failed", failure: "the disk is full" }));
    const response = await failed.send("POST", base, { json: {} });
    expect([response.status, e2bError.parse(await response.json()).message]).toEqual([
      503,
      expect.stringContaining("the disk is full"),
    ]);
  });
});

describe("metadata and labels", () => {
  const text = fc.string({ unit: "binary", maxLength: 20 });

  it("come back as they were given, and are found by the SDK's own query [API-8]", () => {
    const metadata = fc.dictionary(text, text, { maxKeys: 8, noNullPrototype: true });
    fc.assert(
      fc.property(metadata, (given) => {
        const made = labelsOf(given, "base");
        if (!made.ok) return;
        expect(labels.safeParse(made.value).success).toBe(true);
        expect(metadataOf(made.value)).toEqual(given);
        // As the SDK writes it (sandboxApi.ts), without the encoding of the parameter itself.
        const pairs = Object.entries(given).map(([key, value]) => [encodeURIComponent(key), encodeURIComponent(value)]);
        const asked = metadataFilter(
          new URLSearchParams(Object.fromEntries(pairs) as Record<string, string>).toString(),
        );
        expect({ ...asked, [templateLabel]: "base" }).toEqual(made.value);
      }),
      { numRuns: 2_000 },
    );
  });

  it("two keys are never one label, and none is the template's", () => {
    fc.assert(
      fc.property(text, text, (one, other) => {
        fc.pre(one !== other);
        expect(labelKeyOf(one)).not.toBe(labelKeyOf(other));
        expect(labelKeyOf(one)).not.toBe(templateLabel);
      }),
      { numRuns: 2_000 },
    );
    for (const key of ["template", "e2b/template", "e2b/", "e2b/e2b.2ftemplate"])
      expect(labelKeyOf(key)).not.toBe(templateLabel);
  });

  it("a filter by hand needs no double encoding, and broken encodings are taken as they are", () => {
    expect(metadataFilter("user=abc&app=prod")).toEqual({ user: "abc", app: "prod" });
    expect(metadataFilter("rate=50%25")).toEqual({ rate: "50%" });
    expect(metadataFilter("")).toEqual({});
  });

  it("a native label that only looks like a written key is shown as it is", () => {
    expect(metadataOf({ "e2b/x.ffy": "1", team: "a" })).toEqual({ "e2b/x.ffy": "1", team: "a" });
  });
});

describe.each(bases)("one sandbox under %s", (base) => {
  const path = `${base}/${sampleId}`;

  it.each(sessionStatuses)("a session that is %s is shown as a sandbox, or is not there [API-8]", async (status) => {
    const client = await withSession(standing({ status, ...born }));
    const response = await client.send("GET", path);
    const state = e2bStateOf[status];
    if (state === null) return void (await expectRefusal(path, response, "session_gone"));
    const shown = e2bSandboxDetail.strict().parse(await response.json());
    expect(shown).toMatchObject({ state, startedAt: sampleSession().created_at, endAt: sampleSession().end_at });
    expect(shown).toMatchObject({ metadata: {}, lifecycle: { onTimeout: "kill", autoResume: false } });
  });

  it("kill is 204 for whoever ended it and 404 afterwards, which the SDK tells apart by the body [API-8]", async () => {
    const first = await withSession(standing({ status: "terminating" }, true));
    expect((await first.send("DELETE", path)).status).toBe(204);
    expect(first.calls.map(({ method, args }) => [method, args[1]])).toEqual([["delete", "requested"]]);
    const again = await withSession(standing({ status: "terminating" }, false));
    const response = await again.send("DELETE", path);
    expect([response.status, e2bError.parse(await response.json()).code]).toEqual([404, 404]);
  });

  it.each([
    [600, 600],
    [0, 0],
    [-1, 0],
    [-2_147_483_648, 0],
  ])(
    "a timeout of %i s sets the end to %i s from now through the one native call [API-8] [CLK-1]",
    async (asked, seconds) => {
      const client = await httpClient();
      expect((await client.send("POST", `${path}/timeout`, { json: { timeout: asked, extra: 1 } })).status).toBe(204);
      expect(client.calls.map(({ method, args }) => [method, ...args.slice(1)])).toEqual([
        ["timeout", "timeout", seconds],
      ]);
    },
  );

  it.each([{}, { timeout: null }, { timeout: 1.5 }, { timeout: "60" }, { timeout: 86_401 }, { timeout: 1e300 }])(
    "a timeout of %j is 400 and changes nothing [CLK-6]",
    async (json) => {
      const client = await httpClient();
      const response = await client.send("POST", `${path}/timeout`, { json });
      expect(response.status).toBe(400);
      await expectRefusal(path, response, "validation_failed");
      expect(client.calls).toEqual([]);
    },
  );

  it("a refresh extends only, and without a duration by the default [API-8]", async () => {
    const client = await httpClient();
    expect((await client.send("POST", `${path}/refreshes`, { json: { duration: 90 } })).status).toBe(204);
    expect((await client.send("POST", `${path}/refreshes`)).status).toBe(204);
    expect(client.calls.map(({ args }) => args.slice(1))).toEqual([
      ["refresh", 90],
      ["refresh", 300],
    ]);
  });

  it.each([
    ["made by an E2B client", born, "always"],
    ["made natively", {}, "if_auto"],
  ] as const)(
    "a connect resumes a session %s as that one is to be resumed [CLK-15]",
    async (_whose, labels, resumes) => {
      const client = await withSession(standing({ status: "running", ...labels }, true));
      const response = await client.send("POST", `${path}/connect`, { json: { timeout: 60 } });
      expect(response.status).toBe(201);
      expect(e2bSandbox.strict().parse(await response.json()).sandboxID).toBe(sampleId);
      expect(client.calls.at(-1)).toMatchObject({ method: "attach", args: [{}, { seconds: 60, resumes }, 50_000] });
    },
  );

  it("a connect to one that runs is 200, without a body asks for 300 s, and a negative wish shortens nothing", async () => {
    const client = await withSession(standing({ status: "running", ...born }, false));
    expect((await client.send("POST", `${path}/connect`)).status).toBe(200);
    expect((await client.send("POST", `${path}/connect`, { json: { timeout: -7 } })).status).toBe(200);
    const orders = client.calls.filter(({ method }) => method === "attach").map(({ args }) => args[1]);
    expect(orders).toEqual([
      { seconds: 300, resumes: "always" },
      { seconds: 0, resumes: "always" },
    ]);
  });

  it.each([
    ["connect", "provisioning", true, 504],
    ["connect", "terminating", true, 404],
    ["resume", "running", true, 201],
    ["resume", "running", false, 409],
    ["pause", "paused", true, 204],
    ["pause", "paused", false, 409],
    ["pause", "pausing", true, 504],
    ["pause", "running", true, 503],
    ["pause", "running", false, 503],
    ["pause", "terminating", true, 404],
  ] as const)("%s that leaves it %s (changed: %s) is %i [API-8]", async (call, status, changed, expected) => {
    const client = await withSession(standing({ status, ...born }, changed));
    expect((await client.send("POST", `${path}/${call}`)).status).toBe(expected);
  });

  it("a pause that is to keep memory is refused, one that says nothing of it keeps files [API-8]", async () => {
    const client = await withSession(standing({ status: "paused" }, true));
    expect((await client.send("POST", `${path}/pause`, { json: { memory: true } })).status).toBe(400);
    expect(client.calls).toEqual([]);
    for (const json of [{}, { memory: false }])
      expect((await client.send("POST", `${path}/pause`, { json })).status).toBe(204);
  });

  it("an id that cannot be one is 404 and asks no object [SEC-5] [API-12]", async () => {
    for (const id of ["..%2f..%2fetc", "%00", "ABCDEFGHIJ0123456789", "%F0%9F%A6%84", "a".repeat(200)]) {
      const client = await httpClient();
      for (const [method, rest] of [
        ["GET", ""],
        ["DELETE", ""],
        ["POST", "/connect"],
        ["POST", "/pause"],
        ["GET", "/metrics"],
      ] as const)
        expect((await client.send(method, `${base}/${id}${rest}`)).status, `${method} ${id}`).toBe(404);
      expect(client.calls).toEqual([]);
    }
  });
});

describe("refusals of a session", () => {
  const expected: Partial<Record<ProblemCode, number>> = {
    not_found: 404,
    session_ended: 404,
    session_gone: 404,
    sandbox_lost: 404,
    session_paused: 409,
    session_not_running: 503,
    conflict: 503,
    quota_exhausted: 429,
    rate_limited: 429,
    unsupported_by_provider: 400,
    storage_failed: 503,
    unavailable: 503,
  };

  it.each(problemCodes)("%s is told in E2B's shape, never as 410 or as a success [API-8] [API-5]", async (code) => {
    const detail = "What happened, what it means and what to do about it.";
    const no = async () => refusal({ code, detail, retryAt: testNow + 1_500 });
    const client = await withSession({ timeout: no });
    const response = await client.send("POST", `${sandbox}/timeout`, { json: { timeout: 60 } });
    if (expected[code] !== undefined) expect(response.status).toBe(expected[code]);
    expect(response.status).not.toBe(410);
    // The SDK retries a 429 that names a whole number of seconds; a full quota is not a matter of time.
    if (code === "rate_limited") expect(response.headers.get("retry-after")).toBe("2");
    if (code === "quota_exhausted") expect(response.headers.get("retry-after")).toBeNull();
    expect(await expectRefusal(sandbox, response, code)).toBe(detail);
  });

  it("every field that was wrong is in the one message there is", async () => {
    const client = await httpClient();
    const response = await client.send("POST", "/sandboxes", { json: { timeout: "x", metadata: { a: 1 } } });
    const words = await expectRefusal("/sandboxes", response, "validation_failed");
    expect(words).toContain("timeout: ");
    expect(words).toContain("metadata/a: ");
  });

  it("an unknown method is 405 in E2B's shape, an unknown call 501 and not 404, which would mean a lost sandbox", async () => {
    const client = await httpClient();
    await expectRefusal(sandbox, await client.send("PATCH", sandbox), "method_not_allowed");
    for (const [method, path] of [
      ["PUT", `${sandbox}/network`],
      ["POST", `${sandbox}/fork`],
      ["GET", "/templates"],
      ["GET", "/v2/templates/x"],
      ["GET", "/files?path=/etc"],
    ] as const) {
      const response = await client.send(method, path);
      expect([response.status, e2bError.parse(await response.json()).error_code]).toEqual([501, "not_served"]);
    }
    expect((await client.send("GET", "/sandboxesx")).headers.get("content-type")).toBe("application/problem+json");
  });

  it("a bug of ours is 500 in E2B's shape, without a stack [API-5]", async () => {
    const client = await withSession({ get: async () => ({ ok: true, value: null as never }) });
    await expectRefusal(sandbox, await client.send("GET", sandbox), "internal");
  });
});

describe("GET /v2/sandboxes", () => {
  const row = (at: number, changes: Partial<FleetRow> = {}): FleetRow =>
    ({
      sessionId: `${"s".repeat(18)}${String(at).padStart(2, "0")}` as FleetRow["sessionId"],
      status: "running",
      labels: { [templateLabel]: "base", "e2b/odd.20key": "v" },
      createdAt: testNow + at,
      endAt: testNow + 300_000,
      ...changes,
    }) as FleetRow;

  it("asks the tenant's own index for exactly what was asked, one row more than a page [API-8] [FLT-1]", async () => {
    const client = await httpClient({ answers: { shard: { select: async () => [row(1), row(2), row(3)] } } });
    const metadata = encodeURIComponent(new URLSearchParams({ [encodeURIComponent("odd key")]: "v" }).toString());
    const query = `limit=2&order=asc&state=paused,running&metadata=${metadata}&template=base&startedAfter=2026-03-01T12:00:00.000Z&new=1`;
    const response = await client.send("GET", `/v2/sandboxes?${query}`);
    expect(client.calls).toEqual([
      {
        method: "select",
        object: "acme",
        args: [
          {
            tenant: "acme",
            limit: 3,
            order: "oldest",
            statuses: ["provisioning", "running", "recovering", "pausing", "paused"],
            labels: { "e2b/odd.20key": "v", [templateLabel]: "base" },
            createdAfter: testNow - 1,
          },
        ],
      },
    ]);
    const page = e2bListedSandbox
      .strict()
      .array()
      .parse(await response.json());
    expect(page.map(({ sandboxID }) => sandboxID)).toEqual([row(1).sessionId, row(2).sessionId]);
    expect(page[0]).toMatchObject({ templateID: "base", metadata: { "odd key": "v" }, state: "running" });
    const token = response.headers.get("x-next-token") ?? "";
    const next = await client.send("GET", `/v2/sandboxes?limit=2&nextToken=${token}`);
    expect(client.calls.at(-1)?.args[0]).toMatchObject({
      order: "newest",
      after: { createdAt: testNow + 2, id: row(2).sessionId },
    });
    expect(next.status).toBe(200);
  });

  it("the last page has no token, and one state may be asked for alone", async () => {
    const client = await httpClient({ answers: { shard: { select: async () => [row(1, { status: "pausing" })] } } });
    const response = await client.send("GET", "/v2/sandboxes?state=paused&nextToken=&metadata=");
    expect(response.headers.get("x-next-token")).toBeNull();
    expect(client.calls[0]?.args[0]).toMatchObject({ statuses: ["pausing", "paused"], limit: 101, labels: {} });
    expect(e2bListedSandbox.array().parse(await response.json())[0]?.state).toBe("paused");
  });

  it.each([
    "limit=0",
    "limit=101",
    "limit=x",
    "state=dead",
    "order=up",
    "startedAfter=yesterday",
    "nextToken=AAAA",
    "nextToken=%00",
  ])("%s is 400 and asks no index [SEC-5]", async (query) => {
    const client = await httpClient();
    const response = await client.send("GET", `/v2/sandboxes?${query}`);
    expect(response.status).toBe(400);
    await expectRefusal("/v2/sandboxes", response, "validation_failed");
    expect(client.calls).toEqual([]);
  });

  it("an index that is silent is 503, never a short page [FLT-18]", async () => {
    const silent = () => Promise.reject(new Error("no answer"));
    const client = await httpClient({ answers: { shard: { select: silent } } });
    for (const path of bases) await expectRefusal(path, await client.send("GET", path), "unavailable");
  });

  it("the older list asks for what runs, all at once [API-8]", async () => {
    const client = await httpClient();
    await client.send("GET", "/sandboxes?metadata=user%3Dada");
    expect(client.calls[0]?.args[0]).toEqual({
      tenant: "acme",
      limit: 1_000,
      order: "newest",
      statuses: ["provisioning", "running", "recovering"],
      labels: { user: "ada" },
    });
  });
});

describe("metrics", () => {
  it("are the samples that were taken, in bytes, within the time asked for [API-8]", async () => {
    const client = await httpClient();
    const response = await client.send("GET", `${sandbox}/metrics`);
    const all = e2bMetric
      .strict()
      .array()
      .parse(await response.json());
    expect(all.length).toBeGreaterThan(0);
    const [first] = all;
    const after = await client.send("GET", `${sandbox}/metrics?start=${(all.at(-1)?.timestampUnix ?? 0) + 1}`);
    expect(await after.json()).toEqual([]);
    const until = await client.send("GET", `${sandbox}/metrics?end=${first?.timestampUnix}`);
    expect(await until.json()).toEqual([first]);
    expect((await client.send("GET", `${sandbox}/metrics?start=soon`)).status).toBe(400);
  });

  it.each(["session_paused", "session_not_running"] as const)(
    "of a sandbox without any (%s) are an empty list",
    async (code) => {
      const client = await withSession({ resources: async () => refusal({ code, detail: "nothing to look at" }) });
      const response = await client.send("GET", `${sandbox}/metrics`);
      expect([response.status, await response.json()]).toEqual([200, []]);
    },
  );
});

describe("GET /health", () => {
  const ask = async (
    client: Awaited<ReturnType<typeof httpClient>>,
    headers: Record<string, string>,
    key: string | null = null,
  ) => await client.send("GET", "/health", { key, headers });
  const token = (tenant = "acme", id = sampleId, secret: string = testSecrets.KEY_SIGNING_SECRET) =>
    signAccess(tenant as never, id as never, secret);

  it.each(sessionStatuses)("of a session that is %s is 204 when it runs, else 502 [API-8]", async (status) => {
    const client = await withSession(standing({ status }));
    const headers = { "e2b-sandbox-id": sampleId, "x-access-token": await token() };
    expect((await ask(client, headers)).status).toBe(status === "running" ? 204 : 502);
    // A read and nothing else: it wakes nothing, and is nobody's activity.
    expect(client.calls).toEqual([
      { method: "get", object: sampleId, args: [{ tenant: "acme", scopes: [], requestId: expect.any(String) }] },
    ]);
  });

  it("is 502 for what is not there, and an error for what cannot be told: unknown is not absent", async () => {
    const gone = await withSession({ get: async () => refusal({ code: "not_found", detail: "gone" }) });
    const headers = { "e2b-sandbox-id": sampleId, "x-access-token": await token() };
    expect((await ask(gone, headers)).status).toBe(502);
    const silent = await withSession({ get: () => Promise.reject(new Error("reset")) });
    await expectRefusal("/health", await ask(silent, headers), "unavailable");
  });

  it("takes an API key as well; without a name it is 400, with one that cannot be 502", async () => {
    const client = await withSession(standing({ status: "running" }));
    const key = await testKey();
    expect((await ask(client, { "e2b-sandbox-id": sampleId, "x-api-key": key })).status).toBe(204);
    expect((await ask(client, { "e2b-sandbox-id": sampleId }, key)).status).toBe(204);
    expect((await ask(client, { "x-api-key": key })).status).toBe(400);
    expect((await ask(client, { "e2b-sandbox-id": "../../etc", "x-api-key": key })).status).toBe(502);
  });

  it("a sandbox's token opens that sandbox's health and nothing else [SEC-2]", async () => {
    const wrong = [
      await token("acme", "bbbbbbbbbbbbbbbbbbbb"),
      await token("other"),
      await token("acme", sampleId, "another-signing-secret-entirely-0005"),
      (await token()).slice(0, -1),
      `${await token()}0`,
      await testKey(),
      testSecrets.ADMIN_TOKEN,
      "",
      "x".repeat(5_000),
    ];
    for (const each of wrong) {
      const client = await withSession({
        get: async (caller) => refusal({ code: "not_found", detail: caller.tenant }),
      });
      const response = await ask(client, { "e2b-sandbox-id": sampleId, "x-access-token": each });
      // One of another tenant is genuine, and finds none of its own under this id.
      if (each === wrong[1]) expect(response.status).toBe(502);
      else await expectRefusal("/health", response, "unauthorized");
    }
    const mine = await token();
    for (const route of routes.filter(({ path, access }) => path !== "/health" && access !== "open")) {
      const client = await httpClient();
      const path = route.path.replace(":id", sampleId).replace(":job", "job-1");
      for (const headers of [{ "x-access-token": mine }, { "x-api-key": mine }])
        await expectRefusal(path, await client.send(route.method, path, { key: null, headers }), "unauthorized");
      await expectRefusal(path, await client.send(route.method, path, { key: mine }), "unauthorized");
      expect(client.calls).toEqual([]);
    }
  });

  it("its token holds through a rotation of the secret, and not after it [SEC-1]", async () => {
    const old = "the-signing-secret-before-this-one-0006";
    const headers = { "e2b-sandbox-id": sampleId, "x-access-token": await token("acme", sampleId, old) };
    const env = { SANDBOX_PROVIDER: "memory", ...testSecrets, KEY_SIGNING_SECRET_PREVIOUS: old };
    expect((await ask(await httpClient({ env }), headers)).status).toBe(204);
    await expectRefusal("/health", await ask(await httpClient(), headers), "unauthorized");
  });
});

describe("X-API-KEY", () => {
  it("is a key on E2B's paths, where it comes before a bearer, and nothing on the native ones [SEC-2]", async () => {
    const client = await httpClient();
    const key = await testKey();
    const send = (path: string, headers: Record<string, string>) => client.send("GET", path, { key: null, headers });
    expect((await send(sandbox, { "x-api-key": key })).status).toBe(200);
    expect((await send(sandbox, { "x-api-key": "e2b_x", authorization: `Bearer ${key}` })).status).toBe(401);
    expect((await send(`/v1/sessions/${sampleId}`, { "x-api-key": key })).status).toBe(401);
    expect((await send(sandbox, { "x-api-key": testSecrets.ADMIN_TOKEN })).status).toBe(401);
    expect((await send("/api/sandbox/stats", { "x-api-key": testSecrets.ADMIN_TOKEN })).status).toBe(401);
  });
});
