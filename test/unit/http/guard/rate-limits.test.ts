/** Who asks too often is told so, and nobody else notices: shown by counting calls, with a clock that a test moves. */
import { describe, expect, it } from "vitest";
import { addressOf, type SharedCounter, windowMs } from "../../../../src/http/guard/rate-limits.ts";
import type { Clock } from "../../../../src/runtime/clock-ids-logger.ts";
import {
  type ClientOptions,
  expectProblem,
  httpClient,
  type HttpClient,
  stillClock,
  testKey,
  testNow,
  testSecrets,
} from "../../../support/http-client.ts";
import { sampleId } from "../../../support/sample-views.ts";

const read = `/v1/sessions/${sampleId}`;
const from = (address: string) => ({ "cf-connecting-ip": address });

interface Moved {
  readonly client: HttpClient;
  /** ms */
  readonly pass: (ms: number) => void;
}

async function limited(env: Record<string, string>, options: ClientOptions = {}): Promise<Moved> {
  let now = testNow;
  const clock: Clock = { ...stillClock, now: () => now };
  const client = await httpClient({ ...options, clock, env: { SANDBOX_PROVIDER: "memory", ...testSecrets, ...env } });
  return { client, pass: (ms) => void (now += ms) };
}

/** Sorted: which of those that are sent at once is counted first is nobody's to say. */
async function statuses(count: number, send: () => Promise<Response>): Promise<readonly number[]> {
  const all = await Promise.all(Array.from({ length: count }, async () => (await send()).status));
  return all.toSorted((a, b) => a - b);
}

const tally = (codes: readonly number[], code: number) => codes.filter((each) => each === code).length;

describe("a tenant's budget", () => {
  it("is on every answer to it, success and problem alike, and on no other's [SEC-6]", async () => {
    const { client } = await limited({ RATE_LIMIT_READS: "10", RATE_LIMIT_WRITES: "5" });
    const ok = await client.send("GET", read);
    expect(ok.headers.get("ratelimit-policy")).toBe('"reads";q=10;w=10, "writes";q=5;w=10');
    expect(ok.headers.get("ratelimit")).toBe('"reads";r=9;t=10');
    const refused = await client.send("POST", "/v1/sessions", { json: { timeout_seconds: 0 } });
    expect(refused.status).toBe(422);
    expect(refused.headers.get("ratelimit")).toBe('"writes";r=4;t=10');
    for (const response of [
      await client.send("GET", "/healthz"),
      await client.send("GET", read, { key: "mrg_nobody" }),
      await client.send("GET", "/v1/admin/stats"),
    ]) {
      expect(response.headers.get("ratelimit")).toBeNull();
      expect(response.headers.get("ratelimit-policy")).toBeNull();
    }
  });

  it("that is used up answers 429 with the time to wait, reaches no object, and is whole again after it [SEC-6] [API-5]", async () => {
    const { client, pass } = await limited({ RATE_LIMIT_READS: "3", RATE_LIMIT_WRITES: "5" });
    for (let left = 2; left >= 0; left -= 1) {
      expect((await client.send("GET", read)).headers.get("ratelimit")).toBe(`"reads";r=${left};t=10`);
    }
    pass(4_000);
    const before = client.calls.length;
    const response = await client.send("GET", read);
    expect(response.headers.get("retry-after")).toBe("6");
    expect(response.headers.get("ratelimit")).toBe('"reads";r=0;t=6');
    const problem = await expectProblem(response, "rate_limited");
    expect(problem).toMatchObject({ retryable: true, limit: 3 });
    expect(client.calls).toHaveLength(before);
    // Writes have a budget of their own.
    expect((await client.send("POST", `${read}/keepalive`)).status).toBe(200);
    pass(6_000);
    expect((await client.send("GET", read)).status).toBe(200);
  });

  it("refuses a create without using up its Idempotency-Key: the same request is made later [SEC-6] [API-1]", async () => {
    const { client, pass } = await limited({ RATE_LIMIT_WRITES: "2" });
    const create = () => client.send("POST", "/v1/sessions", { headers: { "idempotency-key": "build-42" }, json: {} });
    await statuses(2, () => client.send("POST", `${read}/keepalive`));
    const asked = client.calls.length;
    for (let tries = 0; tries < 5; tries += 1) await expectProblem(await create(), "rate_limited");
    expect(client.calls).toHaveLength(asked);
    pass(windowMs);
    const made = await create();
    expect([made.status, made.headers.get("idempotency-replayed")]).toEqual([201, null]);
    expect(client.calls.slice(asked).map((call) => call.method)).toEqual(["create"]);
  });

  it("flooded by one tenant leaves another's reads untouched: each is one call to its own session, none is refused [SEC-6]", async () => {
    const { client } = await limited({ RATE_LIMIT_READS: "50", RATE_LIMIT_WRITES: "50" });
    const calm = await testKey({ tenant: "calm" });
    // The list of revoked keys is read once for each tenant; what is counted begins after it.
    await client.send("GET", read, { key: calm });
    await client.send("GET", read);
    const before = client.calls.length;
    const flood = statuses(2_000, () => client.send("GET", read));
    const calmly = await statuses(40, () => client.send("GET", "/v1/sessions", { key: calm }));
    const flooded = await flood;
    expect(calmly.every((status) => status === 200)).toBe(true);
    expect([tally(flooded, 200), tally(flooded, 429)]).toEqual([49, 1_951]);
    const made = client.calls.slice(before);
    expect(made.filter((call) => call.object === "calm").map((call) => call.method)).toEqual(Array(40).fill("list"));
    expect(made).toHaveLength(40 + 49);
  });

  it("`off` is none: nothing is counted and no header says otherwise", async () => {
    const { client } = await limited({ RATE_LIMIT_READS: "off", RATE_LIMIT_WRITES: "5" });
    expect(tally(await statuses(500, () => client.send("GET", read)), 200)).toBe(500);
    const response = await client.send("GET", read);
    expect([response.headers.get("ratelimit"), response.headers.get("ratelimit-policy")]).toEqual([null, null]);
    const write = await client.send("POST", `${read}/keepalive`);
    expect(write.headers.get("ratelimit-policy")).toBe('"writes";q=5;w=10');
  });

  it("is not lost by a clock that goes back", async () => {
    const { client, pass } = await limited({ RATE_LIMIT_READS: "1" });
    await client.send("GET", read);
    pass(-3_600_000);
    expect((await client.send("GET", read)).status).toBe(200);
    expect((await client.send("GET", read)).status).toBe(429);
  });
});

