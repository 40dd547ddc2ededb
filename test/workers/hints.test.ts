/**
 * Whoever is refused is told what to call, and the call works: in each state that refuses something the test takes the call
 * out of the words it was given, or from `explain`, fills in the ids, and makes it. Real routes and objects, in workerd.
 */
import { describe, expect, it } from "vitest";
import { explainView, type ExplainView } from "../../src/protocol/resources/session/explain.ts";
import { inspectionView } from "../../src/protocol/resources/operator/admin.ts";
import {
  sessionPage,
  sessionView,
  teardownView,
  type SessionView,
} from "../../src/protocol/resources/session/sessions.ts";
import { adminToken, bodyOf, expectProblem, keyOf } from "../support/workers/mooring.ts";
import { riggedSend } from "../support/workers/rigged-http.ts";
import { now, Rigged, setAhead } from "../support/workers/rigged-session.ts";

const admin = { key: adminToken };

/** A session with its client. */
class Client {
  readonly session = new Rigged();
  readonly path = `/v1/sessions/${this.session.id}`;

  async send(method: string, path: string, json?: unknown, headers: Record<string, string> = {}): Promise<Response> {
    const key = await keyOf(this.session.tenant);
    return await riggedSend(method, path, { key, headers, ...(json === undefined ? {} : { json }) });
  }

  /** Makes the first call of that method that the words name. */
  async follow(words: string, method: string, headers: Record<string, string> = {}): Promise<Response> {
    const found = new RegExp(`\\b${method} (/[^\\s,;:()]*[^\\s,;:().])(?: with (\\{[^}]*\\}))?`).exec(words);
    if (found === null) throw new Error(`no ${method} in: ${words}`);
    const [, path = "", body] = found;
    const json: unknown = body === undefined ? undefined : JSON.parse(body);
    return await this.send(method, path.replace("{id}", this.session.id), json, headers);
  }

  async explain(): Promise<ExplainView> {
    return await bodyOf(await this.send("GET", `${this.path}/explain`), explainView);
  }

  /** The call that `explain` says to make, exactly as it says it. */
  async doAsExplained(): Promise<Response> {
    const { next_call: call } = await this.explain();
    if (call === null) throw new Error("nothing is to be called");
    const key = call.access === "admin" ? adminToken : await keyOf(this.session.tenant);
    const json = call.body === null ? {} : { json: call.body };
    return await riggedSend(call.method, call.path, { key, headers: { ...call.headers }, ...json });
  }

  async started(body: Parameters<Rigged["create"]>[0] = {}): Promise<this> {
    expect(await this.session.create({ idle_timeout_seconds: null, ...body })).toMatchObject({
      value: { body: { status: "running" } },
    });
    return this;
  }

  async until(status: SessionView["status"]): Promise<SessionView> {
    return await this.session.driveTo(status, 900);
  }
}

