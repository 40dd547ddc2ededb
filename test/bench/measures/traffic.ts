/**
 * What goes straight to a sandbox: a large file up and down, the start of a process, the echo of a terminal, and many streams of which
 * one is not read. Each beside the same thing without Mooring in between.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { get } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { WebSocket } from "ws";
import { passHeaders } from "../../support/traffic-call.ts";
import { disposeInstances, removeDirectories, startInstance } from "../../support/wrapper-instance.ts";
import { type Figure, type Measure, median, quantile } from "../figure.ts";
import { withLocalHost } from "./local-host.ts";
import { files } from "./traffic-files.ts";
import { trafficSizes, type TrafficWorld } from "./traffic-world.ts";

export const traffic: Measure = {
  name: "traffic",
  async run(say, size) {
    try {
      return await withLocalHost(async (client, workerd) => {
        const { id: session } = await client.create({ idle_timeout_seconds: null });
        const world: TrafficWorld = { client, workerd, session, terms: trafficSizes[size], say };
        return [...(await files(world)), await starts(world), await echoes(world), await streams(world)];
      });
    } finally {
      await disposeInstances();
      removeDirectories();
    }
  },
};

async function starts({ client, session, terms, say }: TrafficWorld): Promise<Figure> {
  const bare: number[] = [];
  const through: number[] = [];
  const headers = { ...client.headers, accept: "text/event-stream" };
  for (let index = 0; index < terms.times; index += 1) {
    const began = performance.now();
    await once(spawn("true", { stdio: "pipe" }), "close");
    const middle = performance.now();
    const url = `${client.url}/v1/sessions/${session}/processes?output=true`;
    const reply = await fetch(url, { method: "POST", headers, body: JSON.stringify({ argv: ["true"] }) });
    const text = await reply.text();
    if (!text.includes("event: exit")) throw new Error(`the process did not exit: ${text.slice(0, 300)}`);
    through.push(performance.now() - middle);
    bare.push(middle - began);
  }
  const details = { times: terms.times, exec_p50_ms: median(through), bare_p50_ms: median(bare) };
  say(`start to exit ${median(through).toFixed(1)} ms, bare ${median(bare).toFixed(1)} ms`);
  return {
    id: "traffic.start",
    what: "start of a process to its exit, over a bare spawn: p50",
    against: "a bare spawn",
    value: median(through) - median(bare),
    unit: "ms",
    bar: { type: "at most", value: 15 },
    details,
  };
}

async function echoes({ client, session, terms, say }: TrafficWorld): Promise<Figure> {
  const instance = await startInstance({ lease_ttl_ms: 600_000 });
  await instance.renew();
  const direct = await terminal(`ws://127.0.0.1:${instance.port}/traffic/terminal`, await passHeaders(instance.boot));
  const through = await terminal(`${client.url.replace("http", "ws")}/v1/sessions/${session}/terminal`, {
    authorization: client.headers["authorization"] ?? "",
  });
  const [own, ours]: [number[], number[]] = [[], []];
  try {
    for (let index = 0; index < terms.times; index += 1) {
      own.push(await echo(direct));
      ours.push(await echo(through));
    }
  } finally {
    direct.terminate();
    through.terminate();
  }
  const details = { times: terms.times, echo_p50_ms: median(ours), agent_p50_ms: median(own) };
  say(`echo ${median(ours).toFixed(1)} ms, the agent's own ${median(own).toFixed(1)} ms`);
  return {
    id: "traffic.echo",
    what: "first byte of a terminal's echo, over the agent's own: p50",
    against: "the agent asked without Mooring in between",
    value: median(ours) - median(own),
    unit: "ms",
    bar: { type: "at most", value: 10 },
    details,
  };
}

/** Says the time to every stream twenty times a second, and to `/flood` as much as it takes. */
const clock = `
const open = new Set();
require("node:http").createServer((request, response) => {
  response.writeHead(200, { "content-type": "application/octet-stream" });
  if (request.url === "/flood") {
    const block = Buffer.alloc(65536);
    const more = () => { while (!response.destroyed && response.write(block)); };
    response.on("drain", more);
    return more();
  }
  open.add(response);
  response.on("close", () => open.delete(response));
}).listen(Number(process.env.PORT), "127.0.0.1");
setInterval(() => { for (const each of open) each.write(Date.now() + "\\n"); }, 50);
`;

