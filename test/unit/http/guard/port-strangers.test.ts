/** Who opens a port's host name with no credential at all: what that may cost, before and after a session was asked. */
import { expect, it } from "vitest";
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
  expect(statuses).toEqual([401, 401, 401, 429, 429, 429, 429, 429]);
  expect(asked.length).toBeLessThan(5);
  expect(await open("192.0.2.2")).toBe(401);
});

it("one address sends no more without a credential than a tenant may, over however many sandboxes [SEC-6]", async () => {
  const { asked, open } = await front("public");
  const statuses: number[] = [];
  for (let nth = 0; nth < 7; nth += 1) statuses.push(await open("192.0.2.1"));
  expect(statuses).toEqual([200, 200, 200, 200, 200, 429, 429]);
  expect(asked).toHaveLength(5);
});
