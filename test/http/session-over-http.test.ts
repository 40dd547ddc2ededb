/** The main job over HTTP, in workerd, with the memory provider. Each test has a tenant of its own. */
import { evictDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { eventPage } from "../../src/protocol/resources/session/events.ts";
import { jobView } from "../../src/protocol/resources/session/jobs.ts";
import {
  type SessionView,
  sessionPage,
  sessionView,
  teardownView,
} from "../../src/protocol/resources/session/sessions.ts";
import { parseSse } from "../support/sse.ts";
import { adminToken, bodyOf, expectProblem, keyOf, send, sessions } from "../support/workers/mooring.ts";

const wait = { prefer: "wait=60" };

async function running(
  tenant: string,
  json: unknown = {},
): Promise<{ key: string; path: string; session: SessionView }> {
  const key = await keyOf(tenant);
  const response = await send("POST", "/v1/sessions", { key, json, headers: wait });
  const session = await bodyOf(response, sessionView);
  expect([response.status, session.status, session.failure]).toEqual([201, "running", null]);
  return { key, path: `/v1/sessions/${session.id}`, session };
}

/** Deletes until it is proven gone: each DELETE is idempotent, so the client may simply repeat it. */
async function deletedSession(path: string, key: string): Promise<SessionView> {
  let last: SessionView | null = null;
  const status = async () => {
    const response = await send("DELETE", path, { key });
    last = await bodyOf(response, sessionView);
    if (response.status === 202) expect(last.teardown).not.toBeNull();
    return response.status;
  };
  await expect.poll(status, { interval: 100 }).toBe(200);
  if (last === null) throw new Error("no answer");
  return last;
}

describe("a session over HTTP", () => {
  it("runs a job, streams it, ends, and leaves a receipt [API-11] [DEL-1] [DEL-4] [DEL-7]", async () => {
    const { key, path } = await running("acme");
    const created = await send("POST", `${path}/jobs`, { key, json: { id: "hello", command: "echo hé 🦀" } });
    expect([created.status, created.headers.get("location")]).toEqual([201, `${path}/jobs/hello`]);
    const stream = parseSse(await (await send("GET", `${path}/jobs/hello/output`, { key })).text());
    const text = stream.filter((each) => each.event === "output").map((each) => JSON.parse(each.data).text as string);
    expect(text.join("")).toBe("hé 🦀\n");
    expect(JSON.parse(stream.at(-1)?.data ?? "")).toEqual({ state: "succeeded", exit_code: 0, reason: "finished" });
    const raw = await send("GET", `${path}/jobs/hello/output?offset=4`, {
      key,
      headers: { accept: "application/octet-stream" },
    });
    const bytes = new TextDecoder().decode(await raw.arrayBuffer());
    expect([raw.headers.get("mooring-offset"), bytes]).toEqual(["4", "🦀\n"]);

    const gone = await deletedSession(path, key);
    expect(gone).toMatchObject({ status: "terminated", terminate_reason: "requested", expires_at: null });
    const receipt = await bodyOf(await send("GET", `${path}/teardown`, { key }), teardownView);
    expect(receipt).toMatchObject({ phase: "closed", parked: false, asserted_absent_at: null });
    expect(receipt.verified_absent_at).not.toBeNull();
    expect(receipt.observations.filter((each) => each.answer === "absent").length).toBeGreaterThanOrEqual(2);
    // The end and the tail stay readable after the sandbox is gone.
    const job = await bodyOf(await send("GET", `${path}/jobs/hello`, { key }), jobView);
    expect(job).toMatchObject({ state: "succeeded", exit_code: 0, output_tail: "hé 🦀\n" });
    await expectProblem(await send("POST", `${path}/jobs`, { key, json: { command: "true" } }), "session_gone");
  });

  it("tells one end_at in create, get and events, moved only by timeout and refresh [CLK-1] [CLK-5]", async () => {
    const { key, path, session } = await running("clocks", { timeout_seconds: 600 });
    const read = async () => await bodyOf(await send("GET", path, { key }), sessionView);
    expect((await read()).end_at).toBe(session.end_at);
    await send("POST", `${path}/keepalive`, { key });
    expect((await read()).end_at).toBe(session.end_at);
    const moved = await bodyOf(
      await send("POST", `${path}/timeout`, { key, json: { timeout_seconds: 60 } }),
      sessionView,
    );
    expect(Date.parse(moved.end_at)).toBeLessThan(Date.parse(session.end_at));
    // Extends only: 30 s from now is less than what there is.
    const kept = await bodyOf(
      await send("POST", `${path}/refresh`, { key, json: { duration_seconds: 30 } }),
      sessionView,
    );
    expect(kept.end_at).toBe(moved.end_at);
    expect(await read()).toMatchObject({ end_at: moved.end_at, created_at: session.created_at });
    await expectProblem(
      await send("POST", `${path}/timeout`, { key, json: { timeout_seconds: 86_401 } }),
      "validation_failed",
    );
    expect((await read()).end_at).toBe(moved.end_at);
    await deletedSession(path, key);
  });

  it("is listed to its tenant only, and answers 404 to every other [API-3]", async () => {
    const { key, path, session } = await running("owner", { labels: { team: "a b" } });
    const other = await keyOf("stranger");
    const attempts: readonly (readonly [string, string, unknown?])[] = [
      ["GET", ""],
      ["DELETE", ""],
      ["POST", "/timeout", { timeout_seconds: 60 }],
      ["POST", "/refresh", { duration_seconds: 60 }],
      ["POST", "/keepalive"],
      ["POST", "/interrupt"],
      ["GET", "/teardown"],
      ["GET", "/events"],
      ["GET", "/jobs"],
      ["POST", "/jobs", { command: "true" }],
      ["GET", "/jobs/hello"],
      ["DELETE", "/jobs/hello"],
      ["GET", "/jobs/hello/output"],
      ["POST", "/jobs/hello/stdin?end=true"],
    ];
    for (const [method, rest, json] of attempts) {
      await expectProblem(
        await send(method, `${path}${rest}`, { key: other, ...(json === undefined ? {} : { json }) }),
        "not_found",
      );
    }
    expect((await bodyOf(await send("GET", path, { key }), sessionView)).status).toBe("running");
    const listed = async (credential: string) =>
      (await bodyOf(await send("GET", "/v1/sessions?label[team]=a%20b", { key: credential }), sessionPage)).data.map(
        ({ id }) => id,
      );
    // The index is derived: it follows within moments.
    await expect.poll(() => listed(key)).toEqual([session.id]);
    expect(await listed(other)).toEqual([]);
    await deletedSession(path, key);
  });

  it("has an ordered history that names who did what [API-6] [SEC-7]", async () => {
    const { key, path } = await running("history");
    await deletedSession(path, key);
    const { data } = await bodyOf(await send("GET", `${path}/events?limit=100`, { key }), eventPage);
    expect(data.map((event) => event.sequence)).toEqual(data.map((_event, index) => index + 1));
    expect(data.some((event) => event.actor === "client" && event.to === "terminating")).toBe(true);
    const rest = await bodyOf(await send("GET", `${path}/events?after=${data.length - 1}`, { key }), eventPage);
    expect(rest.data).toEqual(data.slice(-1));
  });

  it("is ended by an admin as operator [SEC-2]", async () => {
    const { key, path, session } = await running("admin-ends");
    const admin = `/v1/admin/sessions/${session.id}`;
    await expectProblem(await send("DELETE", admin, { key }), "unauthorized");
    expect((await send("DELETE", admin, { key: adminToken })).status).toBe(202);
    expect(await deletedSession(path, key)).toMatchObject({ status: "terminated", terminate_reason: "operator" });
  });
});

describe("a create with an Idempotency-Key", () => {
  it("whose reply was lost is the same session, launched once, also after an eviction [API-1]", async () => {
    const key = await keyOf("repeats");
    const headers = { ...wait, "idempotency-key": "order-1" };
    const json = { timeout_seconds: 600, labels: { a: "1", b: "2" } };
    const first = await send("POST", "/v1/sessions", { key, json, headers });
    const one = await bodyOf(first, sessionView);
    expect([first.status, first.headers.get("idempotency-replayed")]).toEqual([201, null]);
    await evictDurableObject(sessions.get(sessions.idFromName(one.id)));
    const again = await send("POST", "/v1/sessions", {
      key,
      json: { labels: { b: "2", a: "1" }, timeout_seconds: 600 },
      headers,
    });
    const two = await bodyOf(again, sessionView);
    expect([again.status, again.headers.get("idempotency-replayed")]).toEqual([201, "true"]);
    expect([two.id, two.generation, two.created_at]).toEqual([one.id, one.generation, one.created_at]);
    const other = await send("POST", "/v1/sessions", { key, json: { timeout_seconds: 601 }, headers });
    await expectProblem(other, "idempotency_mismatch");
    await deletedSession(`/v1/sessions/${one.id}`, key);
  });

  it("sent eight times at once is one session with one generation [API-1]", async () => {
    const key = await keyOf("eight-at-once");
    const headers = { ...wait, "idempotency-key": "order-1" };
    const replies = await Promise.all(
      Array.from({ length: 8 }, () => send("POST", "/v1/sessions", { key, json: {}, headers })),
    );
    const ids = new Set<string>();
    for (const reply of replies) {
      if (reply.status === 409) await expectProblem(reply, "idempotency_in_flight");
      else ids.add((await bodyOf(reply, sessionView)).id);
    }
    expect(ids.size).toBe(1);
    const [id] = ids;
    const path = `/v1/sessions/${id}`;
    const { data } = await bodyOf(await send("GET", `${path}/events?limit=100`, { key }), eventPage);
    const generations = new Set(data.map((event) => event.generation).filter((each) => each !== null));
    expect(generations.size).toBe(1);
    await deletedSession(path, key);
  });
});

describe("quota over HTTP", () => {
  it("over the tenant's cap is 429 with the limit and the use, and leaves nothing behind [CAP-7]", async () => {
    const key = await keyOf("capped");
    const replies = await Promise.all(
      Array.from({ length: 12 }, () => send("POST", "/v1/sessions", { key, headers: wait })),
    );
    const refused = replies.filter((reply) => reply.status === 429);
    expect(refused).toHaveLength(2);
    for (const reply of refused) {
      expect(reply.headers.get("retry-after")).toBeNull();
      expect(await expectProblem(reply, "quota_exhausted")).toMatchObject({ limit: 10, used: 10 });
    }
    const granted = replies.filter((reply) => reply.status === 201);
    expect(granted).toHaveLength(10);
    const ids = await Promise.all(granted.map(async (reply) => (await bodyOf(reply, sessionView)).id));
    await Promise.all(ids.map((id) => deletedSession(`/v1/sessions/${id}`, key)));
    // The places are free again, because every sandbox is proven gone [CAP-6].
    const { path } = await running("capped");
    await deletedSession(path, key);
  });
});
