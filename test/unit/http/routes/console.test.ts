/** Signing in to the console: what its cookies open, and from where. */
import { describe, expect, it } from "vitest";
import { identityView, ticketView } from "../../../../src/protocol/resources/service/console.ts";
import { consolePath } from "../../../../src/protocol/console-address.ts";
import { httpClient, testKey, testNow, testSecrets } from "../../../support/http-client.ts";
import { sampleId } from "../../../support/sample-views.ts";

type Client = Awaited<ReturnType<typeof httpClient>>;
const own = { "x-mooring-console": "1", origin: "https://mooring.test", "sec-fetch-site": "same-origin" };

async function signIn(client: Client, json: object): Promise<Response> {
  return await client.send("POST", "/console/login", { key: null, json, headers: own });
}

async function cookieOf(client: Client, credential: string): Promise<string> {
  const answer = await signIn(client, { credential });
  expect(answer.status).toBe(200);
  return (answer.headers.get("set-cookie") ?? "").split(";")[0] ?? "";
}

describe("a sign-in to the console", () => {
  it("gives a cookie that no script reads and no other site sends, without the credential in it", async () => {
    const client = await httpClient();
    const answer = await signIn(client, { credential: testSecrets.ADMIN_TOKEN });
    const cookie = answer.headers.get("set-cookie") ?? "";
    expect(cookie).toMatch(/; Path=\/; Max-Age=43200; HttpOnly; SameSite=Strict; Secure$/);
    expect(cookie).not.toContain(testSecrets.ADMIN_TOKEN);
    expect(atob((cookie.split("=")[1] ?? "").split(".")[0] ?? "")).not.toContain(testSecrets.ADMIN_TOKEN);
    expect(identityView.parse(await answer.json())).toMatchObject({ tenant: null });
  });

  it("opens what its credential opens, and nothing of the other kind [SEC-2]", async () => {
    const client = await httpClient();
    const operator = await cookieOf(client, testSecrets.ADMIN_TOKEN);
    const tenant = await cookieOf(client, await testKey());
    const get = async (path: string, cookie: string) =>
      (await client.send("GET", path, { key: null, headers: { ...own, cookie } })).status;
    expect(await get("/v1/admin/sessions", operator)).toBe(200);
    expect(await get("/v1/sessions", operator)).toBe(401);
    expect(await get("/v1/sessions", tenant)).toBe(200);
    expect(await get("/v1/admin/sessions", tenant)).toBe(401);
    expect(await get("/v1/sessions", `${operator}; ${tenant}`)).toBe(200);
  });

  it.each([
    ["without the console's header", { origin: own.origin }],
    ["from a page of another origin", { ...own, origin: "https://evil.test" }],
    ["from a sandboxed page of the same host", { ...own, origin: "null" }],
    ["as another site asked for it", { ...own, "sec-fetch-site": "cross-site" }],
    ["from a neighbour of the same site", { ...own, "sec-fetch-site": "same-site" }],
  ])("counts for nothing %s", async (_, headers) => {
    const client = await httpClient();
    const cookie = await cookieOf(client, testSecrets.ADMIN_TOKEN);
    const before = client.calls.length;
    for (const method of ["GET", "DELETE"]) {
      const answer = await client.send(method, `/v1/admin/sessions/${sampleId}`, {
        key: null,
        headers: { ...headers, cookie },
      });
      expect(answer.status).toBe(401);
    }
    expect(client.calls).toHaveLength(before);
    const login = await client.send("POST", "/console/login", { key: null, json: { credential: "x" }, headers });
    expect(login.status).toBe(403);
  });

  it("ends when its secret is rotated out, and when it is changed", async () => {
    const cookie = await cookieOf(await httpClient(), testSecrets.ADMIN_TOKEN);
    const headers = { ...own, cookie };
    const rotated = await httpClient({
      env: { SANDBOX_PROVIDER: "memory", ...testSecrets, ADMIN_TOKEN: "another-admin-token-0000000000000001" },
    });
    expect((await rotated.send("GET", "/v1/admin/sessions", { key: null, headers })).status).toBe(401);
    const kept = await httpClient({
      env: {
        SANDBOX_PROVIDER: "memory",
        ...testSecrets,
        ADMIN_TOKEN: "another-admin-token-0000000000000001",
        ADMIN_TOKEN_PREVIOUS: testSecrets.ADMIN_TOKEN,
      },
    });
    expect((await kept.send("GET", "/v1/admin/sessions", { key: null, headers })).status).toBe(200);
    const forged = { ...own, cookie: `${cookie.slice(0, -1)}${cookie.endsWith("0") ? "1" : "0"}` };
    expect((await kept.send("GET", "/v1/admin/sessions", { key: null, headers: forged })).status).toBe(401);
  });

  it("by a link of the command line is good once more within its minute, and is no cookie", async () => {
    const client = await httpClient();
    const answer = await client.send("POST", "/console/ticket", { key: testSecrets.ADMIN_TOKEN });
    const { path, expires_at } = ticketView.parse(await answer.json());
    expect(Date.parse(expires_at) - testNow).toBe(60_000);
    const ticket = path.split("#")[1] ?? "";
    expect((await signIn(client, { ticket })).status).toBe(200);
    const headers = { ...own, cookie: `mooring_operator=${ticket.replace("operator.", "")}` };
    expect((await client.send("GET", "/v1/admin/sessions", { key: null, headers })).status).toBe(401);
    expect((await signIn(client, { ticket: `${ticket}0` })).status).toBe(401);
  });

  it("is taken back by signing out", async () => {
    const client = await httpClient();
    const answer = await client.send("POST", "/console/logout", { key: null, headers: own });
    expect(answer.headers.getSetCookie().map((each) => each.split(";")[0])).toEqual([
      "__Host-mooring_operator=",
      "__Host-mooring_tenant=",
    ]);
  });
});

