/** The agent's door to traffic, against real processes: who gets in, which server answers, what is cut, what counts as activity. */
import { createServer } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { once } from "node:events";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { trafficHeaders, webTrafficKeys } from "../../../src/protocol/sandbox/traffic.ts";
import { controllerToken } from "../../../src/protocol/sandbox/wrapper.ts";
import { freePort } from "../../../scripts/stack/ports.ts";
import { portIn, serverJob, serverProgram } from "../../support/sandbox-server.ts";
import { bodyOf, trafficTo, upgradeTo } from "../../support/traffic-call.ts";
import { until } from "../../support/until.ts";
import { disposeInstances, type Instance, removeDirectories, startInstance } from "../../support/wrapper-instance.ts";

afterEach(disposeInstances);
afterAll(removeDirectories);

async function withServer(): Promise<{ instance: Instance; port: number; at: (path: string) => string }> {
  const instance = await startInstance();
  await instance.renew();
  await instance.start({ id: "server", ...serverJob });
  await instance.printed("server", "listening on");
  const port = portIn((await instance.job("server")).tail) ?? 0;
  return { instance, port, at: (path) => `/traffic/ports/${port}${path}` };
}

/** As `withServer`, with no job running: one that is kept on is over, so it does not count as work itself. */
async function withKeptServer(): Promise<{ instance: Instance; at: (path: string) => string }> {
  const instance = await startInstance();
  await instance.renew();
  // It writes no output any more either.
  const port = (await freePort(0)) ?? 0;
  await instance.start({
    id: "server",
    argv: ["sh", "-c", 'node -e "$0" &', serverProgram],
    env: { PORT: String(port) },
    keep: true,
  });
  const at = (path: string) => `/traffic/ports/${port}${path}`;
  await until("the server", async () => {
    const answer = await trafficTo(instance, at("/count"));
    answer.resume();
    return answer.statusCode === 200;
  });
  await until("the job to end", async () => (await instance.job("server")).state !== "running");
  return { instance, at };
}

const refusalOf = (answer: { headers: NodeJS.Dict<string | string[]> }) => answer.headers[trafficHeaders.refused];

