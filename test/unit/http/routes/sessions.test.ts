import { describe, expect, it } from "vitest";
import type { ListQuery } from "../../../../src/fleet/shard/shard-api.ts";
import { interruptReply, keepaliveReply, sessionPage } from "../../../../src/protocol/resources/session/sessions.ts";
import { expectProblem, httpClient, refusal, testKey, testNow } from "../../../support/http-client.ts";
import { sampleId, sampleListItem, sampleSession } from "../../../support/sample-views.ts";

const session = `/v1/sessions/${sampleId}`;

describe("create", () => {
  it("without a key makes a random id; 201 with Location and ETag once it runs", async () => {
    const client = await httpClient();
    const response = await client.send("POST", "/v1/sessions", { json: { timeout_seconds: 60 } });
    expect(response.status).toBe(201);
    const id = "minted00000000000002";
    expect(await response.json()).toMatchObject({ id, status: "running" });
    expect(response.headers.get("location")).toBe(`/v1/sessions/${id}`);
    expect(response.headers.get("etag")).toMatch(/^"1-[0-9a-f]{16}"$/);
    expect(response.headers.get("idempotency-replayed")).toBeNull();
    expect(client.calls).toEqual([
      {
        method: "create",
        object: id,
        args: [
          id,
          expect.objectContaining({ tenant: "acme", scopes: [], requestId: "minted00000000000001" }),
          { timeout_seconds: 60 },
          null,
          0,
        ],
      },
    ]);
  });

  it("takes no body at all for a create with every default", async () => {
    const client = await httpClient();
    expect((await client.send("POST", "/v1/sessions")).status).toBe(201);
    expect(client.calls[0]?.args[2]).toEqual({});
  });

  it.each([
    ["provisioning", 202],
    ["running", 201],
    ["failed", 201],
  ] as const)("a session that is %s is answered with %i", async (status, expected) => {
    const create = async () =>
      ({ ok: true, value: { etag: "1", body: sampleSession({ status }), replayed: false } }) as const;
    const client = await httpClient({ answers: { session: { create } } });
    expect((await client.send("POST", "/v1/sessions")).status).toBe(expected);
  });

  it.each([
    ["wait=30", 30_000],
    ["respond-async, wait=5", 5_000],
    ['WAIT="7"', 7_000],
    ["wait=60", 60_000],
    ["wait=3600", 60_000],
    ["wait=-1", 0],
    ["wait=soon", 0],
    ["return=minimal", 0],
  ])("Prefer: %s waits %i ms, and says what was applied", async (prefer, waitMs) => {
    const client = await httpClient();
    const response = await client.send("POST", "/v1/sessions", { headers: { prefer } });
    expect(client.calls[0]?.args[4]).toBe(waitMs);
    expect(response.headers.get("preference-applied")).toBe(waitMs === 0 ? null : `wait=${waitMs / 1_000}`);
  });
});

