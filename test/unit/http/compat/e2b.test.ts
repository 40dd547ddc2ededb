/** E2B's shapes at the edge: what reaches the session, and how each answer and each refusal looks to its SDK. */
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { templateLabel } from "../../../../src/http/compat/e2b/metadata.ts";
import { e2bStateOf } from "../../../../src/http/compat/e2b/view.ts";
import {
  e2bError,
  e2bForkResult,
  e2bSandbox,
  e2bSandboxDetail,
  e2bSnapshot,
} from "../../../../src/protocol/compat/e2b.ts";
import { type ProblemCode, problemCodes } from "../../../../src/protocol/problem.ts";
import { type CreateSession, sessionStatuses } from "../../../../src/protocol/resources/session/sessions.ts";
import type { ApiKeyScope } from "../../../../src/protocol/api-keys.ts";
import { expectRefusal, httpClient, testKey, testSecrets, refusal, testNow } from "../../../support/http-client.ts";
import { sampleId, sampleSession } from "../../../support/sample-views.ts";
import { standing, withSession } from "../../../support/standing-session.ts";

const sandbox = `/sandboxes/${sampleId}`;
const bases = ["/sandboxes", "/v2/sandboxes"] as const;
const born = { labels: { [templateLabel]: "base" } };

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
            public_ports: true,
            labels: { [templateLabel]: "base" },
          },
          null,
          50_000,
        ],
      },
    ]);
  });

  it("gives the token of the data plane to an API key that may run things, and to no other [SEC-6]", async () => {
    const client = await httpClient();
    const tokenFor = async (...scopes: ApiKeyScope[]) => {
      const key = await testKey({ scopes });
      const response = await client.send("POST", base, { json: { templateID: "base" }, key });
      expect(response.status).toBe(201);
      return e2bSandbox.strict().parse(await response.json()).envdAccessToken;
    };
    expect(await tokenFor("manage")).toBeUndefined();
    expect(await tokenFor("manage", "run")).toMatch(/./);
    expect(await tokenFor()).toMatch(/./);
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
      public_ports: true,
      env: { A: "1" },
      labels: { user: "ada", "e2b/odd.20key": "v", [templateLabel]: "tpl" },
    });
  });

  it("a template of the operator's list is what the sandbox starts from, and is shown again [CON-9]", async () => {
    const client = await httpClient({
      env: { SANDBOX_PROVIDER: "memory", ...testSecrets, TEMPLATES: '{"agents": {"instance": "standard-1"}}' },
    });
    for (const templateID of ["agents", "team/agents:latest", "unlisted", "base"]) {
      const response = await client.send("POST", base, { json: { templateID } });
      expect(response.status).toBe(201);
    }
    const orders = client.calls.filter(({ method }) => method === "create").map(({ args }) => args[2] as CreateSession);
    expect(orders.map(({ template }) => template)).toEqual(["agents", "agents", undefined, undefined]);
    expect(orders.map(({ labels }) => labels?.[templateLabel])).toEqual([
      "agents",
      "team/agents:latest",
      "unlisted",
      "base",
    ]);
  });

  it.each([
    { autoPause: true, autoPauseMemory: true },
    { network: { allowPublicTraffic: true } },
    { network: { allowPublicTraffic: true, allowOut: [], denyOut: null } },
  ])("[BUG-61] what SDKs say of the defaults (%j) is accepted", async (json) => {
    const client = await httpClient();
    expect((await client.send("POST", base, { json })).status).toBe(201);
  });

  it("[BUG-62] the domain is Mooring's own, so that no port's name leads to a stranger", async () => {
    const client = await httpClient();
    expect(await (await client.send("POST", base, { json: {} })).json()).toMatchObject({ domain: "mooring.test" });
  });

  it("[BUG-62] where ports have host names, the domain is theirs", async () => {
    const client = await httpClient({
      env: { SANDBOX_PROVIDER: "memory", ...testSecrets, TRAFFIC_DOMAIN: "sbx.test" },
    });
    expect(await (await client.send("POST", base, { json: {} })).json()).toMatchObject({ domain: "sbx.test" });
  });

  it.each([
    ["no internet", { allow_internet_access: false }, { mode: "closed" }],
    ["nothing at all", { network: { denyOut: ["0.0.0.0/0"] } }, { mode: "closed" }],
    [
      "two hosts",
      { network: { denyOut: ["0.0.0.0/0"], allowOut: ["API.example.com", "*.pypi.org"] } },
      { mode: "allow", allow: ["api.example.com", "*.pypi.org"] },
    ],
    [
      "a header for a host that may be reached, and none for another, which a rule does not open",
      {
        network: {
          denyOut: ["0.0.0.0/0"],
          allowOut: ["*.example.com"],
          rules: {
            "api.example.com": [{ transform: { headers: { "X-Key": "v" } } }],
            "other.test": [{ transform: { headers: { "X-Key": "v" } } }],
          },
        },
      },
      { mode: "allow", allow: ["*.example.com"], inject: [{ host: "api.example.com", header: "X-Key", secret: "v" }] },
    ],
    [
      "a header, and everything else as it is",
      { network: { rules: { "api.example.com": [{ transform: { headers: { "X-Key": "v" } } }] } } },
      { mode: "open", inject: [{ host: "api.example.com", header: "X-Key", secret: "v" }] },
    ],
    ["a range", { network: { denyOut: ["0.0.0.0/0"], allowOut: ["::/64"] } }, { mode: "allow", allow: ["::/64"] }],
    ["exceptions without a rule", { network: { allowOut: ["1.1.1.1"] } }, undefined],
    ["everything denied and allowed", { network: { denyOut: ["0.0.0.0/0"], allowOut: ["0.0.0.0/0"] } }, undefined],
    ["nothing said", { network: {}, allow_internet_access: true }, undefined],
  ])("rules for traffic are the native ones: %s [API-8]", async (_what, json, network) => {
    const client = await httpClient();
    expect((await client.send("POST", base, { json })).status).toBe(201);
    expect((client.calls[0]?.args[2] as CreateSession | undefined)?.network).toEqual(network);
  });

  it("without public traffic its ports want a token, which the answer has [API-8] [SEC-6]", async () => {
    const made = async (publicPorts: boolean) => {
      const client = await withSession(standing({ ...born, status: "running", public_ports: publicPorts }));
      const response = await client.send("POST", base, { json: { network: { allowPublicTraffic: publicPorts } } });
      expect((client.calls[0]?.args[2] as CreateSession | undefined)?.public_ports).toBe(publicPorts);
      return e2bSandbox.strict().parse(await response.json());
    };
    expect((await made(true)).trafficAccessToken).toBeUndefined();
    expect((await made(false)).trafficAccessToken).toMatch(/^mrt_acme_/);
  });

  it.each([
    ["an address that is denied", { network: { denyOut: ["8.8.8.8"] } }],
    ["a range that is none", { network: { denyOut: ["0.0.0.0/0"], allowOut: ["203.0.113.0/33"] } }],
    ["a host that is none", { network: { denyOut: ["0.0.0.0/0"], allowOut: ["a_b"] } }],
    ["a proxy on the way out", { network: { egressProxy: { url: "socks5://x" } } }],
    ["volumes", { volumeMounts: [{ name: "v", path: "/data" }] }],
    ["workload identity", { iam: { tokens: { a: {} } } }],
    ["another host header that is none", { network: { maskRequestHost: "x\r\ny: z" } }],
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
    expect(first.calls.map(({ method, args }) => [method, args[1]])[0]).toEqual(["delete", "requested"]);
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

  it("new rules take the place of all before, and none are the operator's own [API-8]", async () => {
    const env = { SANDBOX_PROVIDER: "memory", ...testSecrets, NETWORK_DEFAULT: "allow:api.example.com" };
    const client = await httpClient({ env, answers: { session: { setNetwork: standing({}).get as never } } });
    const change = async (json?: object) =>
      (await client.send("PUT", `${path}/network`, json === undefined ? {} : { json })).status;
    expect(await change({ denyOut: ["0.0.0.0/0"] })).toBe(204);
    expect(await change({})).toBe(204);
    expect(await change()).toBe(204);
    expect(await change({ denyOut: ["8.8.8.8"] })).toBe(400);
    expect(await change({ egressProxy: { url: "socks5://x" } })).toBe(400);
    expect(client.calls.map(({ args }) => args[1])).toEqual([
      { mode: "closed" },
      { mode: "allow", allow: ["api.example.com"] },
      { mode: "allow", allow: ["api.example.com"] },
    ]);
  });

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

  it("[BUG-61] a pause keeps files whatever it says of memory, as released SDKs say it with each pause [API-8]", async () => {
    const client = await withSession(standing({ status: "paused" }, true));
    for (const json of [{}, { memory: false }, { memory: true }])
      expect((await client.send("POST", `${path}/pause`, { json })).status).toBe(204);
  });

  it("[BUG-61] a fork of a sandbox that is gone is 404, of one that runs as many as were asked for [TRA-15]", async () => {
    const gone = await withSession({
      snapshot: async () => refusal({ code: "session_gone", detail: "it has ended" }),
    });
    expect((await gone.send("POST", `${path}/fork`, { json: {} })).status).toBe(404);
    const there = await httpClient();
    const forks = await there.send("POST", `${path}/fork`, { json: { count: 2, timeout: 60 } });
    expect(forks.status).toBe(201);
    const made = z.array(e2bForkResult.strict()).parse(await forks.json());
    expect(made.map(({ sandbox, error }) => [sandbox !== undefined, error])).toEqual([
      [true, undefined],
      [true, undefined],
    ]);
    expect((await there.send("POST", `${path}/fork`, { json: { count: 0 } })).status).toBe(400);
  });

  it("a fork whose answer is lost is deleted: nobody has its id [TRA-15]", async () => {
    for (const forks of [`${path}/fork`, `/v1/sessions/${sampleId}/fork`]) {
      const client = await withSession({
        create: async () => {
          throw new Error("Network connection lost.");
        },
      });
      expect((await client.send("POST", forks, { json: {} })).status).toBe(201);
      const created = client.calls.find(({ method }) => method === "create");
      expect(client.calls.filter(({ method }) => method === "delete").map(({ object }) => object)).toEqual([
        created?.object,
      ]);
    }
  });

  it("a snapshot is answered in E2B's words, and replaces an older one of its name [TRA-15]", async () => {
    const client = await httpClient();
    const taken = await client.send("POST", `${path}/snapshots`, { json: { name: "team/base:default" } });
    expect(taken.status).toBe(201);
    expect(e2bSnapshot.strict().parse(await taken.json())).toEqual({
      snapshotID: sampleId,
      names: ["acme/base:default"],
    });
    expect(client.calls[0]?.args[1]).toEqual({ name: "base", replace: true, purpose: "kept" });
    expect((await client.send("POST", `${path}/snapshots`, { json: { name: "no good name" } })).status).toBe(400);
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

  // No session ever says that a method is not allowed.
  it.each(problemCodes.filter((code) => code !== "method_not_allowed"))(
    "%s is told in E2B's shape, never as 410 or as a success [API-8] [API-5]",
    async (code) => {
      const detail = "What happened, what it means and what to do about it.";
      const no = async () => refusal({ code, detail, retryAt: testNow + 1_500 });
      const client = await withSession({ timeout: no });
      const response = await client.send("POST", `${sandbox}/timeout`, { json: { timeout: 60 } });
      if (expected[code] !== undefined) expect(response.status).toBe(expected[code]);
      expect(response.status).not.toBe(410);
      // The SDK retries a 429 that names a whole number of seconds; a full quota is not a matter of time.
      if (code === "rate_limited") expect(response.headers.get("retry-after")).toBe("2");
      if (code === "quota_exhausted" || response.status < 429) expect(response.headers.get("retry-after")).toBeNull();
      expect(await expectRefusal(sandbox, response, code)).toBe(detail);
    },
  );

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
      ["PUT", `${sandbox}/metadata`],
      ["GET", "/templates"],
      ["GET", "/v2/templates/x"],
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
