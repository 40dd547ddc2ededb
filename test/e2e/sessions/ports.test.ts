/** Ports of sandboxes through the whole stack: Worker, session, local host, agent, and a real server in a real sandbox. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { request as sendRequest, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { afterAll, beforeAll, expect, it } from "vitest";
import { freePort } from "../../../scripts/stack/ports.ts";
import { Api } from "../../../scripts/stack/api.ts";
import { portList, type SharedPort, sharedPort } from "../../../src/protocol/resources/sandbox/ports.ts";
import type { SessionView } from "../../../src/protocol/resources/session/sessions.ts";
import { serverProgram } from "../../support/sandbox-server.ts";
import { temporaryStack, type TemporaryStack } from "../../support/temporary-stack.ts";
import { bodyOf } from "../../support/traffic-call.ts";
import { until } from "../../support/until.ts";

let world: TemporaryStack;
let api: Api;
let key: string;
let strangersKey: string;
beforeAll(async () => {
  world = await temporaryStack();
  key = await world.stack.apiKey("e2e");
  strangersKey = await world.stack.apiKey("stranger");
  api = new Api(world.stack.url, key, new AbortController().signal);
});
afterAll(() => world.stop());

interface Ask {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  /** Instead of the stack's own. */
  readonly host?: string;
}

function send(path: string, { method = "GET", headers = {}, body, host }: Ask = {}): Promise<IncomingMessage> {
  const { hostname, port } = new URL(world.stack.url);
  const sent = { ...headers, ...(host === undefined ? {} : { host }) };
  return new Promise((resolve, reject) => {
    const request = sendRequest({ host: hostname, port, path, method, headers: sent });
    request.once("error", reject);
    request.once("response", resolve);
    request.end(body);
  });
}

function upgrade(path: string, headers: Readonly<Record<string, string>>, host?: string): Promise<Duplex> {
  const { hostname, port } = new URL(world.stack.url);
  const handshake = { connection: "Upgrade", upgrade: "websocket", "sec-websocket-version": "13" };
  const asked = { ...headers, ...handshake, "sec-websocket-key": randomBytes(16).toString("base64") };
  return new Promise((resolve, reject) => {
    const request = sendRequest({
      host: hostname,
      port,
      path,
      headers: { ...asked, ...(host === undefined ? {} : { host }) },
    });
    request.once("error", reject);
    request.once("response", (answer) => reject(new Error(`refused with ${answer.statusCode}`)));
    request.once("upgrade", (_answer, socket, first) => {
      socket.on("error", () => {});
      socket.unshift(first);
      resolve(socket);
    });
    request.end();
  });
}

const withKey = (more: Readonly<Record<string, string>> = {}) => ({ authorization: `Bearer ${key}`, ...more });
const codeOf = async (answer: IncomingMessage): Promise<string> =>
  `${answer.statusCode} ${(JSON.parse((await bodyOf(answer)).text) as { code: string }).code}`;

async function becomes(id: string, status: SessionView["status"]): Promise<SessionView> {
  const read = async () => {
    const view = await api.session(id);
    return view.status === status ? view : null;
  };
  return until(`session ${id} is ${status}`, read);
}

async function withServer(): Promise<{ id: string; port: number; at: (path: string) => string; host: string }> {
  const { id } = await api.create({ idle_timeout_seconds: 600, timeout_seconds: 1_200 });
  await becomes(id, "running");
  const port = (await freePort(0)) ?? 0;
  await api.run(id, { argv: ["node", "-e", serverProgram], env: { PORT: String(port) } });
  await until("the server", async () => {
    const answer = await send(`/v1/sessions/${id}/ports/${port}/bytes/0`, { headers: withKey() });
    answer.resume();
    return answer.statusCode === 200 ? true : null;
  });
  const outside = new URL(world.stack.url).port;
  return {
    id,
    port,
    at: (path) => `/v1/sessions/${id}/ports/${port}${path}`,
    host: `${port}-${id}.localhost:${outside}`,
  };
}

async function shared(id: string, body: object): Promise<SharedPort> {
  const answer = await send(`/v1/sessions/${id}/ports`, {
    method: "POST",
    headers: withKey({ "content-type": "application/json" }),
    body: JSON.stringify(body),
  });
  expect(answer.statusCode).toBe(201);
  return sharedPort.parse(JSON.parse((await bodyOf(answer)).text));
}

