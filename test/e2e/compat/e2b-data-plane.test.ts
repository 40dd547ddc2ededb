/** E2B's SDKs, unmodified, inside a sandbox: commands, files, terminals, watching, over workerd, the local host and a real agent. */
import { request as sendRequest } from "node:http";
import { text as textOf } from "node:stream/consumers";
import { CommandExitError, FileNotFoundError, getSignature, Sandbox } from "e2b";
import { afterAll, beforeAll, expect, it } from "vitest";
import { freePort } from "../../../scripts/stack/ports.ts";
import { Mooring } from "../../../src/client/mooring.ts";
import { e2bFormOf } from "../../../src/protocol/api-keys.ts";
import { calmVars, temporaryStack, type TemporaryStack } from "../../support/temporary-stack.ts";
import { until } from "../../support/until.ts";

const server = (port: number): string =>
  `require("http").createServer((_, r) => r.end(require("fs").readFileSync("index.html"))).listen(${port}, "127.0.0.1")`;

let world: TemporaryStack;
let sandbox: Sandbox;
let options: { readonly apiKey: string; readonly apiUrl: string; readonly sandboxUrl: string };
beforeAll(async () => {
  world = await temporaryStack({ vars: { ...calmVars, TENANT_MAX_SANDBOXES: "8" } });
  const { url } = world.stack;
  options = { apiKey: e2bFormOf(await world.stack.apiKey("data-plane")), apiUrl: url, sandboxUrl: url };
  sandbox = await Sandbox.create("base", { ...options, envs: { GREETING: "hello" } });
});
afterAll(() => world.stop());

it("a command has its output in two streams, its exit code and the sandbox's variables [TRA-13]", async () => {
  const ran = await sandbox.commands.run('echo "$GREETING"; echo trouble >&2; echo "$E2B_SANDBOX_ID"');
  expect(ran).toMatchObject({ exitCode: 0, stdout: `hello\n${sandbox.sandboxId}\n`, stderr: "trouble\n" });
  await expect(sandbox.commands.run("exit 3")).rejects.toThrow("exit status 3");
});

it("files are written, read, described, moved and removed [TRA-13]", async () => {
  const { files } = sandbox;
  await files.write("notes/a b.txt", "one");
  await files.write([
    { path: "notes/c.txt", data: "two" },
    { path: "notes/d.bin", data: new Uint8Array([0, 255]).buffer },
  ]);
  expect(await files.read("notes/a b.txt")).toBe("one");
  expect([...(await files.read("notes/d.bin", { format: "bytes" }))]).toEqual([0, 255]);
  expect((await files.list("notes")).map(({ name, size }) => [name, size])).toEqual([
    ["a b.txt", 3],
    ["c.txt", 3],
    ["d.bin", 2],
  ]);
  expect([await files.makeDir("deep/er"), await files.makeDir("deep/er")]).toEqual([true, false]);
  await files.rename("notes/c.txt", "deep/er/c.txt");
  expect([await files.exists("notes/c.txt"), await files.read("deep/er/c.txt")]).toEqual([false, "two"]);
  await files.remove("deep");
  await expect(files.read("deep/er/c.txt")).rejects.toThrow(FileNotFoundError);
  await expect(files.list("nowhere")).rejects.toThrow(FileNotFoundError);
});

it("a command in the background is listed, fed, and killed [TRA-13]", async () => {
  const { commands } = sandbox;
  const cat = await commands.run("cat", { background: true, stdin: true, timeoutMs: 0 });
  await commands.sendStdin(cat.pid, "line\n");
  expect((await commands.list()).map(({ pid }) => pid)).toContain(cat.pid);
  await commands.closeStdin(cat.pid);
  expect((await cat.wait()).stdout).toBe("line\n");
  const sleep = await commands.run("sleep 300", { background: true, timeoutMs: 0 });
  expect(await commands.kill(sleep.pid)).toBe(true);
  await expect(sleep.wait()).rejects.toThrow("signal: killed");
  expect(await commands.kill(sleep.pid)).toBe(false);
});

it("a watcher hears of a write, also in a directory that came later [TRA-13]", async () => {
  await sandbox.files.makeDir("watched");
  const heard: string[] = [];
  const watcher = await sandbox.files.watchDir(
    "watched",
    ({ type, name }) => {
      heard.push(`${type} ${name}`);
    },
    { recursive: true },
  );
  await sandbox.files.write("watched/new/file.txt", "x");
  await until("the write is heard of", async () => heard.includes("write new/file.txt"));
  await watcher.stop();
});

/** As a browser would: the host name that the SDK gave, and nothing else. */
function open(
  host: string,
  path = "/",
  headers: Readonly<Record<string, string>> = {},
): Promise<{ readonly status: number; readonly text: string }> {
  const { hostname, port } = new URL(world.stack.url);
  return new Promise((resolve, reject) => {
    const request = sendRequest({ host: hostname, port, path, headers: { host, ...headers } });
    request.once("error", reject);
    request.once("response", (answer) => {
      void textOf(answer).then((text) => resolve({ status: answer.statusCode ?? 0, text }), reject);
    });
    request.end();
  });
}

