/**
 * Clients that repeat themselves, all talk at once, hang up in the middle and never read, over real HTTP to workerd with
 * real processes behind it. Afterwards everything is as if they had behaved: one session for each key, nothing half done,
 * nothing left running.
 */
import { request, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { readdir, readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Api } from "../../../scripts/stack/api.ts";
import { eventPage, type EventView } from "../../../src/protocol/resources/session/events.ts";
import { jobView } from "../../../src/protocol/resources/session/jobs.ts";
import { ledgerView } from "../../../src/protocol/resources/operator/fleet.ts";
import { problemBody } from "../../../src/protocol/problem.ts";
import { sessionPage, sessionView, type SessionView } from "../../../src/protocol/resources/session/sessions.ts";
import { calmVars, temporaryStack, type TemporaryStack } from "../../support/temporary-stack.ts";
import { until } from "../../support/until.ts";

let world: TemporaryStack;
let key: string;
let api: Api;
beforeAll(async () => {
  // The budget of requests is somebody else's test.
  const vars = { ...calmVars, RATE_LIMIT_READS: "off", RATE_LIMIT_WRITES: "off" };
  world = await temporaryStack({ vars });
  key = await world.stack.apiKey("e2e");
  api = new Api(world.stack.url, key, new AbortController().signal);
}, 300_000);
afterAll(() => world?.stop());

async function send(
  method: string,
  path: string,
  json?: unknown,
  headers: Record<string, string> = {},
): Promise<Response> {
  return await fetch(`${world.stack.url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      ...(json === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(json === undefined ? {} : { body: JSON.stringify(json) }),
  });
}

async function running(order: Parameters<Api["create"]>[0] = {}): Promise<SessionView> {
  const { id } = await api.create({ idle_timeout_seconds: 600, ...order });
  await until(`session ${id} runs`, async () => (await api.session(id)).status === "running");
  return await api.session(id);
}

async function gone(id: string): Promise<void> {
  await api.delete(id);
  await until(`session ${id} is gone`, async () => (await api.session(id)).status === "terminated");
}

async function historyOf(id: string): Promise<readonly EventView[]> {
  const all: EventView[] = [];
  for (let after: number | null = 0; after !== null;) {
    const page = eventPage.parse(
      await (await send("GET", `/v1/sessions/${id}/events?after=${after}&limit=100`)).json(),
    );
    all.push(...page.data);
    after = page.next_after;
  }
  return all;
}

describe("requests that all come at once", () => {
  it("50 timeouts: end_at is that of the last one stored, and no other field changed [CLK-3]", async () => {
    const before = await running({ timeout_seconds: 600 });
    const replies = await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        const reply = await send("POST", `/v1/sessions/${before.id}/timeout`, { timeout_seconds: 1_000 + index });
        expect(reply.status).toBe(200);
        const order = Number(/\d+/.exec(reply.headers.get("etag") ?? "")?.[0]);
        return { order, endAt: sessionView.parse(await reply.json()).end_at };
      }),
    );
    const last = replies.toSorted((a, b) => a.order - b.order).at(-1);
    const after = await api.session(before.id);
    expect(after.end_at).toBe(last?.endAt);
    const { end_at, refreshed_at, idle_at, expires_at, ...rest } = before;
    expect([end_at, refreshed_at, idle_at, expires_at]).toHaveLength(4);
    expect(after).toMatchObject(rest);
    // Each was stored, one after the other, as it was answered.
    const told = (await historyOf(before.id)).filter((event) => event.type === "timeout_set");
    expect(told.map((event) => event.facts["end_at"])).toEqual(
      replies.toSorted((a, b) => a.order - b.order).map((reply) => reply.endAt),
    );
    await gone(before.id);
  });

  it("100 creates with one key: one session, one sandbox, and every answer says so [API-1]", async () => {
    const order = { timeout_seconds: 600, labels: { of: "hundred" } };
    const headers = { "idempotency-key": "hundred-at-once", prefer: "wait=20" };
    const replies = await Promise.all(Array.from({ length: 100 }, () => send("POST", "/v1/sessions", order, headers)));
    const made = replies.filter((reply) => reply.status === 201 || reply.status === 202);
    for (const reply of replies.filter((each) => !made.includes(each))) {
      expect(reply.status).toBe(409);
      expect(problemBody.parse(await reply.json()).code).toBe("idempotency_in_flight");
    }
    const sessions = await Promise.all(made.map(async (reply) => sessionView.parse(await reply.json())));
    const [first] = sessions;
    if (first === undefined) throw new Error("none was answered with a session");
    expect(new Set(sessions.map((each) => `${each.id} ${each.created_at}`)).size).toBe(1);
    expect(made.filter((reply) => reply.headers.get("idempotency-replayed") === null)).toHaveLength(1);
    // Also long after, and never for another body.
    const again = await send("POST", "/v1/sessions", order, headers);
    expect([again.status, again.headers.get("idempotency-replayed")]).toEqual([201, "true"]);
    expect((await send("POST", "/v1/sessions", { timeout_seconds: 601 }, headers)).status).toBe(422);
    const generations = (await historyOf(first.id)).flatMap((event) => event.generation ?? []);
    expect(new Set(generations).size).toBe(1);
    const wrappers = (await world.stack.residue()).filter((each) => each.kind === "wrapper");
    expect(wrappers.filter((each) => each.session_id === first.id)).toHaveLength(1);
    await gone(first.id);
  });
});

/** Sends `share` of the request's bytes and hangs up, without reading anything. */
async function cut(
  method: string,
  path: string,
  json: unknown,
  share: number,
  headers: Record<string, string> = {},
): Promise<void> {
  const body = json === undefined ? "" : JSON.stringify(json);
  const { hostname, port } = new URL(world.stack.url);
  const head = [
    `${method} ${path} HTTP/1.1`,
    `host: ${hostname}:${port}`,
    `authorization: Bearer ${key}`,
    `content-length: ${Buffer.byteLength(body)}`,
    ...(json === undefined ? [] : ["content-type: application/json"]),
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ].join("\r\n");
  const bytes = Buffer.from(`${head}\r\n\r\n${body}`);
  // Half of a request with a body ends inside the body; of one without, inside its head.
  const end =
    share === 1 ? bytes.length : body === "" ? Math.floor(bytes.length / 2) : bytes.length - Math.ceil(body.length / 2);
  await new Promise<void>((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => {
      socket.write(bytes.subarray(0, end), () => socket.destroy());
    });
    socket.once("error", reject);
    socket.once("close", () => resolve());
  });
}

describe("a client that hangs up", () => {
  it("in the middle of each call leaves nothing half done, and a repeat finds what the first one did [API-2] [API-1] [FEN-7] [FEN-10]", async () => {
    const session = await running({ timeout_seconds: 3_600 });
    const path = `/v1/sessions/${session.id}`;
    const command = "echo once >> ran.txt; sleep 1";
    const calls: readonly (readonly [string, string, unknown?])[] = [
      ["GET", path],
      ["GET", "/v1/sessions"],
      ["POST", `${path}/timeout`, { timeout_seconds: 3_000 }],
      ["POST", `${path}/refresh`, { duration_seconds: 3_100 }],
      ["POST", `${path}/keepalive`],
      ["POST", `${path}/jobs`, { id: "cut", command }],
      ["GET", `${path}/jobs`],
      ["GET", `${path}/jobs/cut?`],
      ["GET", `${path}/jobs/cut/output`],
      ["POST", `${path}/jobs/cut/stdin?end=true`],
      ["GET", `${path}/events`],
      ["GET", `${path}/explain`],
      ["GET", `${path}/teardown`],
      ["GET", `${path}/usage`],
      ["GET", `${path}/logs`],
      ["GET", `${path}/resources`],
      ["POST", `${path}/interrupt`],
    ];
    for (const [method, at, json] of calls) {
      // The interrupt ends the job that was cut, if that has come to be. What it does has to be done by then.
      if (at.endsWith("/interrupt"))
        await until("the job has written", async () => {
          const [job, written] = [
            await send("GET", `${path}/jobs/cut`),
            await send("GET", `${path}/files?path=ran.txt`),
          ];
          return job.status === 404 || written.status === 200;
        });
      await cut(method, at, json, 0.5);
      // Half of a request is none: whatever it would have changed is as it was.
      if (at.endsWith("/timeout")) expect((await api.session(session.id)).end_at).toBe(session.end_at);
      if (at.endsWith("/jobs") && method === "POST") expect((await send("GET", `${path}/jobs/cut`)).status).toBe(404);
      await cut(method, at, json, 1);
      await cut(method, at, json, 1, { accept: "text/event-stream", prefer: "wait=10" });
      expect((await api.session(session.id)).status).toBe("running");
    }
    // The job arrived or it did not: sent again under its id, it has run once.
    const repeated = await send("POST", `${path}/jobs`, { id: "cut", command });
    expect([200, 201]).toContain(repeated.status);
    await until(
      "it has ended",
      async () => jobView.parse(await (await send("GET", `${path}/jobs/cut`)).json()).ended_at !== null,
    );
    const count = await api.run(session.id, { command: "wc -l < ran.txt" });
    const counted = await until("it is counted", async () => {
      const view = await api.job(session.id, count.id);
      return view.ended_at === null ? null : view;
    });
    expect(counted.output_tail?.trim()).toBe("1");
    // Three that change what it is: each either happened or did not, and the session is in one of its states.
    for (const [what, json] of [
      ["pause", undefined],
      ["resume", {}],
      ["rebuild", { confirm: true }],
    ] as const) {
      await cut("POST", `${path}/${what}`, json, 0.5);
      await cut("POST", `${path}/${what}`, json, 1);
      const settled = async () => ["running", "paused"].includes((await api.session(session.id)).status);
      await until(`it has settled after ${what}`, settled);
    }
    if ((await api.session(session.id)).status === "paused") await api.resume(session.id);
    await until("it runs", async () => (await api.session(session.id)).status === "running");
    await cut("DELETE", path, undefined, 0.5);
    // Half of a DELETE ends nothing. (The rebuild whose client hung up may only be beginning.)
    expect(["running", "recovering"]).toContain((await api.session(session.id)).status);
    await cut("DELETE", path, undefined, 1);
    await gone(session.id);
  });

  it("in the middle of a create: half of one makes nothing, a whole one is found again by its key [API-2]", async () => {
    const order = { timeout_seconds: 600, labels: { of: "cut" } };
    const keys = Array.from({ length: 6 }, (_, index) => `cut-create-${index}`);
    await cut("POST", "/v1/sessions", order, 0.5, { "idempotency-key": "half" });
    for (const each of keys)
      await cut("POST", "/v1/sessions", order, 1, { "idempotency-key": each, prefer: "wait=10" });
    const repeated = await Promise.all(
      keys.map((each) =>
        until(`the create ${each} is answered`, async () => {
          const reply = await send("POST", "/v1/sessions", order, { "idempotency-key": each, prefer: "wait=20" });
          const body: unknown = await reply.json();
          return reply.status === 409 ? null : sessionView.parse(body);
        }),
      ),
    );
    expect(new Set(repeated.map((each) => each.id)).size).toBe(keys.length);
    const listed = async () =>
      sessionPage
        .parse(await (await send("GET", "/v1/sessions?limit=100&label[of]=cut")).json())
        .data.filter((each) => each.status !== "terminated");
    await until("the index has them all", async () => (await listed()).length === keys.length);
    expect(new Set((await listed()).map((each) => each.id))).toEqual(new Set(repeated.map((each) => each.id)));
    await Promise.all(repeated.map((each) => gone(each.id)));
    expect(await world.stack.residue()).toEqual([]);
    const ledger = await fetch(`${world.stack.url}/v1/admin/ledger`, {
      headers: { authorization: `Bearer ${world.stack.secrets.ADMIN_TOKEN}` },
    });
    expect(ledgerView.parse(await ledger.json())).toMatchObject({ balanced: true });
  });
});

/** Follows the events of a session; `upTo` resolves with the sequences that were read once one of that type came. */
class Watcher {
  readonly sequences: number[] = [];
  readonly types: string[] = [];
  readonly #reply: IncomingMessage;
  #rest = "";

  private constructor(reply: IncomingMessage) {
    this.#reply = reply;
    reply.setEncoding("utf8");
    reply.on("data", (chunk: string) => {
      const blocks = (this.#rest + chunk).split("\n\n");
      this.#rest = blocks.pop() ?? "";
      for (const block of blocks) {
        const data = /^data: (.*)$/m.exec(block)?.[1];
        if (!/^id: /m.test(block) || data === undefined) continue;
        const event = JSON.parse(data) as EventView;
        this.sequences.push(event.sequence);
        this.types.push(event.type);
      }
    });
    reply.on("error", () => {});
  }

  static async open(id: string): Promise<Watcher> {
    const reply = await new Promise<IncomingMessage>((resolve, reject) => {
      const headers = { authorization: `Bearer ${key}`, accept: "text/event-stream" };
      request(`${world.stack.url}/v1/sessions/${id}/events`, { headers, agent: false }, resolve)
        .on("error", reject)
        .end();
    });
    expect(reply.statusCode).toBe(200);
    return new Watcher(reply);
  }

  close(): void {
    this.#reply.destroy();
  }
}

/** Asks for a stream and never reads a byte of it: what the kernel does not take stays with the sender. */
async function neverReads(path: string): Promise<() => void> {
  const { hostname, port } = new URL(world.stack.url);
  const socket = connect(Number(port), hostname);
  socket.pause();
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.once("connect", () => resolve());
  });
  socket.write(
    `GET ${path} HTTP/1.1\r\nhost: ${hostname}\r\nauthorization: Bearer ${key}\r\naccept: text/event-stream\r\n\r\n`,
  );
  return () => socket.destroy();
}

describe("50 watchers of one session", () => {
  it("one of which never reads: the others hear everything, in order, and the session works on [API-6] [FEN-8]", async () => {
    const { id } = await running();
    const stuck = [await neverReads(`/v1/sessions/${id}/events`)];
    const watchers = await Promise.all(Array.from({ length: 49 }, () => Watcher.open(id)));
    // One that reads nothing of 200 MB either.
    const flood = await api.run(id, {
      id: "flood",
      command: "head -c 200000000 /dev/zero | tr '\\0' 'x'",
      timeout_seconds: 600,
    });
    await until("the flood runs", async () => (await api.job(id, flood.id)).state !== "queued");
    const before = await workerMemory();
    stuck.push(await neverReads(`/v1/sessions/${id}/jobs/flood/output`));
    for (let round = 0; round < 60; round += 1)
      await send("POST", `/v1/sessions/${id}/timeout`, { timeout_seconds: 1_000 + round });
    await until("the flood has ended", async () => (await api.job(id, flood.id)).ended_at !== null);
    expect(await api.job(id, flood.id)).toMatchObject({ state: "succeeded", output_bytes: 200_000_000 });
    await send("POST", `/v1/sessions/${id}/refresh`, { duration_seconds: 5_000 });
    const last = (await historyOf(id)).findLast((event) => event.type === "refreshed")?.sequence ?? 0;
    for (const watcher of watchers)
      await until("everyone has heard of it", async () => watcher.sequences.includes(last));
    for (const watcher of watchers) {
      expect(watcher.types.filter((type) => type === "timeout_set")).toHaveLength(60);
      const upTo = watcher.sequences.slice(0, watcher.sequences.indexOf(last) + 1);
      expect(upTo).toEqual(Array.from({ length: last }, (_, index) => index + 1));
    }
    // What nobody reads is not held in memory: the stream waits where it comes from.
    expect((await workerMemory()) - before).toBeLessThan(150_000_000);
    for (const watcher of watchers) watcher.close();
    for (const end of stuck) end();
    await gone(id);
  });
});

/** Of workerd, in bytes. */
async function workerMemory(): Promise<number> {
  const port = new URL(world.stack.url).port;
  let total = 0;
  for (const pid of await readdir("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    const line = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (!line.includes("workerd") || !line.includes("serve")) continue;
    const parents = await ancestors(Number(pid));
    if (!parents.has(process.pid)) continue;
    const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
    total += Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1_024;
  }
  if (total === 0) throw new Error(`no workerd of ours was found behind port ${port}`);
  return total;
}

async function ancestors(pid: number): Promise<ReadonlySet<number>> {
  const found = new Set<number>();
  for (let at = pid; at > 1 && !found.has(at);) {
    found.add(at);
    const stat = await readFile(`/proc/${at}/stat`, "utf8").catch(() => "");
    at = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1] ?? 0);
  }
  return found;
}
