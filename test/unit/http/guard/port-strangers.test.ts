/** Who opens a port's host name with no credential at all: what that may cost, before and after a session was asked. */
import { expect, it } from "vitest";
import type { SessionId, TenantId } from "../../../../src/domain/state/ids.ts";
import { signAccess } from "../../../../src/protocol/compat/e2b-access.ts";
import { httpClient, testSecrets } from "../../../support/http-client.ts";

async function front(answer: "public" | "refused") {
  const asked: string[] = [];
  const env = { SANDBOX_PROVIDER: "memory", ...testSecrets, TRAFFIC_DOMAIN: "sbx.test", RATE_LIMIT_AUTH_FAILURES: "3" };
  const client = await httpClient({
    env: { ...env, RATE_LIMIT_TRAFFIC: "5" },
    traffic: async (_caller, id) => {
      asked.push(id);
      return answer === "public"
        ? { ok: true, value: new Response("served") }
        : { ok: false, problem: { code: "unauthorized", detail: "This port is not public." } };
    },
  });
  let invented = 0;
  const open = async (address: string): Promise<number> => {
    const name = String((invented += 1)).padStart(20, "a");
    const headers = { "cf-connecting-ip": address };
    return (await client.fetch(new Request(`https://8000-${name}.sbx.test/`, { headers }))).status;
  };
  return { asked, open };
}

it("whoever invents names of sandboxes is refused before any object is asked, and nobody else is [SEC-6]", async () => {
  const { asked, open } = await front("refused");
  const statuses: number[] = [];
  for (let nth = 0; nth < 8; nth += 1) statuses.push(await open("192.0.2.1"));
  expect(statuses).toEqual([403, 403, 403, 429, 429, 429, 429, 429]);
  expect(asked.length).toBeLessThan(5);
  expect(await open("192.0.2.2")).toBe(403);
});

it("one address sends no more without a credential than a tenant may, over however many sandboxes [SEC-6]", async () => {
  const { asked, open } = await front("public");
  const statuses: number[] = [];
  for (let nth = 0; nth < 7; nth += 1) statuses.push(await open("192.0.2.1"));
  expect(statuses).toEqual([200, 200, 200, 200, 200, 429, 429]);
  expect(asked).toHaveLength(5);
});

it("E2B's token for the ports of one sandbox opens them, is not passed on, and opens no other [SEC-6] [TRA-11]", async () => {
  const id = "a".repeat(20);
  const token = (session: string, opens: "data" | "ports") =>
    signAccess("acme" as TenantId, session as SessionId, testSecrets.KEY_SIGNING_SECRET, opens);
  const seen: (readonly [string | null, string | null])[] = [];
  const client = await httpClient({
    env: { SANDBOX_PROVIDER: "memory", ...testSecrets, TRAFFIC_DOMAIN: "sbx.test" },
    traffic: async (caller, _id, { headers }) => {
      seen.push([caller === "anyone" ? caller : (caller?.tenant ?? null), headers.get("e2b-traffic-access-token")]);
      return { ok: true, value: new Response("served") };
    },
  });
  const open = async (shown: string): Promise<number> => {
    const headers = { "e2b-traffic-access-token": shown };
    return (await client.fetch(new Request(`https://8000-${id}.sbx.test/`, { headers }))).status;
  };
  expect(await open(await token(id, "ports"))).toBe(200);
  expect(await open(await token("b".repeat(20), "ports"))).toBe(401);
  expect(await open(await token(id, "data"))).toBe(401);
  expect(await open("anything")).toBe(401);
  expect(seen).toEqual([["acme", null]]);
});