it("lists the ports of this sandbox, and nobody else's", async () => {
  const [one, other] = [await withServer(), await withServer()];
  const list = async (id: string, by: string) => {
    const answer = await send(`/v1/sessions/${id}/ports`, { headers: { authorization: `Bearer ${by}` } });
    return { status: answer.statusCode, text: (await bodyOf(answer)).text };
  };
  for (const { id, port } of [one, other]) {
    const { data } = portList.parse(JSON.parse((await list(id, key)).text));
    // The agent's own port is not among them, nor is that of any other program of this machine.
    expect(data).toEqual([
      { port, pid: expect.any(Number) as number, program: expect.stringMatching(/node|Main/) as string },
    ]);
  }
  expect((await list(one.id, strangersKey)).status).toBe(404);
});

it("by path: any method, bodies, streams, redirects and WebSockets reach the server; Mooring's credential and cookies do not [TRA-11]", async () => {
  const { at, port } = await withServer();
  const answer = await send(at("/echo?a=%20b&mooring_token=x&c"), {
    method: "PUT",
    headers: withKey({ cookie: "console=secret", "x-own": "1" }),
    body: "a body",
  });
  const { text } = await bodyOf(answer);
  const seen = JSON.parse(text) as { headers: Record<string, string> };
  expect(seen).toMatchObject({ method: "PUT", url: "/echo?a=%20b&c", body: "a body" });
  expect(seen.headers).toMatchObject({ host: `localhost:${port}`, "x-own": "1", "x-forwarded-prefix": at("") });
  for (const secret of [key, "console=secret", "mooring-"]) expect(text).not.toContain(secret);
  expect(answer.headers["set-cookie"]).toBeUndefined();
  expect(answer.headers["content-security-policy"]).toMatch(/^sandbox allow-scripts/);
  expect(answer.headers["content-security-policy"]).not.toContain("allow-same-origin");
  const large = await bodyOf(await send(at("/bytes/5000000"), { headers: withKey() }));
  expect([large.text.length, large.whole]).toEqual([5_000_000, true]);
  const redirect = await send(at("/redirect"), { headers: withKey() });
  expect([redirect.statusCode, redirect.headers.location]).toEqual([302, at("/echo")]);
  redirect.resume();
  const head = await send(at("/bytes/10"), { method: "HEAD", headers: withKey() });
  expect([head.statusCode, (await bodyOf(head)).text]).toEqual([200, ""]);
  const stream = await send(at("/stream"), { headers: withKey() });
  const [first] = (await once(stream, "data")) as [Buffer];
  expect(first.toString()).toBe("data: begun\n\n");
  stream.destroy();
  const socket = await upgrade(at("/socket"), withKey());
  const [hello] = (await once(socket, "data")) as [Buffer];
  expect(hello.subarray(2).toString()).toBe("hello");
  socket.write(Buffer.concat([Buffer.from([0x81, 0x85, 0, 0, 0, 0]), Buffer.from("again")]));
  const [again] = (await once(socket, "data")) as [Buffer];
  expect(again.subarray(2).toString()).toBe("again");
  socket.destroy();
  const worker = await send(at("/worker.js"), { headers: withKey({ "service-worker": "script" }) });
  expect(await codeOf(worker)).toBe("403 forbidden");
});

it("by host name: an origin of its own, whose cookies stay at that host; nothing of Mooring's is served there [TRA-11]", async () => {
  const { host, port, id } = await withServer();
  const answer = await send("/echo", { host, headers: withKey({ cookie: "a=1; mooring_port=x" }) });
  expect(answer.headers["set-cookie"]).toEqual(["a=1; Path=/", "b=2"]);
  const seen = JSON.parse((await bodyOf(answer)).text) as { headers: Record<string, string> };
  expect(seen.headers["cookie"]).toBe("a=1");
  expect(seen.headers["x-forwarded-host"]).toBe(host);
  const own = await bodyOf(await send("/v1/sessions", { host, headers: withKey() }));
  expect(JSON.parse(own.text)).toMatchObject({ url: "/v1/sessions" });
  const socket = await upgrade("/socket", withKey(), host);
  const [hello] = (await once(socket, "data")) as [Buffer];
  expect(hello.subarray(2).toString()).toBe("hello");
  socket.destroy();
  const nobody = await send("/", { host: host.replace(String(port), "1"), headers: withKey() });
  expect(await codeOf(nobody)).toBe("502 port_closed");
  // The server's own authorization is not ours: without another credential it opens nothing, with one it goes through.
  expect(await codeOf(await send("/echo", { host, headers: { authorization: "Basic eA==" } }))).toBe("403 forbidden");
  const { token } = await shared(id, { port });
  const both = { authorization: "Basic eA==", "mooring-token": token ?? "" };
  const basic = await bodyOf(await send("/echo", { host, headers: both }));
  expect((JSON.parse(basic.text) as { headers: object }).headers).toMatchObject({ authorization: "Basic eA==" });
});

