/** A large file up and down through all hops, beside a plain HTTP server that does the same, and the memory that it takes meanwhile. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { Readable } from "node:stream";
import { weigh } from "../../../scripts/demo/processes.ts";
import { markers } from "../../../src/protocol/sandbox/markers.ts";
import { temporaryDirectory } from "../../support/wrapper-instance.ts";
import { type Figure, median } from "../figure.ts";
import type { TrafficWorld } from "./traffic-world.ts";

export async function files({ client, workerd, session, terms, say }: TrafficWorld): Promise<readonly Figure[]> {
  const { bytes, rounds } = terms;
  const url = `${client.url}/v1/sessions/${session}/files?path=big.bin`;
  const headers = { authorization: client.headers["authorization"] ?? "" };
  const plain = await plainServer();
  const ratios = { up: [] as number[], down: [] as number[] };
  const speeds: Record<string, number> = {};
  const resident = (): { readonly worker: number; readonly agent: number } => ({
    worker: workerd.residentBytes(),
    agent: agentBytes(session),
  });
  try {
    // The first request starts the process that serves files, which is no cost of the file.
    await sent(url, headers, 1);
    const before = resident();
    const most = { ...before };
    const watch = setInterval(() => {
      const { worker, agent } = resident();
      most.worker = Math.max(most.worker, worker);
      most.agent = Math.max(most.agent, agent);
    }, 100);
    try {
      for (let round = 0; round < rounds; round += 1) {
        const [plainUp, up] = [await sent(plain.url, {}, bytes), await sent(url, headers, bytes)];
        const [plainDown, down] = [await received(plain.url, {}, bytes), await received(url, headers, bytes)];
        ratios.up.push(up / plainUp);
        ratios.down.push(down / plainDown);
        Object.assign(speeds, { up, down, plain_up: plainUp, plain_down: plainDown });
        say(`up ${up.toFixed(0)} MB/s of ${plainUp.toFixed(0)}, down ${down.toFixed(0)} of ${plainDown.toFixed(0)}`);
      }
    } finally {
      clearInterval(watch);
    }
    const details = { megabytes: bytes / 1e6, rounds, ...speeds };
    const large = `${bytes / 1e6} MB`;
    const ratio = (way: "up" | "down", what: string): Figure => ({
      id: `traffic.${way}`,
      what,
      against: "a plain HTTP server in a process of its own that does the same",
      value: median(ratios[way]),
      unit: "×",
      bar: { type: "at least", value: 0.7 },
      details,
    });
    const gained = (of: "worker" | "agent", what: string): Figure => ({
      id: `traffic.memory.${of}`,
      what,
      against: "before",
      value: (most[of] - before[of]) / 1e6,
      unit: "MB",
      bar: { type: "at most", value: 30 },
      details: { before_mb: before[of] / 1e6, most_mb: most[of] / 1e6 },
    });
    return [
      ratio("up", `a file of ${large} into a sandbox, through all hops`),
      ratio("down", `a file of ${large} out of a sandbox, through all hops`),
      gained("worker", "memory that workerd gains meanwhile"),
      gained("agent", "memory that the agent gains meanwhile, all its processes"),
    ];
  } finally {
    plain.end();
  }
}

function zeros(bytes: number): ReadableStream<Uint8Array> {
  const block = new Uint8Array(65_536);
  function* blocks(): Generator<Uint8Array> {
    for (let left = bytes; left > 0; left -= block.length) yield left < block.length ? block.subarray(0, left) : block;
  }
  return Readable.toWeb(Readable.from(blocks(), { objectMode: false })) as unknown as ReadableStream<Uint8Array>;
}

/** MB/s, until the answer says that all of it is there. */
async function sent(url: string, headers: Readonly<Record<string, string>>, bytes: number): Promise<number> {
  const began = performance.now();
  const init = { method: "PUT", headers, body: zeros(bytes), duplex: "half" } as RequestInit;
  const reply = await fetch(url, init);
  if (!reply.ok) throw new Error(`${url} was answered ${reply.status}: ${await reply.text()}`);
  await reply.body?.cancel();
  return bytes / 1e3 / (performance.now() - began);
}

async function received(url: string, headers: Readonly<Record<string, string>>, bytes: number): Promise<number> {
  const began = performance.now();
  const reply = await fetch(url, { headers });
  if (!reply.ok || reply.body === null) throw new Error(`${url} was answered ${reply.status}`);
  let came = 0;
  for await (const chunk of reply.body) came += chunk.length;
  if (came !== bytes) throw new Error(`${came} of ${bytes} bytes came`);
  return bytes / 1e3 / (performance.now() - began);
}

/** Writes what is put into a file and gives it back, as the agent does, in a process of its own. */
async function plainServer(): Promise<{ readonly url: string; end(): void }> {
  const file = `${temporaryDirectory()}/plain.bin`;
  const program = `
    const fs = require("node:fs"), { pipeline } = require("node:stream");
    require("node:http").createServer((request, reply) => {
      if (request.method === "PUT") pipeline(request, fs.createWriteStream(process.argv[1]), () => reply.end());
      else pipeline(fs.createReadStream(process.argv[1]), reply, () => {});
    }).listen(0, "127.0.0.1", function () { console.log(this.address().port) })`;
  const server = spawn(process.execPath, ["-e", program, file], { stdio: ["ignore", "pipe", "inherit"] });
  const [port] = (await once(server.stdout, "data")) as [Buffer];
  return {
    url: `http://127.0.0.1:${port.toString().trim()}/`,
    end: () => {
      server.kill("SIGKILL");
      rmSync(file, { force: true });
    },
  };
}

/** Of all processes that bear the session's mark and are not a client's: the wrapper, its guardian, the one that serves files. */
function agentBytes(session: string): number {
  const mark = Buffer.from(`${markers.session}=${session}\0`);
  let bytes = 0;
  for (const pid of readdirSync("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      if (readFileSync(`/proc/${pid}/environ`).includes(mark)) bytes += weigh(Number(pid)).resident;
    } catch {
      // It ended meanwhile, or is not ours.
    }
  }
  return bytes;
}
