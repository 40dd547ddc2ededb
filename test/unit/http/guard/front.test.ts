/** What a stranger meets first: the root, refusals without a key, pages of other origins, and words about wrong fields. */
import { describe, expect, it } from "vitest";
import { e2bFormOf, signApiKey } from "../../../../src/protocol/api-keys.ts";
import { nearestName } from "../../../../src/protocol/nearest-name.ts";
import { expectProblem, httpClient, testSecrets } from "../../../support/http-client.ts";
import { sampleId } from "../../../support/sample-views.ts";

const session = `/v1/sessions/${sampleId}`;
const env = { SANDBOX_PROVIDER: "memory", ...testSecrets };

describe("GET /", () => {
  it("[BUG-70] says where to go, and sends a browser to the docs", async () => {
    const client = await httpClient();
    const plain = await client.send("GET", "/", { key: null });
    expect(await plain.json()).toMatchObject({ name: "Mooring", docs: "/docs", openapi: "/openapi.json" });
    const browser = await client.send("GET", "/", { key: null, headers: { accept: "text/html,*/*" } });
    expect([browser.status, browser.headers.get("location")]).toEqual([302, "/docs"]);
  });
});

describe("a 401", () => {
  const other = () =>
    signApiKey({ tenant: "acme", scopes: [], issuedAt: 0, nonce: "abcdefghij" }, "another-secret-0123456789");
  const detail = async (headers: Record<string, string>, path = session) => {
    const client = await httpClient();
    return (await expectProblem(await client.send("GET", path, { key: null, headers }), "unauthorized")).detail;
  };

  it("[BUG-68] says which of its causes it is, and where keys come from", async () => {
    const told = {
      none: await detail({}),
      scheme: await detail({ authorization: "Basic YTpi" }),
      noKey: await detail({ authorization: "Bearer hello" }),
      wrongKey: await detail({ authorization: `Bearer ${await other()}` }),
      e2b: await detail({ authorization: `Bearer ${e2bFormOf(await other())}` }),
    };
    expect(told.none).toMatch(/carried no credential/);
    expect(told.scheme).toMatch(/not of the form/);
    expect(told.noKey).toMatch(/is no API key/);
    expect(told.wrongKey).toMatch(/not valid here/);
    expect(told.e2b).toBe(told.wrongKey);
    for (const each of Object.values(told)) expect(each).toContain("npm run keys");
    const admin = await detail({ authorization: `Bearer ${await other()}` }, "/v1/admin/stats");
    expect(admin).toMatch(/needs the admin token, and the request carried an API key/);
  });

  it("[BUG-61] a key in E2B's form opens what the key opens", async () => {
    const order = { tenant: "acme", scopes: [], issuedAt: 1_000, nonce: "abcdefghij" } as const;
    const key = await signApiKey(order, testSecrets.KEY_SIGNING_SECRET);
    const form = e2bFormOf(key);
    expect(form).toMatch(/^e2b_[0-9a-f]+$/);
    const client = await httpClient();
    expect((await client.send("GET", session, { key: form })).status).toBe(200);
    await expectProblem(await client.send("GET", session, { key: `${form.slice(0, -1)}g` }), "unauthorized");
    const turned = form.endsWith("0") ? "1" : "0";
    await expectProblem(await client.send("GET", session, { key: form.slice(0, -1) + turned }), "unauthorized");
  });
});