it("without public traffic a port wants the sandbox's own token, and a request after a resume is served at once [TRA-11] [TRA-13]", async () => {
  const closed = await Sandbox.create("base", { ...options, network: { allowPublicTraffic: false } });
  const port = (await freePort(0)) ?? 0;
  await closed.files.write("index.html", "a page");
  await closed.commands.run(`exec node -e '${server(port)}'`, { background: true, timeoutMs: 0 });
  const host = closed.getHost(port);
  const token = { "e2b-traffic-access-token": closed.trafficAccessToken ?? "" };
  await until("the server answers", async () => (await open(host, "/", token)).status === 200);
  expect((await open(host)).status).toBe(403);
  // The Worker still keeps the pass of the sandbox that was paused.
  await closed.pause();
  await closed.connect();
  expect((await closed.commands.run("cat index.html")).stdout).toBe("a page");
  await closed.kill();
});

it("getHost names a host that reaches the port, without a credential, until the sandbox is gone [TRA-11] [TRA-13]", async () => {
  const other = await Sandbox.create("base", options);
  const port = (await freePort(0)) ?? 0;
  await other.files.write("served/index.html", "a page");
  await other.commands.run(`cd served && exec node -e '${server(port)}'`, { background: true, timeoutMs: 0 });
  const host = other.getHost(port);
  expect(host).toMatch(new RegExp(`^${port}-${other.sandboxId}\\.localhost:\\d+$`));
  const page = await until("the server answers", async () => {
    const answer = await open(host);
    return answer.status === 200 ? answer : null;
  });
  expect(page.text).toBe("a page");
  // The data plane has a host name of its own, and a signed address needs nothing but that.
  const files = new URL(`http://${other.getHost(49_983)}`);
  const signature = await getSignature({
    path: "served/index.html",
    operation: "read",
    user: undefined,
    envdAccessToken: (other as unknown as { envdAccessToken: string }).envdAccessToken,
  });
  const query = new URLSearchParams({ path: "served/index.html", signature: signature.signature });
  expect(await open(files.host, `/files?${query.toString()}`)).toEqual({ status: 200, text: "a page" });
  // Nothing else of Mooring's is below a host name of a sandbox.
  for (const path of ["/v1/sessions", "/console", "/docs", "/healthz"])
    expect((await open(files.host, path)).status, path).toBe(404);
  await other.kill();
  const gone = await open(host);
  expect(gone.status).toBe(502);
  expect(JSON.parse(gone.text)).toEqual({
    sandboxId: other.sandboxId,
    message: "The sandbox was not found",
    code: 502,
  });
});

it("a session of the native API keeps its ports closed unless it says otherwise [TRA-11] [TRA-12]", async () => {
  const key = await world.stack.apiKey("data-plane");
  const mooring = new Mooring({ url: world.stack.url, key, timeoutMs: 60_000 });
  const { port: ours } = new URL(world.stack.url);
  const hostOf = (id: string, port: number) => `${port}-${id}.localhost:${ours}`;
  const closed = await mooring.create({}, { waitSeconds: 60 });
  const opened = await mooring.create({ public_ports: true }, { waitSeconds: 60 });
  expect((await open(hostOf(closed.id, 8_000))).status).toBe(403);
  expect(JSON.parse((await open(hostOf(opened.id, 8_000))).text)).toMatchObject({ code: "port_closed" });
  // Whether there is such a session is nobody's business.
  expect((await open(hostOf("a".repeat(20), 8_000))).status).toBe(403);
  await Promise.all([closed.end(), opened.end()]);
});

it("servers get the Host that maskRequestHost names; an image without an MCP gateway is told by the SDK [TRA-11] [TRA-13]", async () => {
  const masked = await Sandbox.create("base", {
    ...options,
    network: { maskRequestHost: "app.example.com:${PORT}" },
  });
  const port = (await freePort(0)) ?? 0;
  const echo = `require("http").createServer((q, r) => r.end(q.headers.host)).listen(${port}, "127.0.0.1")`;
  await masked.commands.run(`exec node -e '${echo}'`, { background: true, timeoutMs: 0 });
  const seen = await until("the server answers", async () => {
    const answer = await open(masked.getHost(port));
    return answer.status === 200 ? answer.text : null;
  });
  expect(seen).toBe(`app.example.com:${port}`);
  await masked.kill();
  // It runs as root, so who is not root here is told that; either way it is words, and no sandbox is left.
  const words = process.getuid?.() === 0 ? "Failed to start MCP gateway" : "invalid username";
  const metadata = { gateway: "none" };
  await expect(Sandbox.create("base", { ...options, metadata, mcp: { none: {} } as never })).rejects.toThrow(words);
  expect(await Sandbox.list({ ...options, query: { metadata } }).nextItems()).toEqual([]);
});

it("a kill cuts what is open: no exit code is made up [TRA-9]", async () => {
  const other = await Sandbox.create("base", options);
  const running = await other.commands.run("sleep 300", { background: true, timeoutMs: 0 });
  const ended = running.wait().catch((error: unknown) => error);
  await other.kill();
  expect(await ended).not.toBeInstanceOf(CommandExitError);
  await expect(other.commands.run("true")).rejects.toThrow();
});
