/** Files, processes and terminals through every hop: client, Worker, local host, wrapper, service process. */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { Mooring, type Session } from "../../../src/client/mooring.ts";
import type { TerminalSockets } from "../../../src/client/session/terminal.ts";
import { temporaryStack, type TemporaryStack } from "../../support/temporary-stack.ts";
import { until } from "../../support/until.ts";

let world: TemporaryStack;
let session: Session;
beforeAll(async () => {
  world = await temporaryStack();
  const mooring = new Mooring({ url: world.stack.url, key: await world.stack.apiKey("e2e"), timeoutMs: 60_000 });
  session = await mooring.create({ idle_timeout_seconds: 600 }, { waitSeconds: 60 });
  await session.until("running");
});
afterAll(() => world.stop());

const text = (stream: ReadableStream<Uint8Array>) => new Response(stream).arrayBuffer();

describe("files", () => {
  it("[TRA-1] go in and out exactly, as text, as bytes and as streams", async () => {
    await session.files.write("a b/ü+&.txt", "content");
    expect(await session.files.readText("a b/ü+&.txt")).toBe("content");
    const bytes = randomBytes(20_000_000);
    const made = await session.files.write("big", new Blob([bytes]).stream(), { ifMatch: null, mode: 0o600 });
    expect(made).toMatchObject({ size: bytes.length, mode: 0o600 });
    expect(Buffer.from(await session.files.read("big")).equals(bytes)).toBe(true);
    const part = await session.files.read("big", { range: { from: 5, to: 9 } });
    expect(Buffer.from(part)).toEqual(bytes.subarray(5, 10));
    await expect(session.files.write("big", "x", { ifMatch: null })).rejects.toMatchObject({
      code: "precondition_failed",
    });
    await session.files.write("big", "small", { ifMatch: made.etag });
    expect((await session.files.stat("big")).size).toBe(5);
  });

  it("are listed, made, moved and removed", async () => {
    await session.files.mkdir("tree/sub");
    await session.files.write("tree/sub/file", "x");
    await session.files.move("tree/sub/file", "tree/moved");
    const names: string[] = [];
    for await (const { name } of session.files.list("tree", { depth: 3 })) names.push(name);
    expect(names).toEqual(["moved", "sub"]);
    await expect(session.files.remove("tree")).rejects.toMatchObject({ code: "directory_not_empty" });
    await session.files.remove("tree", { recursive: true });
    await expect(session.files.stat("tree")).rejects.toMatchObject({
      code: "file_not_found",
      problem: { status: 404 },
    });
  });

  it("go as whole directories", async () => {
    await session.files.write("packed/one", "1");
    const tar = await text(await session.files.download("packed"));
    await session.files.upload("unpacked", new Uint8Array(tar));
    expect(await session.files.readText("unpacked/one")).toBe("1");
    const names = execFileSync("tar", ["-tf", "-"], { input: Buffer.from(tar) }).toString();
    expect(names).toContain("./one");
  });

  it("are watched", async () => {
    await session.files.mkdir("watched");
    const changes = session.files.watch("watched");
    expect((await changes.next()).value).toBeNull();
    await session.files.write("watched/new", "1");
    const { value } = await changes.next();
    expect(value).toMatchObject({ kind: "created" });
    await changes.return(undefined);
  });

  it("[TRA-3] a refusal is a problem with a code and words", async () => {
    await expect(session.files.read(".")).rejects.toMatchObject({ code: "is_a_directory" });
    await expect(session.files.read("missing")).rejects.toMatchObject({ code: "file_not_found" });
    await expect(session.files.read("n".repeat(300))).rejects.toMatchObject({ code: "name_too_long" });
  });
});

describe("processes", () => {
  it("run with their outputs apart", async () => {
    const { stdout, stderr, exitCode } = await session.exec("echo out; echo err >&2; exit 3");
    expect([stdout, stderr, exitCode]).toEqual(["out\n", "err\n", 3]);
    expect((await session.exec(["printf", "%s", "a b"], { env: { A: "1" } })).stdout).toBe("a b");
    await expect(session.exec(["no-such-program"])).rejects.toMatchObject({ code: "cannot_start" });
  });

  it("are written to, listed, signalled and ended", async () => {
    const cat = await session.start({ argv: ["cat"], stdin: true, tag: "cat" });
    expect((await session.processes()).map(({ tag }) => tag)).toContain("cat");
    await cat.write("hello\n", { end: true });
    const output = cat.output();
    const { value } = await output.next();
    expect(value).toMatchObject({ stream: "stdout" });
    expect(await output.next()).toMatchObject({ done: true, value: { exit_code: 0 } });
    const sleeping = await session.start({ command: "sleep 600" });
    await sleeping.signal("SIGTERM");
    await until("it has ended", async () => (await sleeping.read()).state === "ended");
    const other = await session.start({ command: "sleep 600" });
    expect(await other.end()).toMatchObject({ state: "ended" });
    await expect(session.process(999_999).read()).rejects.toMatchObject({ code: "process_not_found" });
  });

  it("[TRA-10] a terminal is opened, typed into, and comes back by its pid", async () => {
    let shown = "";
    const options = {
      WebSocket: WebSocket as unknown as TerminalSockets,
      onData: (bytes: Uint8Array) => (shown += Buffer.from(bytes).toString()),
    };
    const first = await session.terminal({ ...options, cols: 90, rows: 20 });
    first.write("stty size; echo seen\n");
    await until("it shows the size", () => Promise.resolve(shown.includes("20 90") && shown.includes("seen\r\n")));
    first.close();
    expect(await first.closed).toBeNull();
    shown = "";
    const second = await session.terminal({ ...options, pid: first.pid });
    await until("it shows what was there", () => Promise.resolve(shown.includes("seen\r\n")));
    second.write("exit 4\n");
    expect(await second.closed).toEqual({ exit_code: 4, signal: null });
  });
});

it("[TRA-9] an end cuts what is open, and nobody is told a made-up exit", async () => {
  const mooring = new Mooring({ url: world.stack.url, key: await world.stack.apiKey("e2e"), retry: { attempts: 1 } });
  const other = await mooring.create({ idle_timeout_seconds: 300 }, { waitSeconds: 60 });
  await other.until("running");
  const running = other.exec("sleep 600");
  await until("it runs", async () => (await other.processes()).length === 1);
  const ended = running.then(
    (result) => ({ result }),
    (error: unknown) => ({ error }),
  );
  await other.delete();
  expect(await ended).toHaveProperty("error");
  await expect(other.files.read("x")).rejects.toMatchObject({ code: "session_gone" });
});
