import { describe, expect, it } from "vitest";
import { routes } from "../../../../src/http/app.ts";
import { rightFor } from "../../../../src/protocol/contract.ts";
import { expectProblem, expectRefusal, httpClient, testKey, testSecrets } from "../../../support/http-client.ts";
import { sampleId } from "../../../support/sample-views.ts";

const guarded = routes.filter((route) => route.access !== "open");
const paths = guarded.map((route) => ({
  method: route.method,
  access: route.access,
  path: filled(route.path),
}));

function filled(path: string): string {
  return path.replace(":id", sampleId).replace(":job", "job-1");
}

/** Changes one character of a text. */
function altered(text: string, at: number): string {
  const index = at < 0 ? text.length + at : at;
  return text.slice(0, index) + (text[index] === "0" ? "1" : "0") + text.slice(index + 1);
}

describe.each(paths)("$method $path", ({ method, path, access }) => {
  it("without a credential is 401 and reaches no object [SEC-1]", async () => {
    const client = await httpClient();
    const response = await client.send(method, path, { key: null });
    await expectRefusal(path, response, "unauthorized");
    expect(response.headers.get("www-authenticate") ?? "none").toMatch(/^Bearer /);
    expect(client.calls).toEqual([]);
  });

  it("with a wrong credential is 401 and reaches no object [SEC-1]", async () => {
    const key = await testKey();
    const other = await testKey({ secret: "another-signing-secret-entirely-0005" });
    const wrong = [
      other,
      altered(key, -1),
      altered(key, 5),
      key.slice(0, -1),
      `${key}0`,
      key.toUpperCase(),
      testSecrets.KEY_SIGNING_SECRET,
      testSecrets.LOCAL_HOST_TOKEN,
      altered(testSecrets.ADMIN_TOKEN, -1),
      "mrg_acme__",
      "x".repeat(5_000),
    ];
    for (const credential of wrong) {
      const client = await httpClient();
      await expectRefusal(path, await client.send(method, path, { key: credential }), "unauthorized");
      expect(client.calls).toEqual([]);
    }
  });

  it("never takes the credential of the other kind [SEC-2]", async () => {
    const client = await httpClient();
    const key = access === "admin" ? await testKey({ scopes: ["critical"] }) : testSecrets.ADMIN_TOKEN;
    await expectRefusal(path, await client.send(method, path, { key }), "unauthorized");
    expect(client.calls).toEqual([]);
  });

  it("[BUG-83] is 403 for a key without the scope that it needs, names that scope, and reaches no object", async () => {
    const route = guarded.find((each) => each.method === method && path === filled(each.path));
    const needed = route === undefined || access === "admin" ? "read" : rightFor(route);
    // Every key may read.
    if (needed === "read") return;
    const client = await httpClient();
    const key = await testKey({ scopes: ["read", "critical", needed === "run" ? "manage" : "run"] });
    const words = await expectRefusal(path, await client.send(method, path, { key }), "forbidden");
    expect(words).toContain(needed);
    expect(client.calls.filter((call) => call.method !== "checkKeys")).toEqual([]);
  });

  it("is closed while its secret is unset, whatever is shown [SEC-1]", async () => {
    const needed = access === "admin" ? "ADMIN_TOKEN" : "KEY_SIGNING_SECRET";
    const others = { ...testSecrets, [needed]: undefined };
    for (const key of [null, "", await testKey(), testSecrets.ADMIN_TOKEN]) {
      const client = await httpClient({ env: { SANDBOX_PROVIDER: "memory", ...others } });
      const words = await expectRefusal(path, await client.send(method, path, { key }), "secret_missing");
      expect(words).toContain(needed);
      expect(client.calls).toEqual([]);
    }
  });
});