describe("a problem names the console's page of what it is about [PEO-4]", () => {
  it.each([
    [`/v1/sessions/${sampleId}`, `/console/sessions/${sampleId}`],
    [`/v1/sessions/${sampleId}/jobs/build`, `/console/sessions/${sampleId}?tab=jobs&job=build`],
    [`/v1/admin/sessions/${sampleId}/resolve`, `/console/sessions/${sampleId}`],
    [`/v1/sessions/${sampleId}/files/archive`, `/console/sessions/${sampleId}?tab=files`],
    [`/v1/sessions/${sampleId}/ports`, `/console/sessions/${sampleId}?tab=ports`],
    [`/v1/sessions/${sampleId}/receipts`, `/console/sessions/${sampleId}?tab=receipt`],
    ["/v1/snapshots/with-dependencies", "/console/snapshots"],
    [`/api/sandbox/${sampleId}/logs`, `/console/sessions/${sampleId}`],
    ["/v1/sessions", "/console/sessions"],
    ["/v1/admin/audits/a1/apply", "/console/audits/a1"],
    ["/v1/admin/keys/acme/x", "/console/keys/acme"],
    ["/v1/admin/ledger", "/console/ledger"],
    ["/v1/webhooks", "/console/webhooks"],
    ["/v1/sessions/<script>", "/console/sessions"],
    ["/nothing", "/console"],
  ])("%s → %s", (asked, page) => {
    expect(consolePath(asked)).toBe(page);
  });

  it("as an address that can be opened as it stands", async () => {
    const client = await httpClient();
    const answer = await client.send("GET", `/v1/sessions/${sampleId}`, { key: null });
    const { instance } = (await answer.json()) as { readonly instance: string };
    expect(instance).toBe(`https://mooring.test/console/sessions/${sampleId}`);
  });
});

describe("the console's page", () => {
  it("allows nothing from elsewhere, nothing inline, and no string to become script", async () => {
    const client = await httpClient();
    const page = await client.send("GET", "/console/sessions", { key: null });
    expect(page.status).toBe(200);
    const policy = page.headers.get("content-security-policy") ?? "";
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("require-trusted-types-for 'script'");
    expect(policy).not.toContain("unsafe");
  });
});