describe("a call that is refused names the one that works", () => {
  it("paused: resume, and then the job is taken; explain says the same [REB-6]", async () => {
    const client = await new Client().started();
    expect((await client.send("POST", `${client.path}/pause`)).status).toBe(202);
    await client.until("paused");
    for (const [path, json] of [
      [`${client.path}/jobs`, { command: "true" }],
      [`${client.path}/timeout`, { timeout_seconds: 600 }],
      [`${client.path}/rebuild`, { confirm: true }],
      [`${client.path}/keepalive`, undefined],
    ] as const) {
      const { detail } = await expectProblem(await client.send("POST", path, json), "session_paused");
      expect(detail).toContain("POST /v1/sessions/{id}/resume");
    }
    const refused = await expectProblem(
      await client.send("POST", `${client.path}/jobs`, { command: "true" }),
      "session_paused",
    );
    expect((await client.follow(refused.detail, "POST")).status).toBe(202);
    await client.until("running");
    expect((await client.send("POST", `${client.path}/jobs`, { command: "true" })).status).toBe(201);
    await client.send("POST", `${client.path}/pause`);
    await client.until("paused");
    expect((await client.doAsExplained()).status).toBe(202);
    await client.until("running");
  });

  it("lost: rebuild; explain says the same; or delete [REB-6]", async () => {
    const client = await new Client().started();
    const lose = async () => {
      client.session.fate(({ op }) => (op === "renew" ? { type: "disappear" } : { type: "none" }));
      await client.until("lost");
      client.session.fate(null);
    };
    await lose();
    const refused = await expectProblem(
      await client.send("POST", `${client.path}/jobs`, { command: "true" }),
      "sandbox_lost",
    );
    expect((await client.follow(refused.detail, "POST")).status).toBe(202);
    await client.until("running");
    await lose();
    expect((await client.doAsExplained()).status).toBe(202);
    await client.until("running");
    await lose();
    const again = await expectProblem(await client.send("POST", `${client.path}/resume`, {}), "sandbox_lost");
    expect((await client.follow(again.detail, "DELETE")).status).toBe(200);
  });

  it("lost and not proven gone: the same call again at retry_at, which explain names too [REB-6] [LEA-18]", async () => {
    const client = await new Client().started();
    const generation = (await client.session.view()).generation;
    client.session.fate((call) =>
      call.generation === generation ? { type: "fail_before", effect: "unknown" } : { type: "none" },
    );
    for (let waited = 0; (await client.session.view()).status === "running" && waited < 600; waited += 10) {
      setAhead(10_000);
      await client.session.wake();
    }
    expect((await client.session.view()).status).toBe("recovering");
    const refused = await expectProblem(
      await client.send("POST", `${client.path}/rebuild`, { confirm: true }),
      "lease_not_expired",
    );
    expect((await client.follow(refused.detail, "GET")).status).toBe(200);
    const { next_call: call } = await client.explain();
    expect(call).toMatchObject({ method: "POST", path: `${client.path}/rebuild`, not_before: refused.retry_at });
    setAhead(Date.parse(refused.retry_at ?? "") - now() + 1);
    expect((await client.doAsExplained()).status).toBe(202);
    expect(await client.until("running")).toMatchObject({ ghosts: 1 });
  });

  it("parked: an operator's retry_stop as explain fills it in, once the provider is well [REB-6] [LEA-20]", async () => {
    const client = await new Client().started();
    client.session.fate(() => ({ type: "fail_before", effect: "unknown" }));
    expect((await client.send("DELETE", client.path)).status).toBe(202);
    for (let waited = 0; (await client.explain()).blocked?.code !== "parked" && waited < 200; waited += 1) {
      setAhead(20_000);
      await client.session.wake();
    }
    client.session.fate(null);
    const explained = await client.explain();
    expect(explained).toMatchObject({
      status: "terminating",
      blocked: { code: "parked" },
      next_call: { access: "admin", body: { action: "retry_stop" } },
    });
    expect((await client.doAsExplained()).status).toBe(200);
    expect((await client.until("terminated")).teardown?.verified_absent_at).not.toBeNull();
    expect((await client.explain()).next_call).toMatchObject({ method: "POST", path: "/v1/sessions" });
    // Whoever asks for what is not stuck is sent to look, and can.
    const etag = (await riggedSend("GET", `/v1/admin${client.path.slice(3)}`, admin)).headers.get("etag") ?? "";
    const not = await expectProblem(
      await riggedSend("POST", `/v1/admin${client.path.slice(3)}/resolve`, {
        ...admin,
        headers: { "if-match": etag },
        json: { action: "retry_stop", reason: "once more" },
      }),
      "not_stuck",
    );
    expect(not.detail).toContain("GET /v1/admin/sessions/{id}");
  });

  it("out of quota: the list, an end, and the same create again [REB-6] [CAP-7]", async () => {
    const client = new Client();
    const headers = { prefer: "wait=60", "idempotency-key": "eleventh" };
    const create = (key: string) => client.send("POST", "/v1/sessions", {}, { ...headers, "idempotency-key": key });
    const made = await Promise.all(Array.from({ length: 10 }, (_, index) => create(`k${index}`)));
    expect(made.map((reply) => reply.status)).toEqual(Array.from({ length: 10 }, () => 201));
    const refused = await expectProblem(await create("eleventh"), "quota_exhausted");
    const page = await bodyOf(await client.follow(refused.detail, "GET"), sessionPage);
    const [victim] = page.data;
    expect(refused.detail).toContain("DELETE /v1/sessions/{id}");
    const end = () => client.send("DELETE", `/v1/sessions/${victim?.id}`);
    await expect.poll(async () => (await end()).status).toBe(200);
    expect((await create("eleventh")).status).toBe(201);
  });

  it("ended: its receipt, and a new one [REB-6]", async () => {
    const client = await new Client().started();
    await client.send("DELETE", client.path);
    await client.until("terminated");
    const gone = await expectProblem(
      await client.send("POST", `${client.path}/jobs`, { command: "true" }),
      "session_gone",
    );
    expect(await bodyOf(await client.follow(gone.detail, "GET"), teardownView)).toMatchObject({ phase: "closed" });
    for (const [path, json] of [
      ["timeout", { timeout_seconds: 60 }],
      ["pause", undefined],
      ["resume", {}],
      ["rebuild", { confirm: true }],
    ] as const) {
      const { detail } = await expectProblem(
        await client.send("POST", `${client.path}/${path}`, json),
        "session_ended",
      );
      const made = await client.follow(detail, "POST", { prefer: "wait=60" });
      expect(made.status, path).toBe(201);
      const { id } = await bodyOf(made, sessionView);
      await client.send("DELETE", `/v1/sessions/${id}`);
    }
  });

  it("unreadable: a delete that is remembered, and an operator's abandon, until nothing runs [REB-6] [DEL-3]", async () => {
    const client = await new Client().started();
    await client.session.rows("UPDATE session SET record = '{'");
    await client.session.crash();
    const refused = await expectProblem(await client.send("GET", client.path), "unreadable_record");
    await expectProblem(await client.follow(refused.detail, "DELETE"), "unreadable_record");
    const [row] = await client.session.rows("SELECT delete_requested_at FROM session");
    expect(row?.["delete_requested_at"]).not.toBeNull();
    const found = /POST (\S+\/resolve) with (\{[^}]*\})/.exec(refused.detail);
    const [, path = "", body = ""] = found ?? [];
    expect(JSON.parse(body)).toMatchObject({ action: "abandon" });
    const resolve = async () => {
      const at = path.replace("{id}", client.session.id);
      const seen = await riggedSend("GET", at.replace("/resolve", ""), admin);
      const headers = { "if-match": seen.headers.get("etag") ?? "" };
      return await riggedSend("POST", at, { ...admin, headers, json: JSON.parse(body) as unknown });
    };
    // Its lease may not have expired yet: then the answer says when.
    const first = await resolve();
    if (first.status !== 200) {
      const { retry_at: retryAt } = await expectProblem(first, "lease_not_expired");
      setAhead(Date.parse(retryAt ?? "") - now() + 1);
      await client.session.wake();
    }
    await expect
      .poll(async () => {
        await client.session.wake();
        return client.session.processes();
      })
      .toEqual([]);
    const inspected = await bodyOf(
      await riggedSend("GET", path.replace("{id}", client.session.id).replace("/resolve", ""), admin),
      inspectionView,
    );
    expect(inspected.record).toBe("unreadable");
  });

  it("not yet running: wait by reading, then the same call is taken [REB-6]", async () => {
    const client = new Client();
    client.session.fate(({ op }) => (op === "launch" ? { type: "fail_before", effect: "none" } : { type: "none" }));
    await client.session.create({}, 0);
    const refused = await expectProblem(await client.send("POST", `${client.path}/pause`), "session_not_running");
    expect((await client.follow(refused.detail, "GET")).status).toBe(200);
    expect((await client.explain()).next_call).toMatchObject({ method: "GET", path: client.path });
    client.session.fate(null);
    await client.until("running");
    expect((await client.send("POST", `${client.path}/pause`)).status).toBe(202);
  });
});