describe("a port of a sandbox", () => {
  it("answers through the agent as it answers by itself; only what belongs to the connection and our own headers are taken off [TRA-11]", async () => {
    const { instance, at } = await withServer();
    const answer = await trafficTo(instance, at("/echo?a=%20b"), {
      method: "PATCH",
      body: "a body",
      headers: { "x-client": "1", te: "trailers", connection: "x-hop", "x-hop": "1", authorization: "Basic own" },
    });
    const { text, whole } = await bodyOf(answer);
    const seen = JSON.parse(text) as { headers: Record<string, string> };
    expect([answer.statusCode, whole]).toEqual([200, true]);
    expect(seen).toMatchObject({ method: "PATCH", url: "/echo?a=%20b", body: "a body" });
    expect(seen.headers).toMatchObject({ "x-client": "1", authorization: "Basic own" });
    expect(Object.keys(seen.headers).filter((name) => name.startsWith("mooring-") || name === "x-hop")).toEqual([]);
    expect(answer.headers["set-cookie"]).toEqual(["a=1; Path=/", "b=2; Domain=localhost"]);
    expect([answer.headers["x-own"], refusalOf(answer)]).toEqual(["1", undefined]);
  });

  it("its server gets the Host that the session names for it, else localhost [TRA-11]", async () => {
    const { instance, at } = await withServer();
    const hostSeen = async (headers: Record<string, string>) => {
      const { text } = await bodyOf(await trafficTo(instance, at("/echo"), { headers }));
      return (JSON.parse(text) as { headers: { host: string } }).headers.host;
    };
    const port = Number(/\d+/.exec(at("/echo"))?.[0]);
    expect(await hostSeen({})).toBe(`localhost:${port}`);
    expect(await hostSeen({ [trafficHeaders.portHost]: "app.example.com:${PORT}" })).toBe(`app.example.com:${port}`);
  });

  it("HEAD, redirects and large bodies pass as they are; a body that breaks off does not look whole [TRA-11]", async () => {
    const { instance, at } = await withServer();
    const head = await trafficTo(instance, at("/bytes/1000"), { method: "HEAD" });
    expect([head.statusCode, head.headers["content-length"], (await bodyOf(head)).text]).toEqual([200, "1000", ""]);
    const redirect = await trafficTo(instance, at("/redirect"));
    expect([redirect.statusCode, redirect.headers.location]).toEqual([302, "/echo"]);
    redirect.resume();
    const large = await bodyOf(await trafficTo(instance, at("/bytes/20000000")));
    expect([large.text.length, large.whole]).toEqual([20_000_000, true]);
    const sent = await bodyOf(
      await trafficTo(instance, at("/echo"), { method: "POST", body: Buffer.alloc(8_000_000, 97) }),
    );
    expect((JSON.parse(sent.text) as { body: string }).body).toHaveLength(8_000_000);
    const broken = await bodyOf(await trafficTo(instance, at("/broken")));
    expect(broken).toEqual({ text: "part", whole: false });
  });

  it("waits while the sandbox stands still, however long that is; one with a wrong token does not [TRA-15]", async () => {
    const { instance, at } = await withServer();
    await instance.call("POST", "/freeze", { for_ms: 60_000, snapshot_id: "s1" });
    const waits = trafficTo(instance, at("/echo"));
    const stranger = await trafficTo(instance, at("/echo"), { token: "x".repeat(43) });
    expect(refusalOf(stranger)).toBe("unauthorized");
    stranger.resume();
    expect((await instance.call("POST", "/jobs", { id: "late", command: "true", timeout_ms: 1_000 })).status).toBe(409);
    // It stands still for longer than a connection may show no token: one that came later has been closed for that.
    const silent = connect(instance.port, "127.0.0.1").resume();
    await once(silent, "close");
    await instance.call("DELETE", "/freeze?snapshot=s1");
    const answer = await waits;
    expect([answer.statusCode, (await bodyOf(answer)).whole]).toEqual([200, true]);
  });

  it("a WebSocket speaks both ways [TRA-11]", async () => {
    const { instance, at } = await withServer();
    const open = await upgradeTo(instance, at("/socket"));
    if (!("answer" in open)) throw new Error(`refused: ${open.statusCode}`);
    const [first] = (await once(open.socket, "data")) as [Buffer];
    expect(first.subarray(2).toString()).toBe("hello");
    open.socket.write(Buffer.concat([Buffer.from([0x81, 0x85, 0, 0, 0, 0]), Buffer.from("again")]));
    const [second] = (await once(open.socket, "data")) as [Buffer];
    expect(second.subarray(2).toString()).toBe("again");
    open.socket.destroy();
  });

  it("only a server of this sandbox answers: not the agent, not a stranger's server on the same machine [TRA-11]", async () => {
    const { instance } = await withServer();
    const stranger = createServer((_request, response) => response.end("a stranger's secret")).listen(0, "127.0.0.1");
    await once(stranger, "listening");
    try {
      const { port } = stranger.address() as AddressInfo;
      for (const closed of [port, instance.port, 1, 65_535]) {
        const answer = await trafficTo(instance, `/traffic/ports/${closed}/`);
        expect([answer.statusCode, refusalOf(answer)]).toEqual([502, "nobody_listens"]);
        expect((await bodyOf(answer)).text).toContain(`port ${closed}`);
      }
      for (const path of ["/traffic/ports/0/", "/traffic/ports/70000/", "/traffic/ports//", "/traffic/nothing/"]) {
        const answer = await trafficTo(instance, path);
        expect([answer.statusCode, refusalOf(answer)]).toEqual([404, "not_found"]);
        answer.resume();
      }
    } finally {
      stranger.close();
    }
  });
});

