/** The queue in front of the container engine, with a stand-in for the engine: what starts at once, in which order, and when a start is answered. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, request, type Server } from "node:http";
import { type AddressInfo, connect, type Server as SocketServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { openStartQueue, serveQueue } from "../../../scripts/containers/start-queue.ts";
import { until } from "../../support/until.ts";

let directory: string;
let engine: Server;
let queue: SocketServer;
let open: Set<Socket>;
/** Of the stand-in: starts that have reached it, in order, with what answers each. */
let starts: { readonly name: string; readonly answer: () => void }[];
/** Of the sidecar: null while it does not listen. */
let listening: Server | null;
let port: number;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "mooring-engine-"));
  starts = [];
  listening = null;
  const reserved = createServer().listen(0, "127.0.0.1");
  await once(reserved, "listening");
  ({ port } = reserved.address() as AddressInfo);
  reserved.close();
  engine = createServer((asked, response) => {
    const name = /containers\/([^/]+)\/start/.exec(asked.url ?? "")?.[1];
    if (name !== undefined) return void starts.push({ name, answer: () => response.writeHead(204).end() });
    const ports = { "39001/tcp": [{ HostPort: String(port) }] };
    response.end(JSON.stringify({ NetworkSettings: { Ports: ports } }));
  });
  // As for `docker exec`: bytes both ways, each to its own end.
  engine.on("upgrade", (_, socket) => {
    socket.write("HTTP/1.1 101 UPGRADED\r\nconnection: upgrade\r\nupgrade: tcp\r\n\r\n");
    let said = "";
    socket.on("data", (part: Buffer) => (said += part.toString()));
    socket.on("end", () => socket.end(`it said ${said}`));
  });
  const socket = join(directory, "engine.sock");
  engine.listen(socket);
  await once(engine, "listening");
  queue = serveQueue({ engineSocket: socket, socketFile: socketPath() });
  open = new Set();
  queue.on("connection", (client: Socket) => open.add(client));
  await once(queue, "listening");
});
afterEach(() => {
  vi.restoreAllMocks();
  queue.close();
  for (const client of open) client.destroy();
  engine.close();
  engine.closeAllConnections();
  listening?.close();
  listening?.closeAllConnections();
  rmSync(directory, { recursive: true, force: true });
});

const socketPath = (): string => join(directory, "queue.sock");

function start(name: string): { readonly status: Promise<number>; isAnswered: boolean } {
  const asking = request({
    socketPath: socketPath(),
    method: "POST",
    path: `/v1.50/containers/${name}/start`,
    agent: false,
  });
  const status = new Promise<number>((resolve, reject) => {
    asking.once("error", reject);
    asking.once("response", (reply) => {
      started.isAnswered = true;
      reply.resume();
      resolve(reply.statusCode ?? 0);
    });
  });
  // Those that nobody answers are cut off with the queue.
  status.catch(() => {});
  const started = { status, isAnswered: false };
  asking.end();
  return started;
}

const reached = (): readonly string[] => starts.map(({ name }) => name);

it("no more than four containers start at once, and a pair that has begun goes before sidecars that wait", async () => {
  for (const name of ["a-proxy", "b-proxy", "c-proxy", "d-proxy"]) start(name);
  await until("four have reached the engine", () => starts.length === 4);
  const waiting = ["e-proxy", "f-proxy", "a"].map(start);
  const passed = await fetchJson("/info");
  expect(passed).toMatchObject({ NetworkSettings: {} });
  expect(reached().toSorted()).toEqual(["a-proxy", "b-proxy", "c-proxy", "d-proxy"]);

  listening = createServer((_, response) => response.end()).listen(port, "127.0.0.1");
  starts[0]?.answer();
  await until("one more has reached it", () => starts.length === 5);
  expect(reached()[4]).toBe("a");
  starts[4]?.answer();
  expect(await waiting[2]?.status).toBe(204);
  await until("the next sidecar has its turn", () => starts.length === 6);
  expect(reached()[5]).toBe("e-proxy");
});

it("a sidecar that has waited so long that its launch would be over is refused, and never started", async () => {
  const now = vi.spyOn(Date, "now");
  for (const name of ["a", "b", "c", "d"]) start(name);
  await until("four have reached the engine", () => starts.length === 4);
  const late = ["e-proxy", "f"].map(start);
  await fetchJson("/info");
  now.mockReturnValue(Date.now() + 31_000);
  starts[0]?.answer();
  expect(await late[0]?.status).toBe(503);
  await until("a container has its turn all the same", () => starts.length === 5);
  expect(reached()[4]).toBe("f");
});

it("the start of a sidecar is answered when the sidecar listens", async () => {
  const sidecar = start("a-proxy");
  await until("it has reached the engine", () => starts.length === 1);
  starts[0]?.answer();
  // Another start comes and goes meanwhile.
  const other = start("b");
  await until("so has another", () => starts.length === 2);
  starts[1]?.answer();
  expect(await other.status).toBe(204);
  expect(sidecar.isAnswered).toBe(false);
  listening = createServer((_, response) => response.writeHead(404).end()).listen(port, "127.0.0.1");
  expect(await sidecar.status).toBe(204);
});

it("what runs in a container is passed both ways, each to its end", async () => {
  const socket = connect({ path: socketPath(), allowHalfOpen: true });
  socket.write("POST /exec/1/start HTTP/1.1\r\nhost: engine\r\nconnection: Upgrade\r\nupgrade: tcp\r\n\r\n");
  let said = "";
  socket.on("data", (part: Buffer) => (said += part.toString()));
  await until("it is open", () => said.includes("101 UPGRADED"));
  socket.end("POST /containers/a/start is only text here");
  await once(socket, "end");
  expect(said).toContain("it said POST /containers/a/start is only text here");
});

it("whoever opened the queue may run a command that asks the engine through it, and wait for it without a turn of its own", async () => {
  const socket = join(directory, "other.sock");
  const serves = `require("http").createServer((_, reply) => reply.end("it answers")).listen(${JSON.stringify(socket)}, () => console.log("listens"))`;
  const other = spawn(process.execPath, ["-e", serves], { stdio: ["ignore", "pipe", "inherit"] });
  await once(other.stdout, "data");
  const opened = await openStartQueue(`unix://${socket}`);
  try {
    const file = JSON.stringify(opened?.host.slice("unix://".length));
    const asks = `require("http").get({ socketPath: ${file}, path: "/" }, (reply) => reply.pipe(process.stdout))`;
    const asked = spawnSync(process.execPath, ["-e", asks], { encoding: "utf8", timeout: 120_000 });
    expect(asked.stdout).toBe("it answers");
  } finally {
    await opened?.close();
    other.kill("SIGKILL");
  }
});

it("an engine that is not behind a unix socket has no queue", async () => {
  expect(await openStartQueue("tcp://engine.invalid:2375")).toBeNull();
});

async function fetchJson(path: string): Promise<unknown> {
  const asking = request({ socketPath: socketPath(), path, agent: false });
  asking.end();
  const [reply] = (await once(asking, "response")) as [NodeJS.ReadableStream];
  let text = "";
  for await (const part of reply) text += String(part);
  return JSON.parse(text);
}