describe("explain over HTTP", () => {
  it("is the session's own, and an operator's of any; of an unknown one it is 404", async () => {
    const client = await new Client().started({ timeout_seconds: 600 });
    const explained = await client.explain();
    expect(explained).toMatchObject({
      session_id: client.session.id,
      status: "running",
      next_clock: "end_at",
      blocked: null,
      sandboxes: [{ phase: "held", ghost: false }],
      next_call: { method: "POST", path: `${client.path}/timeout`, not_before: null },
    });
    expect(explained.clocks.find((clock) => clock.name === "end_at")?.due_at).toBe(
      (await client.session.view()).end_at,
    );
    const asAdmin = await riggedSend("GET", `/v1/admin${client.path.slice(3)}/explain`, admin);
    expect((await bodyOf(asAdmin, explainView)).session_id).toBe(client.session.id);
    const stranger = { key: await keyOf("stranger") };
    await expectProblem(await riggedSend("GET", `${client.path}/explain`, stranger), "not_found");
    await expectProblem(await riggedSend("GET", `/v1/sessions/${"z".repeat(20)}/explain`, stranger), "not_found");
  });

  it("writes nothing and asks nobody [I12]", async () => {
    const client = await new Client().started();
    const before = await client.session.rows("SELECT version, record FROM session");
    const asked = client.session.calls("observe").length + client.session.calls("renew").length;
    for (let times = 0; times < 5; times += 1) await client.explain();
    expect(await client.session.rows("SELECT version, record FROM session")).toEqual(before);
    expect(client.session.calls("observe").length + client.session.calls("renew").length).toBe(asked);
  });
});