describe("the pass", () => {
  it("a pass of another generation, a wrong key and a controller's token open nothing, and the agent proves itself [TRA-6]", async () => {
    const { instance, at } = await withServer();
    const tried = [
      [{ generation: instance.boot.generation - 1 }, 409, "retired"],
      [{ generation: instance.boot.generation + 1 }, 409, "retired"],
      [{ token: "0".repeat(64) }, 401, "unauthorized"],
      [{ token: await controllerToken(instance.boot.secret) }, 401, "unauthorized"],
    ] as const;
    for (const [call, status, code] of tried) {
      const answer = await trafficTo(instance, at("/count"), call);
      expect([answer.statusCode, refusalOf(answer)]).toEqual([status, code]);
      answer.resume();
    }
    const nonce = "ab".repeat(16);
    const good = await trafficTo(instance, at("/count"), { headers: { [trafficHeaders.nonce]: nonce } });
    const key = await webTrafficKeys.key(instance.boot.secret);
    expect(good.headers[trafficHeaders.proof]).toBe(await webTrafficKeys.proof(key, nonce));
    expect((await bodyOf(good)).text).toBe("1");
    // A pass opens traffic alone: a newer generation in it must not make the agent end itself either.
    expect((await instance.call("GET", "/health", undefined, { token: key })).status).toBe(401);
    expect((await instance.call("GET", "/health")).status).toBe(200);
  });

  it("before the first renewal, and while the sandbox is drained, nothing is served [TRA-5]", async () => {
    const fresh = await startInstance();
    const early = await trafficTo(fresh, "/traffic/ports/80/");
    expect([early.statusCode, refusalOf(early)]).toEqual([409, "not_ready"]);
    early.resume();
    const { instance, at } = await withKeptServer();
    await instance.call("POST", "/drain");
    const held = await trafficTo(instance, at("/count"));
    expect([held.statusCode, refusalOf(held)]).toEqual([409, "held"]);
    held.resume();
    await instance.call("DELETE", "/drain");
    expect((await trafficTo(instance, at("/count"))).statusCode).toBe(200);
  });
});

describe("the end", () => {
  it("open streams and WebSockets break off before any process is signalled, and never look whole [TRA-9]", async () => {
    const { instance, at } = await withServer();
    const stream = await trafficTo(instance, at("/stream"));
    const open = await upgradeTo(instance, at("/socket"));
    if (!("answer" in open)) throw new Error("refused");
    const closed = once(open.socket.resume(), "close");
    const read = bodyOf(stream);
    process.kill(instance.wrapperPid, "SIGTERM");
    expect(await read).toEqual({ text: "data: begun\n\n", whole: false });
    await closed;
    await instance.allGone();
  });

  it("a drain without jobs, and the order before a stop, cut what is open too [TRA-9]", async () => {
    for (const [server, order] of [
      [withKeptServer, "/drain"],
      [withServer, "/cut"],
    ] as const) {
      const { instance, at } = await server();
      const read = bodyOf(await trafficTo(instance, at("/stream")));
      await instance.call("POST", order);
      expect((await read).whole).toBe(false);
    }
  });
});

describe("activity", () => {
  it("requests put the idle clock off; quiet ones and the comments of an open event stream do not [TRA-8]", async () => {
    const { instance, at } = await withKeptServer();
    const idle = async () => (await instance.renew()).idle_ms;
    await until("some idle time", async () => (await idle()) > 300);
    const quiet = await trafficTo(instance, at("/stream/comments"), { headers: { [trafficHeaders.quiet]: "1" } });
    await once(quiet, "data");
    await until("comments", async () => (await idle()) > 600);
    // Taken before the request, so that it is later than that however slow the machine is.
    const before = performance.now();
    (await trafficTo(instance, at("/count"))).resume();
    expect(await idle()).toBeLessThanOrEqual(performance.now() - before);
    const comments = await trafficTo(instance, at("/stream/comments"));
    await once(comments, "data");
    await until("an open stream that only breathes", async () => (await idle()) > 500);
    for (const stream of [quiet, comments]) stream.destroy();
  });
});