describe("rotation", () => {
  it("accepts what the previous secret signed, and no longer once that is removed [SEC-1]", async () => {
    const old = "the-signing-secret-before-this-one-0006";
    const key = await testKey({ secret: old });
    const rotated = { SANDBOX_PROVIDER: "memory", ...testSecrets, KEY_SIGNING_SECRET_PREVIOUS: old };
    const during = await httpClient({ env: rotated });
    expect((await during.send("GET", "/v1/sessions", { key })).status).toBe(200);
    expect((await during.send("GET", "/v1/sessions")).status).toBe(200);
    const after = await httpClient();
    await expectProblem(await after.send("GET", "/v1/sessions", { key }), "unauthorized");
  });

  it("accepts what any of several earlier secrets signed, in whatever order they were removed from use [SEC-1]", async () => {
    const [older, oldest, stranger] = [
      "the-secret-before-the-last-one-0008",
      "the-very-first-secret-of-all-0009",
      "never-one-of-them-00010",
    ];
    const env = { SANDBOX_PROVIDER: "memory", ...testSecrets, KEY_SIGNING_SECRET_PREVIOUS: `${older}, ${oldest}` };
    const client = await httpClient({ env });
    for (const secret of [testSecrets.KEY_SIGNING_SECRET, older, oldest]) {
      expect((await client.send("GET", "/v1/sessions", { key: await testKey({ secret }) })).status).toBe(200);
    }
    for (const secret of [stranger, `${older}, ${oldest}`]) {
      await expectProblem(await client.send("GET", "/v1/sessions", { key: await testKey({ secret }) }), "unauthorized");
    }
  });

  it("accepts the previous admin token, and no longer once that is removed [SEC-1]", async () => {
    const old = "the-admin-token-before-this-one-0007";
    const path = `/v1/admin/sessions/${sampleId}`;
    const during = await httpClient({ env: { SANDBOX_PROVIDER: "memory", ...testSecrets, ADMIN_TOKEN_PREVIOUS: old } });
    expect((await during.send("DELETE", path, { key: old })).status).toBe(202);
    const after = await httpClient();
    await expectProblem(await after.send("DELETE", path, { key: old }), "unauthorized");
  });

  it("with only the previous secret set a route is closed [SEC-1]", async () => {
    const { KEY_SIGNING_SECRET, ...others } = testSecrets;
    const client = await httpClient({
      env: { SANDBOX_PROVIDER: "memory", ...others, KEY_SIGNING_SECRET_PREVIOUS: KEY_SIGNING_SECRET },
    });
    await expectProblem(await client.send("GET", "/v1/sessions"), "secret_missing");
  });
});

describe("what a credential opens", () => {
  it("hands the key's tenant and scopes to the object, nothing the request says [API-3]", async () => {
    const client = await httpClient();
    const key = await testKey({ tenant: "other-tenant", scopes: ["critical"] });
    await client.send("GET", `/v1/sessions/${sampleId}`, {
      key,
      headers: { "x-request-id": "r-1", "x-tenant": "acme" },
    });
    expect(client.calls).toEqual([
      {
        method: "read",
        object: sampleId,
        args: [
          {
            tenant: "other-tenant",
            scopes: ["critical"],
            keyId: expect.any(String),
            requestId: "r-1",
            traceparent: expect.any(String),
          },
        ],
      },
    ]);
  });

  it("`critical` needs a key with that scope", async () => {
    const client = await httpClient();
    await expectProblem(await client.send("POST", "/v1/sessions", { json: { critical: true } }), "forbidden");
    expect(client.calls).toEqual([]);
    const key = await testKey({ scopes: ["critical"] });
    expect((await client.send("POST", "/v1/sessions", { json: { critical: true }, key })).status).toBe(201);
  });

  it("an admin ends a session as operator, a tenant only ever as requested [SEC-7]", async () => {
    const client = await httpClient();
    await client.send("DELETE", `/v1/admin/sessions/${sampleId}`, { key: testSecrets.ADMIN_TOKEN });
    await client.send("DELETE", `/v1/sessions/${sampleId}`);
    const ends = () => client.calls.filter(({ method }) => method === "delete").map(({ args }) => args[1]);
    expect(ends()).toEqual(["operator", "requested"]);
    const forged = await client.send("DELETE", `/v1/sessions/${sampleId}`, { json: { terminate_reason: "operator" } });
    const problem = await expectProblem(forged, "validation_failed");
    expect(problem.errors?.map((error) => error.pointer)).toEqual(["/terminate_reason"]);
    expect(ends()).toHaveLength(2);
  });

  it("no credential, header value or body is ever logged [SEC-3]", async () => {
    const client = await httpClient();
    const key = await testKey();
    const json = { env: { TOKEN: "env-value-to-hide" }, labels: { note: "label-to-hide" } };
    await client.send("POST", "/v1/sessions", { key, json, headers: { "idempotency-key": "idempotency-to-hide" } });
    await client.send("POST", "/v1/sessions", { key: `${key}0`, json });
    const lines = JSON.stringify(client.log);
    for (const hidden of [key, "env-value-to-hide", "label-to-hide", "idempotency-to-hide"])
      expect(lines).not.toContain(hidden);
    const ids = { request_id: expect.any(String) as string, trace_id: expect.any(String) as string };
    expect(client.log.map((line) => line.fields)).toEqual([
      { method: "POST", route: "/v1/sessions", status: 201, ms: 0, ...ids, tenant: "acme" },
      { method: "POST", route: "/v1/sessions", status: 401, ms: 0, ...ids, tenant: null },
    ]);
  });
});
