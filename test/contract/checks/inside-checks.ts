/** What traffic is for: files, programs, terminals and ports of a sandbox, through the provider to a real agent and back. */
import assert from "node:assert/strict";
import type { Pass } from "../../../src/protocol/sandbox/traffic.ts";
import { bytesOf } from "../../support/service-events.ts";
import type { AnsweredSocket } from "../../support/upgrading-fetch.ts";
import { bound, type ContractSession, valueOf } from "../contract-session.ts";
import type { ProviderCheck, ProviderWorld } from "../provider-harness.ts";
import { heldSession, nonce, passOf } from "./traffic-checks.ts";

const needs = ["traffic", "inside"] as const;

export const insideChecks: readonly ProviderCheck[] = [
  { name: "a file is written, read, listed and removed, byte for byte [TRA-1]", needs, run: files },
  { name: "a program's two outputs and its exit code come through, and what it reads goes in", needs, run: programs },
  { name: "a terminal shows what is typed, and how it ended [TRA-10]", needs, run: terminals },
  {
    name: "a server in the sandbox is reached by its port, and a port where none listens is told as that [TRA-11]",
    needs,
    run: ports,
  },
  {
    name: "a WebSocket to a port speaks both ways, and a cut breaks it [TRA-9] [TRA-11]",
    needs: [...needs, "webSockets"],
    run: webSockets,
  },
  { name: "a directory comes out as an archive, and goes in again as one, file by file [TRA-1]", needs, run: archives },
  { name: "a watcher is told of a file while it watches", needs, run: watches },
  {
    name: "output comes while its program runs, and a cut breaks the stream instead of ending it [TRA-9]",
    needs,
    run: streams,
  },
];

interface Inside {
  readonly session: ContractSession;
  readonly ask: (method: string, path: string, body?: string | Uint8Array<ArrayBuffer>) => Promise<Response>;
  /** Asks for a WebSocket. */
  readonly upgrade: (path: string) => Promise<Response>;
}

async function inside(world: ProviderWorld): Promise<Inside> {
  const session = await heldSession(world);
  const pass: Pass = await passOf(session);
  const { traffic } = world.provider;
  assert.ok(traffic, "a provider that declares `traffic` has it");
  const send = async (method: string, path: string, headers: Headers, body: ReadableStream<Uint8Array> | null) =>
    valueOf(
      await world.settle(traffic.send(pass, nonce, { method, path, headers, body }, bound())),
      `${method} ${path}`,
    );
  return {
    session,
    ask: (method, path, body) =>
      send(method, path, new Headers(), body === undefined ? null : new Blob([body]).stream()),
    upgrade: (path) => send("GET", path, new Headers({ upgrade: "websocket" }), null),
  };
}

async function files(world: ProviderWorld): Promise<void> {
  const { ask } = await inside(world);
  const bytes = Uint8Array.from({ length: 300_000 }, (_, index) => (index * 31) % 251);
  const path = encodeURIComponent("sub/näme with space.bin");
  const written = await ask("PUT", `files?path=${path}`, bytes);
  assert.equal(written.ok, true, await written.text());
  const read = await ask("GET", `files?path=${path}`);
  assert.deepEqual(new Uint8Array(await read.arrayBuffer()), bytes);
  const listed = (await (await ask("GET", "files/list?path=sub")).json()) as {
    readonly data: readonly { readonly name: string; readonly size: number }[];
  };
  assert.deepEqual(
    listed.data.map(({ name, size }) => [name, size]),
    [["näme with space.bin", bytes.length]],
  );
  await (await ask("DELETE", `files?path=${path}`)).body?.cancel();
  assert.equal((await ask("GET", `files?path=${path}`)).status, 404);
}

interface Said {
  readonly stdout: string;
  readonly stderr: string;
  readonly terminal: string;
  readonly exit: Readonly<Record<string, unknown>> | null;
}

/** The whole stream of a process's events, once it has ended. */
async function saidBy(reply: Response): Promise<Said> {
  const said = { stdout: "", stderr: "", terminal: "" };
  let exit: Said["exit"] = null;
  for (const event of (await reply.text()).split("\n\n")) {
    const name = /^event: (.*)$/m.exec(event)?.[1] ?? "";
    const data = /^data: (.*)$/m.exec(event)?.[1];
    if (data === undefined) continue;
    const told = JSON.parse(data) as Record<string, unknown>;
    if (name === "exit") exit = told;
    else if (name in said) said[name as keyof typeof said] += bytesOf(told).toString();
  }
  return { ...said, exit };
}

async function started(ask: Inside["ask"], order: object): Promise<number> {
  const reply = await ask("POST", "processes", JSON.stringify(order));
  const text = await reply.text();
  assert.equal(reply.ok, true, text);
  return (JSON.parse(text) as { readonly pid: number }).pid;
}