it("a signed address opens its port until its end and nothing else; a browser's token moves into a cookie [TRA-12]", async () => {
  const { id, port, host, at } = await withServer();
  const other = await withServer();
  const { url, token, public: isPublic } = await shared(id, { port, ttl_seconds: 3_600 });
  expect([url, isPublic]).toEqual([`http://${host}/?mooring_token=${token}`, false]);
  const moved = await send(`/count?x=1&mooring_token=${token}`, { host });
  expect([moved.statusCode, moved.headers.location]).toEqual([302, "/count?x=1"]);
  moved.resume();
  const [cookie = ""] = moved.headers["set-cookie"] ?? [];
  expect(cookie).toMatch(/^mooring_port=mrp_.*; HttpOnly; SameSite=Lax$/);
  const shown = { cookie: cookie.split(";")[0] ?? "" };
  expect((await send("/count", { host, headers: shown })).statusCode).toBe(200);
  // By path the cookie does not count: there every page has Mooring's origin.
  expect(await codeOf(await send(at("/count"), { headers: shown }))).toBe("401 unauthorized");
  const byHeader = { "mooring-token": token ?? "" };
  expect((await send(at("/count"), { headers: byHeader })).statusCode).toBe(200);
  for (const path of [other.at("/count"), at("/count").replace(String(port), "80")])
    expect(await codeOf(await send(path, { headers: byHeader }))).toBe("401 unauthorized");
  const changed = { "mooring-token": (token ?? "").replace(/.$/, (last) => (last === "0" ? "1" : "0")) };
  expect(await codeOf(await send(at("/count"), { headers: changed }))).toBe("401 unauthorized");
  expect(await codeOf(await send(`/v1/sessions/${id}`, { headers: { authorization: `Bearer ${token}` } }))).toBe(
    "401 unauthorized",
  );
  const brief = await shared(id, { port, ttl_seconds: 1, public: true });
  expect(brief.token).toBeNull();
  const briefHost = new URL(brief.url).host;
  await until("its end", async () => ((await send("/count", { host: briefHost })).statusCode === 401 ? true : null));
  const open = await shared(id, { port, ttl_seconds: 3_600, public: true });
  const openHost = new URL(open.url).host;
  expect((await send("/count", { host: openHost })).statusCode).toBe(200);
  const forged = openHost.replace(/^\d+/, "22");
  expect(await codeOf(await send("/count", { host: forged }))).toBe("401 unauthorized");
});

it("unknown, foreign, paused, lost and ended are told apart, and open streams break off at the end [TRA-5] [TRA-9]", async () => {
  const { id, at } = await withServer();
  const stranger = { authorization: `Bearer ${strangersKey}` };
  expect(await codeOf(await send(at("/count"), { headers: stranger }))).toBe("404 not_found");
  expect(await codeOf(await send(at("/count").replace(id, "a".repeat(20)), { headers: withKey() }))).toBe(
    "404 not_found",
  );
  expect(await codeOf(await send(at("/count")))).toBe("401 unauthorized");
  expect((await send(at("/count"), { headers: withKey() })).statusCode).toBe(200);
  const stream = await send(at("/stream"), { headers: withKey() });
  const read = bodyOf(stream);
  await send(`/v1/sessions/${id}/pause`, { method: "POST", headers: withKey() }).then((answer) => answer.resume());
  expect((await read).whole).toBe(false);
  await becomes(id, "paused");
  expect(await codeOf(await send(at("/count"), { headers: withKey() }))).toBe("409 session_paused");
  const ended = await withServer();
  const second = bodyOf(await send(ended.at("/stream"), { headers: withKey() }));
  await api.delete(ended.id);
  expect(await codeOf(await send(ended.at("/count"), { headers: withKey() }))).toBe("410 session_gone");
  expect((await second).whole).toBe(false);
});

it("a hundred requests at once to a paused session that resumes by itself start one sandbox, and all are answered [TRA-7]", async () => {
  const { id } = await api.create({ idle_timeout_seconds: 600, timeout_seconds: 1_200, auto_resume: true });
  await becomes(id, "running");
  await send(`/v1/sessions/${id}/pause`, { method: "POST", headers: withKey() }).then((answer) => answer.resume());
  const before = await becomes(id, "paused");
  const all = Array.from({ length: 100 }, async () =>
    codeOf(await send(`/v1/sessions/${id}/ports/9/`, { headers: withKey() })),
  );
  // Nobody listens on that port: it is the new sandbox's agent that says so.
  expect(new Set(await Promise.all(all))).toEqual(new Set(["502 port_closed"]));
  const after = await api.session(id);
  expect([after.status, after.generation]).toEqual(["running", (before.generation ?? 0) + 1]);
});