describe("a create with an Idempotency-Key", () => {
  const send = async (key: string, json: unknown, tenant = "acme") => {
    const client = await httpClient();
    await client.send("POST", "/v1/sessions", {
      json,
      key: await testKey({ tenant }),
      headers: { "idempotency-key": key },
    });
    const [call] = client.calls;
    return { id: call?.object ?? "", hash: String(call?.args[3]) };
  };

  it("always names the same session for one tenant and key, whatever the body [API-1]", async () => {
    const first = await send("order-1", { timeout_seconds: 60 });
    const again = await send("order-1", { timeout_seconds: 61 });
    expect(first.id).toMatch(/^[a-z0-9]{20}$/);
    expect(again.id).toBe(first.id);
    // Written down: the derivation is for ever, or a retry across a deploy would start a second sandbox.
    expect(first.id).toBe("0iig0utw6q78qjb7suq2");
  });

  it("names another session for another key or tenant [API-1] [API-3]", async () => {
    const ids = [await send("order-1", {}), await send("order-2", {}), await send("order-1", {}, "other")].map(
      ({ id }) => id,
    );
    expect(new Set(ids).size).toBe(3);
  });

  it("hashes the body by meaning: order is no difference, a value is [API-1]", async () => {
    const one = await send("k", { timeout_seconds: 60, labels: { a: "1", b: "2" } });
    const reordered = await send("k", { labels: { b: "2", a: "1" }, timeout_seconds: 60 });
    const changed = await send("k", { timeout_seconds: 60, labels: { a: "1", b: "3" } });
    expect(one.hash).toMatch(/^[0-9a-f]{64}$/);
    expect(reordered.hash).toBe(one.hash);
    expect(changed.hash).not.toBe(one.hash);
  });

  it("says when the answer is a replay [API-1]", async () => {
    const create = async () => ({ ok: true, value: { etag: "3", body: sampleSession(), replayed: true } }) as const;
    const client = await httpClient({ answers: { session: { create } } });
    const response = await client.send("POST", "/v1/sessions", { headers: { "idempotency-key": "k" } });
    expect(response.headers.get("idempotency-replayed")).toBe("true");
    expect(response.headers.get("location")).toBe(`/v1/sessions/${sampleId}`);
  });

  it.each(["terminating", "terminated"] as const)(
    "[BUG-69] is refused by name when its session is %s: a client would run its job in a session that is over",
    async (status) => {
      const body = sampleSession({ status, terminate_reason: "timeout" });
      const create = async () => ({ ok: true, value: { etag: "3", body, replayed: true } }) as const;
      const client = await httpClient({ answers: { session: { create } } });
      const response = await client.send("POST", "/v1/sessions", { headers: { "idempotency-key": "k" } });
      const { detail } = await expectProblem(response, "session_ended");
      expect(detail).toContain(sampleId);
      expect(detail).toContain("Send a fresh key");
    },
  );

  it("[BUG-69] is answered as ever while its session lives, and a first create is no replay", async () => {
    for (const [status, replayed] of [
      ["running", true],
      ["terminating", false],
    ] as const) {
      const body = sampleSession({ status });
      const create = async () => ({ ok: true, value: { etag: "3", body, replayed } }) as const;
      const client = await httpClient({ answers: { session: { create } } });
      expect((await client.send("POST", "/v1/sessions", { headers: { "idempotency-key": "k" } })).status).toBe(201);
    }
  });

  it("passes on 422 for another body and 409 with Retry-After while in flight [API-1]", async () => {
    const detail = "The same Idempotency-Key came with another body, as the session says.";
    const mismatch = await httpClient({
      answers: { session: { create: async () => refusal({ code: "idempotency_mismatch", detail }) } },
    });
    await expectProblem(await mismatch.send("POST", "/v1/sessions"), "idempotency_mismatch");
    const inFlight = await httpClient({
      answers: { session: { create: async () => refusal({ code: "idempotency_in_flight", detail }) } },
    });
    const response = await inFlight.send("POST", "/v1/sessions");
    expect(response.headers.get("retry-after")).toBe("1");
    expect((await expectProblem(response, "idempotency_in_flight")).retryable).toBe(true);
  });
});

