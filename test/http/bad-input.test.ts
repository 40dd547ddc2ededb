/** Bad input against the real objects: the table of refusals, and what it must not leave behind. */
import { listDurableObjectIds, runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { sessionView } from "../../src/protocol/resources/session/sessions.ts";
import {
  adminToken,
  bodyOf,
  expectProblem,
  keyOf,
  send,
  sessions,
  shards,
  tenants,
} from "../support/workers/mooring.ts";

const unknown = "neverexisted00000000";
const path = `/v1/sessions/${unknown}`;

const lookups: readonly (readonly [string, string, unknown?])[] = [
  ["GET", path],
  ["DELETE", path],
  ["POST", `${path}/timeout`, { timeout_seconds: 60 }],
  ["POST", `${path}/refresh`, { duration_seconds: 60 }],
  ["POST", `${path}/keepalive`],
  ["POST", `${path}/interrupt`],
  ["GET", `${path}/teardown`],
  ["GET", `${path}/events`],
  ["GET", `${path}/jobs`],
  ["POST", `${path}/jobs`, { command: "true" }],
  ["GET", `${path}/jobs/job-1`],
  ["DELETE", `${path}/jobs/job-1`],
  ["GET", `${path}/jobs/job-1/output`],
  ["POST", `${path}/jobs/job-1/stdin?end=true`],
  ["GET", `/v1/admin/sessions/${unknown}`],
  ["DELETE", `/v1/admin/sessions/${unknown}`],
  ["POST", `/v1/admin/sessions/${unknown}/resolve`, { action: "abandon", reason: "there is no such session" }],
];

describe("an id that never existed", () => {
  it("is 404 on every route, and no lookup of it writes a row or an alarm [API-12]", async () => {
    const key = await keyOf("nobody");
    for (const [method, route, json] of lookups) {
      const credential = route.startsWith("/v1/admin") ? adminToken : key;
      const call = { key: credential, headers: { "if-match": "*" }, ...(json === undefined ? {} : { json }) };
      await expectProblem(await send(method, route, call), "not_found");
    }
    expect(await stored(unknown)).toEqual({ tables: 0, alarm: null });
    // The same look at a session that was created finds both, so it would have seen them.
    const response = await send("POST", "/v1/sessions", { key, json: {} });
    const { id } = await bodyOf(response, sessionView);
    expect(await stored(id)).toEqual({
      tables: expect.toSatisfy((count: number) => count > 0),
      alarm: expect.any(Number),
    });
    await send("DELETE", `/v1/sessions/${id}`, { key });
  });
});

async function stored(id: string): Promise<{ readonly tables: number; readonly alarm: number | null }> {
  return await runInDurableObject(sessions.get(sessions.idFromName(id)), async (_instance, state) => ({
    tables: state.storage.sql.exec("SELECT name FROM sqlite_master WHERE name NOT LIKE '_cf_%'").toArray().length,
    alarm: await state.storage.getAlarm(),
  }));
}

describe("what is refused before any object is asked", () => {
  const refused: readonly (readonly [
    string,
    string,
    string,
    { readonly json?: unknown; readonly headers?: Record<string, string> },
    number,
  ])[] = [
    ["a 1 MB label", "POST", "/v1/sessions", { json: { labels: { note: "x".repeat(1_048_576) } } }, 413],
    ["a long label", "POST", "/v1/sessions", { json: { labels: { note: "x".repeat(2_000) } } }, 422],
    ["an unknown field", "POST", "/v1/sessions", { json: { terminate_reason: "operator" } }, 422],
    ["a fractional timeout", "POST", "/v1/sessions", { json: { timeout_seconds: 1.5 } }, 422],
    ["a zero timeout", "POST", `${path}/timeout`, { json: { timeout_seconds: 0 } }, 422],
    ["an odd unicode id", "GET", "/v1/sessions/%F0%9F%A6%84", {}, 404],
    ["a NUL in an id", "GET", "/v1/sessions/%00", {}, 404],
    ["an id that climbs", "GET", "/v1/sessions/..%2F..%2Fetc", {}, 404],
    ["a job id that climbs", "GET", `${path}/jobs/..%2F`, {}, 404],
    ["a wrong method", "PUT", path, {}, 405],
    ["an unknown path", "GET", "/v1/nothing", {}, 404],
    ["a forged cursor", "GET", "/v1/sessions?cursor=AAAA", {}, 422],
    ["a bad idempotency key", "POST", "/v1/sessions", { json: {}, headers: { "idempotency-key": "a b" } }, 422],
  ];

  it.each(refused)(
    "%s is a problem with a reason, and no object comes to be [SEC-4] [SEC-5] [API-5]",
    async (_what, method, route, call, status) => {
      const count = async () =>
        (await Promise.all([sessions, tenants, shards].map((each) => listDurableObjectIds(each)))).flat().length;
      const key = await keyOf("odd");
      // Whether a key is revoked only its tenant's object knows: it is asked once, by any request.
      await send("GET", "/v1/sessions", { key });
      const before = await count();
      const response = await send(method, route, { key, ...call });
      expect(response.status).toBe(status);
      expect(response.headers.get("content-type")).toBe("application/problem+json");
      expect(await response.text()).not.toMatch(/\.ts\b|node_modules| {4}at /);
      expect(await count()).toBe(before);
    },
  );

  it("a wrong key is 401 and no key opens what is another's kind [SEC-1] [SEC-2]", async () => {
    const key = await keyOf("odd");
    await expectProblem(await send("GET", path, { key: `${key}0` }), "unauthorized");
    await expectProblem(await send("GET", path, { key: adminToken }), "unauthorized");
    await expectProblem(await send("DELETE", `/v1/admin/sessions/${unknown}`, { key }), "unauthorized");
  });
});

describe("readiness in workerd", () => {
  it("is 200 when the storage objects answer", async () => {
    const response = await send("GET", "/readyz", { key: "none" });
    expect([response.status, await response.json()]).toEqual([200, { status: "ready", provider: "memory" }]);
  });
});