async function archives(world: ProviderWorld): Promise<void> {
  const { ask } = await inside(world);
  const bytes = Uint8Array.from({ length: 70_000 }, (_, index) => (index * 17) % 253);
  for (const path of ["packed/one", "packed/deep/two"]) {
    const written = await ask("PUT", `files?path=${encodeURIComponent(path)}`, bytes);
    assert.equal(written.ok, true, await written.text());
  }
  const packed = await ask("GET", "files/archive?path=packed");
  assert.equal(packed.status, 200);
  const archive = new Uint8Array(await packed.arrayBuffer());
  const unpacked = await ask("PUT", "files/archive?path=unpacked", archive);
  assert.equal(unpacked.ok, true, await unpacked.text());
  for (const path of ["unpacked/one", "unpacked/deep/two"]) {
    const read = await ask("GET", `files?path=${encodeURIComponent(path)}`);
    assert.deepEqual(new Uint8Array(await read.arrayBuffer()), bytes);
  }
}

/** Reads on until what has come so far holds these words. */
async function readUntil(reader: ReadableStreamDefaultReader<Uint8Array>, words: RegExp): Promise<void> {
  const decoder = new TextDecoder();
  for (let seen = ""; !words.test(seen);) {
    const { done, value } = await reader.read();
    assert.equal(done, false, `the stream ended before ${String(words)} came: ${seen}`);
    seen += decoder.decode(value, { stream: true });
  }
}

function readerOf(reply: Response): ReadableStreamDefaultReader<Uint8Array> {
  assert.equal(reply.status, 200);
  assert.ok(reply.body);
  return reply.body.getReader() as ReadableStreamDefaultReader<Uint8Array>;
}

async function watches(world: ProviderWorld): Promise<void> {
  const { ask } = await inside(world);
  const reader = readerOf(await ask("GET", "files/watch?path=."));
  // Its first event says that it watches.
  await readUntil(reader, /\n\n/);
  await (await ask("PUT", "files?path=appears", "here")).body?.cancel();
  await readUntil(reader, /event: created\ndata: [^\n]*appears/);
  await reader.cancel();
}

async function streams(world: ProviderWorld): Promise<void> {
  const { session, ask } = await inside(world);
  const pid = await started(ask, { command: "echo begun; sleep 300" });
  const reader = readerOf(await ask("GET", `processes/${pid}/output`));
  await readUntil(reader, /event: stdout/);
  valueOf(await world.settle(session.wrapper().cutTraffic(bound())), "cut");
  await assert.rejects(async () => {
    while (!(await reader.read()).done);
  }, "the stream that was cut came to an end of its own");
}

async function programs(world: ProviderWorld): Promise<void> {
  const { ask } = await inside(world);
  const pid = await started(ask, { command: "read word; echo out $word; echo err >&2; exit 7", stdin: true });
  await (await ask("POST", `processes/${pid}/stdin?end=true`, "given\n")).body?.cancel();
  const said = await saidBy(await ask("GET", `processes/${pid}/output`));
  assert.deepEqual([said.stdout, said.stderr, said.exit?.["exit_code"]], ["out given\n", "err\n", 7]);
}

async function terminals(world: ProviderWorld): Promise<void> {
  const { ask } = await inside(world);
  const pid = await started(ask, { command: "stty size; read word; exit 3", terminal: { cols: 100, rows: 30 } });
  await (await ask("POST", `processes/${pid}/stdin`, "typed\n")).body?.cancel();
  const said = await saidBy(await ask("GET", `processes/${pid}/output`));
  assert.match(said.terminal, /30 100/);
  assert.match(said.terminal, /typed/);
  assert.equal(said.exit?.["exit_code"], 3);
}

/** Once its server is there. */
async function serverPort(world: ProviderWorld, ask: Inside["ask"]): Promise<number> {
  const { inside: power } = world.can;
  assert.ok(power);
  const port = await power.port();
  const closed = await ask("GET", `ports/${port}/inside`);
  await closed.body?.cancel();
  assert.equal(closed.status, 502);
  await started(ask, { argv: power.server(port) });
  for (let tries = 0; tries < 600; tries += 1) {
    const reply = await ask("GET", `ports/${port}/inside`);
    const text = await reply.text();
    if (reply.status === 200) {
      assert.equal(text, "inside");
      return port;
    }
    await world.wait(100);
  }
  assert.fail("the server is not reached");
}

async function ports(world: ProviderWorld): Promise<void> {
  const { ask } = await inside(world);
  await serverPort(world, ask);
}

async function webSockets(world: ProviderWorld): Promise<void> {
  const { session, ask, upgrade } = await inside(world);
  const port = await serverPort(world, ask);
  const answer = await upgrade(`ports/${port}/socket`);
  const { webSocket } = answer as unknown as { readonly webSocket?: AnsweredSocket | null };
  assert.equal(answer.status, 101);
  assert.ok(webSocket, "the answer carries no socket");
  const said: string[] = [];
  let heard = (): void => {};
  const told = (what: string) =>
    world.settle(
      new Promise<void>((resolve) => {
        heard = () => void (said.includes(what) && resolve());
        heard();
      }),
    );
  webSocket.addEventListener("message", ({ data }) => {
    said.push(String(data));
    heard();
  });
  webSocket.addEventListener("close", () => {
    said.push("closed");
    heard();
  });
  webSocket.accept();
  await told("hello");
  webSocket.send("again");
  await told("again");
  valueOf(await world.settle(session.wrapper().cutTraffic(bound())), "cut");
  await told("closed");
}
