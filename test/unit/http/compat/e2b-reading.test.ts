/** E2B's lists, metrics and health at the edge, and the credentials of that surface. */
import { describe, expect, it } from "vitest";
import { routes } from "../../../../src/http/app.ts";
import { templateLabel } from "../../../../src/http/compat/e2b/metadata.ts";
import type { FleetRow } from "../../../../src/fleet/shard/shard-api.ts";
import { signAccess } from "../../../../src/protocol/compat/e2b-access.ts";
import { e2bListedSandbox, e2bMetric } from "../../../../src/protocol/compat/e2b.ts";
import { sessionStatuses } from "../../../../src/protocol/resources/session/sessions.ts";
import { expectRefusal, httpClient, refusal, testKey, testNow, testSecrets } from "../../../support/http-client.ts";
import { sampleId } from "../../../support/sample-views.ts";
import { standing, withSession } from "../../../support/standing-session.ts";

const sandbox = `/sandboxes/${sampleId}`;
const bases = ["/sandboxes", "/v2/sandboxes"] as const;

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
            labels: { "e2b/odd.20key": "v" },
            template: "base",
            templateLabel,
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

  it("shows the client's own word for a template, else the session's template, as the filter compares them", async () => {
    const rows = [
      row(1, { template: "python" }),
      row(2, { template: "python", labels: {} }),
      row(3, { template: null, labels: {} }),
    ];
    const client = await httpClient({ answers: { shard: { select: async () => rows } } });
    const page = e2bListedSandbox.array().parse(await (await client.send("GET", "/v2/sandboxes")).json());
    expect(page.map(({ templateID }) => templateID)).toEqual(["base", "python", "base"]);
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
      { method: "get", object: sampleId, args: [expect.objectContaining({ tenant: "acme", scopes: [] })] },
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

  it("a sandbox's token opens what is in that sandbox and nothing else [SEC-2]", async () => {
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
    for (const route of routes.filter(({ access }) => access !== "sandbox" && access !== "open")) {
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