describe("a page of another origin", () => {
  const page = { origin: "https://app.example.com" };
  const preflight = {
    ...page,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization",
  };

  it("[BUG-67] is not let in unless CORS_ORIGINS names it", async () => {
    const off = await httpClient();
    expect((await off.send("OPTIONS", session, { key: null, headers: preflight })).status).toBe(405);
    expect((await off.send("GET", session, { headers: page })).headers.has("access-control-allow-origin")).toBe(false);
    const others = await httpClient({ env: { ...env, CORS_ORIGINS: "https://other.example.com" } });
    expect((await others.send("OPTIONS", session, { key: null, headers: preflight })).status).toBe(405);
  });

  it("[BUG-67] that is named may ask, read the answers and their headers, and never with cookies", async () => {
    const client = await httpClient({
      env: { ...env, CORS_ORIGINS: "https://x.example.com, https://app.example.com" },
    });
    const allowed = await client.fetch(
      new Request(`https://mooring.test${session}`, { method: "OPTIONS", headers: preflight }),
    );
    expect(allowed.status).toBe(204);
    expect(allowed.headers.get("access-control-allow-origin")).toBe(page.origin);
    expect(allowed.headers.get("access-control-allow-headers")).toBe("authorization");
    const request = (path: string) => client.fetch(new Request(`https://mooring.test${path}`, { headers: page }));
    const refused = await request(session);
    expect(refused.status).toBe(401);
    expect(refused.headers.get("access-control-allow-origin")).toBe(page.origin);
    expect(refused.headers.get("access-control-expose-headers")).toContain("ETag");
    expect(refused.headers.has("access-control-allow-credentials")).toBe(false);
    expect((await request("/v1/admin/stats")).headers.has("access-control-allow-origin")).toBe(false);
  });

  it("[BUG-67] a value that is no origin refuses the start", async () => {
    const client = await httpClient({ env: { ...env, CORS_ORIGINS: "app.example.com" } });
    const asked = await client.send("GET", "/readyz", { key: testSecrets.ADMIN_TOKEN });
    expect((await expectProblem(asked, "unavailable")).detail).toContain("CORS_ORIGINS");
  });
});

describe("words about a wrong field", () => {
  const refusal = async (path: string, json: unknown) => {
    const client = await httpClient();
    const problem = await expectProblem(await client.send("POST", path, { json }), "validation_failed");
    return Object.fromEntries((problem.errors ?? []).map(({ pointer, detail }) => [pointer, detail]));
  };

  it("[BUG-65] say what was expected and what came, and `required` only of what is missing", async () => {
    const wrong = await refusal("/v1/sessions", { labels: "team=a", auto_resume: "yes", on_timeout: "pauze" });
    expect(wrong["/labels"]).toBe("Expected an object with named values, but this is text.");
    expect(wrong["/auto_resume"]).toBe("Expected true or false, but this is text.");
    expect(wrong["/on_timeout"]).toMatch(/Did you mean `pause`\?/);
    expect(Object.values(await refusal(`${session}/timeout`, {}))[0]).toMatch(/^This field is required\./);
    expect(Object.values(await refusal(`${session}/timeout`, { timeout_seconds: "60" }))[0]).toMatch(/text/);
  });

  it("[BUG-65] name the field that was meant", async () => {
    const meant = await refusal("/v1/sessions", { timeout: 60, idleTimeoutSeconds: 5, lables: {}, zzz: 1 });
    expect(meant["/timeout"]).toContain("Did you mean `timeout_seconds`?");
    expect(meant["/idleTimeoutSeconds"]).toContain("Did you mean `idle_timeout_seconds`?");
    expect(meant["/lables"]).toContain("Did you mean `labels`?");
    expect(meant["/zzz"]).toBe("This field is not known here. Remove it.");
    expect(nearestName("a", ["ab", "labels"])).toBeNull();
  });
});

describe("a strong ETag", () => {
  it("[BUG-60] changes with `idle_at`, and the version in it is what If-Match compares", async () => {
    const view = async (idleAt: string | null) => {
      const client = await httpClient({ answers: { session: { timeout: async () => tagged(idleAt) } } });
      const changed = await client.send("POST", `${session}/timeout`, { json: { timeout_seconds: 60 } });
      return changed.headers.get("etag");
    };
    const { sampleSession } = await import("../../../support/sample-views.ts");
    const tagged = (idle_at: string | null) =>
      ({ ok: true, value: { etag: "7", body: { ...sampleSession(), idle_at } } }) as const;
    const tags = [await view(null), await view("2026-03-01T12:15:00.000Z"), await view(null)];
    expect(tags[0]).toBe(tags[2]);
    expect(tags[0]).not.toBe(tags[1]);
    expect(tags[0]).toMatch(/^"7-/);
  });
});

describe("streams", () => {
  it("[BUG-40] ask each proxy to pass them on as they come", async () => {
    const client = await httpClient();
    for (const [path, accept] of [
      [`${session}/jobs/job-1/output`, "text/event-stream"],
      [`${session}/jobs/job-1/output`, "application/octet-stream"],
      [`${session}/events`, "text/event-stream"],
    ] as const) {
      const { headers, body } = await client.send("GET", path, { headers: { accept } });
      expect([path, headers.get("x-accel-buffering")]).toEqual([path, "no"]);
      expect(headers.get("cache-control")).toContain("no-transform");
      await body?.cancel();
    }
  });
});