async function streams({ client, session, terms, say }: TrafficWorld): Promise<Figure> {
  const port = 20_000 + Math.floor(Math.random() * 20_000);
  const order = { argv: [process.execPath, "-e", clock], env: { PORT: String(port) } };
  await client.call("POST", `/v1/sessions/${session}/processes`, order);
  const base = `${client.url}/v1/sessions/${session}/ports/${port}`;
  const headers = { authorization: client.headers["authorization"] ?? "" };
  for (let tries = 0; (await fetch(`${base}/flood`, { headers }).then(closed, () => 0)) !== 200; tries += 1) {
    if (tries > 100) throw new Error("the server in the sandbox does not listen");
    await pause(100);
  }
  const delays = { alone: [] as number[], beside: [] as number[] };
  let into: number[] | null = null;
  const readers = Array.from({ length: terms.streams - 1 }, () =>
    get(`${base}/ticks`, { headers, agent: false }, (reply) => {
      reply.setEncoding("utf8");
      reply.on("data", (text: string) => {
        const now = Date.now();
        for (const line of text.split("\n")) if (line.length === 13) into?.push(now - Number(line));
      });
      reply.on("error", () => {});
    }).on("error", () => {}),
  );
  await pause(2_000);
  into = delays.alone;
  await pause(terms.listenMs);
  into = null;
  // Never read: its answer fills every buffer on the way, and stays.
  const stuck = get(`${base}/flood`, { headers, agent: false }, (reply) => void reply.pause().on("error", () => {}));
  stuck.on("error", () => {});
  await pause(2_000);
  into = delays.beside;
  await pause(terms.listenMs);
  into = null;
  for (const each of [stuck, ...readers]) each.destroy();
  const expected = (terms.streams - 1) * (terms.listenMs / 50);
  const [alone, beside] = [quantile(delays.alone, 0.95), quantile(delays.beside, 0.95)];
  say(`p95 of ${terms.streams} streams: ${alone} ms, with one stuck ${beside} ms`);
  return {
    id: "traffic.stuck",
    what: `${terms.streams} open streams of one session: p95 of the delay with one reader stuck`,
    against: "without it",
    value: Math.max(1, beside) / Math.max(1, alone),
    unit: "×",
    bar: { type: "at most", value: 1.5 },
    details: {
      streams: terms.streams,
      alone_p95_ms: alone,
      stuck_p95_ms: beside,
      share_of_ticks_that_came: delays.beside.length / expected,
    },
  };
}

async function closed(reply: Response): Promise<number> {
  await reply.body?.cancel();
  return reply.status;
}

async function terminal(url: string, headers: Readonly<Record<string, string>>): Promise<WebSocket> {
  const socket = new WebSocket(`${url}?${new URLSearchParams({ command: "exec cat" }).toString()}`, { headers });
  await once(socket, "open");
  // `ready`, and the shell has become `cat` when it answers.
  await echo(socket);
  return socket;
}

/** ms until the first byte of the echo. */
async function echo(socket: WebSocket): Promise<number> {
  const began = performance.now();
  const answered = new Promise<void>((resolve) => {
    const take = (_: Buffer, isBinary: boolean): void => {
      if (!isBinary) return;
      socket.off("message", take);
      resolve();
    };
    socket.on("message", take);
  });
  socket.send(Buffer.from("x"));
  await answered;
  const took = performance.now() - began;
  // What the terminal says of it besides must not count for the next.
  await pause(20);
  return took;
}