describe("problems of a session", () => {
  const detail = "What the session said about it, in a whole sentence.";
  const get = async (problem: Parameters<typeof refusal>[0]) => {
    const client = await httpClient({ answers: { session: { read: async () => refusal(problem) } } });
    return await client.send("GET", session);
  };

  it("retry_at and Retry-After tell the same time, in whole seconds from now [FEN-1]", async () => {
    const response = await get({ code: "sandbox_lost", detail, retryAt: testNow + 90_001 });
    expect(response.headers.get("retry-after")).toBe("91");
    expect((await expectProblem(response, "sandbox_lost")).retry_at).toBe("2026-03-01T12:01:30.001Z");
    const past = await get({ code: "sandbox_lost", detail, retryAt: testNow - 5_000 });
    expect(past.headers.get("retry-after")).toBe("1");
  });

  it("quota_exhausted is 429 with limit and use, and never a Retry-After [CAP-7]", async () => {
    const response = await get({ code: "quota_exhausted", detail, limit: 10, used: 10, retryAt: testNow + 1_000 });
    expect(response.headers.get("retry-after")).toBeNull();
    expect(await expectProblem(response, "quota_exhausted")).toMatchObject({
      status: 429,
      limit: 10,
      used: 10,
      retryable: false,
    });
  });

  it("the session's own field errors are passed on [CLK-6]", async () => {
    const errors = [{ pointer: "/timeout_seconds", detail: "Allowed: 1 to 86400." }];
    const problem = await expectProblem(await get({ code: "validation_failed", detail, errors }), "validation_failed");
    expect(problem.errors).toEqual(errors);
  });
});

describe("get", () => {
  it("answers 304 to the tag it gave, and 200 to another", async () => {
    const client = await httpClient();
    const first = await client.send("GET", session);
    const etag = first.headers.get("etag") ?? "";
    expect(etag).toMatch(/^"7-[0-9a-f]{16}"$/);
    for (const tag of [etag, `W/${etag}`, `"1", ${etag}`, "*"]) {
      const response = await client.send("GET", session, { headers: { "if-none-match": tag } });
      expect(response.status).toBe(304);
      expect(await response.text()).toBe("");
      expect(response.headers.get("etag")).toBe(etag);
    }
    expect((await client.send("GET", session, { headers: { "if-none-match": '"6"' } })).status).toBe(200);
  });

  it("HEAD is GET without the body", async () => {
    const client = await httpClient();
    const response = await client.send("HEAD", session);
    expect(response.status).toBe(200);
    expect(await response.text()).toBe("");
    expect(response.headers.get("etag")).toMatch(/^"7-[0-9a-f]{16}"$/);
  });
});

describe("delete", () => {
  it("is 202 with the teardown while it lasts, 200 when proven gone [DEL-4]", async () => {
    const working = await httpClient();
    expect((await working.send("DELETE", session)).status).toBe(202);
    const gone = {
      ok: true,
      value: { session: sampleSession({ status: "terminated" }), done: true, changed: false },
    } as const;
    const done = await httpClient({ answers: { session: { delete: async () => gone } } });
    expect((await done.send("DELETE", session)).status).toBe(200);
  });
});

describe("clocks and the rest", () => {
  it("timeout and refresh hand over the seconds and answer the stored session", async () => {
    const client = await httpClient();
    const timeout = await client.send("POST", `${session}/timeout`, { json: { timeout_seconds: 86_400 } });
    const refresh = await client.send("POST", `${session}/refresh`, { json: { duration_seconds: 1 } });
    expect([timeout.status, refresh.status]).toEqual([200, 200]);
    expect(timeout.headers.get("etag")).toMatch(/^"8-[0-9a-f]{16}"$/);
    expect(await timeout.json()).toMatchObject({ end_at: sampleSession().end_at });
    expect(client.calls.map((call) => call.args.slice(1))).toEqual([
      ["timeout", 86_400],
      ["refresh", 1],
    ]);
  });

  it("keepalive answers the clocks, interrupt the jobs, teardown the receipt", async () => {
    const client = await httpClient();
    const { idle_at, expires_at } = sampleSession();
    const kept = await client.send("POST", `${session}/keepalive`);
    expect(keepaliveReply.parse(await kept.json())).toEqual({ idle_at, expires_at });
    const interrupted = await client.send("POST", `${session}/interrupt`, { json: {} });
    expect(interruptReply.parse(await interrupted.json())).toEqual({ interrupted: ["job-1"], queued: ["job-2"] });
    expect(await (await client.send("GET", `${session}/teardown`)).json()).toMatchObject({ phase: "stopping" });
  });

  it("teardown of a session that never had one is 404, not null", async () => {
    const client = await httpClient({ answers: { session: { teardown: async () => ({ ok: true, value: null }) } } });
    await expectProblem(await client.send("GET", `${session}/teardown`), "not_found");
  });
});