describe("the platform's counter", () => {
  const counter = (decide: (key: string) => boolean | Error): SharedCounter & { readonly keys: string[] } => {
    const keys: string[] = [];
    return {
      keys,
      limit: async ({ key }) => {
        keys.push(key);
        const decided = decide(key);
        if (decided instanceof Error) throw decided;
        return { success: decided };
      },
    };
  };

  it("refuses what all isolates together sent too often, and is then left alone for the window [SEC-6]", async () => {
    const reads = counter((key) => key !== "acme");
    const { client, pass } = await limited({}, { counters: { reads } });
    const response = await client.send("GET", read);
    expect(response.headers.get("ratelimit")).toBe('"reads";r=0;t=10');
    await expectProblem(response, "rate_limited");
    await statuses(20, () => client.send("GET", read));
    expect(reads.keys).toEqual(["acme"]);
    expect((await client.send("GET", read, { key: await testKey({ tenant: "calm" }) })).status).toBe(200);
    pass(windowMs);
    await client.send("GET", read);
    expect(reads.keys).toEqual(["acme", "calm", "acme"]);
  });

  it("out of order turns nobody away: the isolate's own count stands [SEC-6]", async () => {
    const reads = counter(() => new Error("the binding is broken"));
    const { client } = await limited({ RATE_LIMIT_READS: "3" }, { counters: { reads } });
    expect(await statuses(5, () => client.send("GET", read))).toEqual([200, 200, 200, 429, 429]);
    expect(client.log.some((line) => line.message.includes("rate limit"))).toBe(true);
  });
});

describe("failed authentications", () => {
  const wrong = "an-admin-token-that-somebody-guessed";

  it("of one address are limited; a valid API key from there still works, and other addresses do not notice [SEC-6] [SEC-1]", async () => {
    const { client } = await limited({ RATE_LIMIT_AUTH_FAILURES: "3" });
    const guess = (address: string) => client.send("GET", read, { key: wrong, headers: from(address) });
    expect(await statuses(5, () => guess("203.0.113.7"))).toEqual([401, 401, 401, 429, 429]);
    const late = await guess("203.0.113.7");
    expect(late.headers.get("retry-after")).toBe("10");
    await expectProblem(late, "rate_limited");
    expect((await client.send("GET", read, { headers: from("203.0.113.7") })).status).toBe(200);
    expect((await guess("203.0.113.8")).status).toBe(401);
  });

  it("stop guesses at the admin token before it is compared: then even the right one waits [SEC-6] [SEC-1]", async () => {
    const { client, pass } = await limited({ RATE_LIMIT_AUTH_FAILURES: "3" });
    const admin = (key?: string) =>
      client.send("GET", "/v1/admin/stats", { headers: from("203.0.113.7"), ...(key === undefined ? {} : { key }) });
    expect(await statuses(3, () => admin(wrong))).toEqual([401, 401, 401]);
    expect((await admin()).status).toBe(429);
    pass(windowMs);
    expect((await admin()).status).toBe(200);
  });

  it("are counted by network where an address can roam in one", () => {
    const of = (address: string) => addressOf(new Request("https://mooring.test/", { headers: from(address) }));
    expect(of("2001:db8:1:2::1")).toBe(of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    expect(of("2001:db8::1")).toBe("2001:db8:0:0::/64");
    expect(of("2001:db8:1:3::1")).not.toBe(of("2001:db8:1:2::1"));
    expect(of("203.0.113.7")).toBe("203.0.113.7");
    expect(addressOf(new Request("https://mooring.test/"))).toBeNull();
  });
});