describe("list", () => {
  /** An index of `count` sessions, one a second, newest first, as a shard pages it. */
  const index = (count: number) => {
    const rows = Array.from({ length: count }, (_, n) =>
      sampleListItem({
        id: `session${String(n).padStart(13, "0")}`,
        created_at: new Date(testNow - n * 1_000).toISOString(),
      }),
    );
    const list = async ({ after, limit }: ListQuery) =>
      rows.filter((row) => after === null || Date.parse(row.created_at) < after.createdAt).slice(0, limit);
    return { rows, list };
  };

  it("pages without skipping or repeating, and ends with a null cursor", async () => {
    const { rows, list } = index(45);
    const client = await httpClient({ answers: { shard: { list } } });
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const query: string = cursor === null ? "" : `&cursor=${cursor}`;
      const page = sessionPage.parse(await (await client.send("GET", `/v1/sessions?limit=15${query}`)).json());
      expect(page.data).toHaveLength(15);
      seen.push(...page.data.map((item) => item.id));
      cursor = page.next_cursor;
    } while (cursor !== null);
    expect(seen).toEqual(rows.map((row) => row.id));
    expect(client.calls).toHaveLength(3);
  });

  it("asks one shard, for this tenant, with the filters and 20 by default [API-3]", async () => {
    const client = await httpClient();
    const filters =
      "status=running&label[team]=a%20b&label[x/y]=&template=python&blocked=no_capacity&created_after=2026-01-31T12:00:00%2B01:00";
    expect((await client.send("GET", `/v1/sessions?${filters}`)).status).toBe(200);
    expect(client.calls).toEqual([
      {
        method: "list",
        object: "acme",
        args: [
          {
            tenant: "acme",
            limit: 21,
            after: null,
            status: "running",
            labels: { team: "a b", "x/y": "" },
            template: "python",
            blocked: "no_capacity",
            createdAfter: Date.parse("2026-01-31T11:00:00Z"),
          },
        ],
      },
    ]);
  });

  const forged = btoa(`1:1e9:${sampleId}`).replace(/=+$/, "");
  it.each([
    ["limit=0", "query.limit"],
    ["limit=101", "query.limit"],
    ["limit=-1", "query.limit"],
    ["limit=1.5", "query.limit"],
    ["limit=", "query.limit"],
    ["limit=1&limit=2", "query.limit"],
    ["status=dead", "query.status"],
    ["blocked=tuesday", "query.blocked"],
    ["blocked=parked&blocked=unavailable", "query.blocked"],
    ["stuck=true", "query.stuck"],
    ["created_after=yesterday", "query.created_after"],
    ["created_after=2026-13-01T00:00:00Z", "query.created_after"],
    ["cursor=", "query.cursor"],
    ["cursor=x", "query.cursor"],
    ["cursor=%00", "query.cursor"],
    [`cursor=${forged}`, "query.cursor"],
    ["cursor=MTowOi4u", "query.cursor"],
    ["label[a%20b]=1", "query.label.a b"],
    ["label[]=1", "query.label."],
    [`label[a]=${"x".repeat(257)}`, "query.label.a"],
    ["label[a]=1&label[a]=2", "query.label[a]"],
    ["label=1", "query.label"],
    ["tenant=other", "query.tenant"],
  ])("?%s is 422, names the parameter and asks no shard [SEC-4]", async (query, pointer) => {
    const client = await httpClient();
    const problem = await expectProblem(await client.send("GET", `/v1/sessions?${query}`), "validation_failed");
    expect(problem.errors?.map((error) => error.pointer)).toEqual([pointer]);
    expect(client.calls).toEqual([]);
  });
});
