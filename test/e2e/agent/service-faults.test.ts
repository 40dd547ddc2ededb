/** The service process of a real wrapper where something is wrong: with the disk, the image, the client, or the file. */
import { execFileSync } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { call, json, open, type CallBody, type Reply } from "../../support/service-calls.ts";
import { eventsOf, outcomeOf } from "../../support/service-events.ts";
import { until } from "../../support/until.ts";
import {
  disposeInstances,
  removeDirectories,
  startInstance,
  temporaryDirectory,
  type Instance,
} from "../../support/wrapper-instance.ts";

let instance: Instance;
let workspace: string;
beforeAll(async () => {
  instance = await startInstance({ lease_ttl_ms: 600_000, env: { SEALED: "a value that only jobs may see" } });
  await instance.renew();
  workspace = instance.boot.workspace_dir;
});
afterAll(async () => {
  await disposeInstances();
  removeDirectories();
});

const at = (...names: string[]) => join(workspace, ...names);
const code = (reply: Reply) => (json(reply) as { code?: string }).code;
const connectJson = { "content-type": "application/json" };
const rpc = (method: string, message: object): Promise<Reply> =>
  call(instance, "POST", `/envd/${method}`, { headers: connectJson, body: JSON.stringify(message) });
function envelope(message: object): Buffer {
  const payload = Buffer.from(JSON.stringify(message));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(payload.length, 1);
  return Buffer.concat([head, payload]);
}
const stream = (method: string, message: object) =>
  open(instance, "POST", `/envd/${method}`, {
    headers: { "content-type": "application/connect+json" },
    body: envelope(message),
  });

/** The process of this instance that serves files. */
function servicePid(of: Instance): number {
  const mark = Buffer.from(`MOORING_INSTANCE_ID=${of.boot.instance_id}`);
  const found = readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
      return line.includes("services") && readFileSync(`/proc/${pid}/environ`).includes(mark);
    } catch {
      return false;
    }
  });
  expect(found).toHaveLength(1);
  return Number(found[0]);
}

describe("a disk that is full", () => {
  const limited = async (act: () => Promise<void>): Promise<void> => {
    await call(instance, "PUT", "/files?path=first", { body: "x" });
    const pid = servicePid(instance);
    execFileSync("prlimit", ["--pid", String(pid), "--fsize=100000:unlimited"]);
    try {
      await act();
    } finally {
      execFileSync("prlimit", ["--pid", String(pid), "--fsize=unlimited:unlimited"]);
    }
  };
  const large = (): CallBody => ({ body: Readable.from(Array.from({ length: 40 }, () => Buffer.alloc(65_536, 1))) });

  it("in the middle of an upload is told as that, and the old file stays [TRA-1]", async () => {
    await limited(async () => {
      const reply = await call(instance, "PUT", "/files?path=first", large());
      expect([reply.status, code(reply)]).toEqual([507, "no_space"]);
    });
    expect(readFileSync(at("first"), "utf8")).toBe("x");
    expect(readdirSync(workspace).filter((name) => name.includes(".part"))).toEqual([]);
  });

  it("is told to an E2B client too, for one body and for a form [TRA-13]", async () => {
    await limited(async () => {
      const headers = { "content-type": "application/octet-stream" };
      const raw = await call(instance, "POST", "/envd/files?path=first", { ...large(), headers });
      expect([raw.status, code(raw)]).toEqual([507, 507]);
      const head = '--b\r\ncontent-disposition: form-data; name="file"; filename="first"\r\n\r\n';
      const body = Readable.from([Buffer.from(head), ...Array.from({ length: 40 }, () => Buffer.alloc(65_536, 1))]);
      const form = await call(instance, "POST", "/envd/files", {
        headers: { "content-type": "multipart/form-data; boundary=b" },
        body,
      });
      expect([form.status, code(form)]).toEqual([507, 507]);
    });
    expect(readFileSync(at("first"), "utf8")).toBe("x");
  });

  it("in the middle of an archive is told in tar's words", async () => {
    mkdirSync(at("big"));
    writeFileSync(at("big/file"), Buffer.alloc(3_000_000, 1));
    const packed = (await call(instance, "GET", "/files/archive?path=big")).body;
    await limited(async () => {
      const reply = await call(instance, "PUT", "/files/archive?path=unpacked", { body: packed });
      expect(json(reply)).toMatchObject({ message: expect.stringContaining("tar could not do all of it") });
    });
  });
});

describe("the session's variables", () => {
  it("are in a process that an E2B client starts, and not shown with it [SEC-7]", async () => {
    const started = await stream("process.Process/Start", {
      process: { cmd: "/bin/sh", args: ["-c", 'echo "$SEALED"; sleep 30'], envs: { OWN: "shown" } },
      stdin: false,
    });
    let seen = "";
    for await (const chunk of started as AsyncIterable<Buffer>) {
      seen += chunk.toString();
      if (seen.includes('"stdout"')) break;
    }
    expect(seen).toContain(Buffer.from("a value that only jobs may see\n").toString("base64"));
    const { data } = json(await call(instance, "GET", "/processes")) as { data: { pid: number; env: object }[] };
    expect(data.map(({ env }) => env)).toEqual([{ OWN: "shown" }]);
    expect((await rpc("process.Process/List", {})).body.toString()).not.toContain("a value that only");
    await call(instance, "DELETE", `/processes/${data[0]?.pid}?grace_seconds=0`);
  });
});

describe("an image without mkfifo", () => {
  it("runs processes all the same, over sockets [TRA-4]", async () => {
    const poor = await startInstance({ lease_ttl_ms: 600_000, env: { PATH: temporaryDirectory() } });
    await poor.renew();
    const answer = await open(poor, "POST", "/processes?output=true", {
      body: JSON.stringify({ command: "echo out; read line; echo $line", stdin: true }),
    });
    const events = eventsOf(answer);
    const first = await events.next();
    const { pid } = (first.value as { data: { pid: number } }).data;
    await call(poor, "POST", `/processes/${pid}/stdin`, { body: "in\n" });
    const outcome = await outcomeOf(events);
    expect([outcome.stdout.toString(), outcome.exit?.["exit_code"]]).toEqual(["out\nin\n", 0]);
    expect((await call(poor, "GET", "/processes")).status).toBe(200);
  });
});

describe("a service process that is killed", () => {
  it("leaves named pipes, which the next one removes; those of another instance stay", async () => {
    const temporary = temporaryDirectory();
    const killed = await startInstance({ lease_ttl_ms: 600_000, env: { TMPDIR: temporary } });
    await killed.renew();
    mkdirSync(join(temporary, ".mooring-pipes-another-instance-x"));
    const pipes = () => readdirSync(temporary).filter((name) => name.startsWith(".mooring-pipes-"));
    const ran = () => call(killed, "POST", "/processes", { body: JSON.stringify({ command: "true" }) });
    expect((await ran()).status).toBeLessThan(300);
    const [left] = pipes().filter((name) => !name.includes("another"));
    expect(left).toContain(killed.boot.instance_id);
    process.kill(servicePid(killed), "SIGKILL");
    await until("the next one runs", async () => {
      // A request that meets the one that is being killed breaks off with it.
      const answer = await ran().catch(() => null);
      return answer !== null && answer.status < 300;
    });
    expect(pipes()).toHaveLength(2);
    expect(pipes()).not.toContain(left);
    expect(pipes()).toContain(".mooring-pipes-another-instance-x");
  });
});

describe("what is no file", () => {
  it("is not written by an E2B client: a pipe would hold a thread for ever", async () => {
    execFileSync("mkfifo", [at("pipe")]);
    const headers = { "content-type": "application/octet-stream" };
    const replies = await Promise.all(
      Array.from({ length: 8 }, () => call(instance, "POST", "/envd/files?path=pipe", { headers, body: "x" })),
    );
    expect(replies.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 400));
    expect((await call(instance, "GET", "/files?path=first")).status).toBe(200);
  });

  it("a link that leads nowhere yet is written through, not replaced", async () => {
    symlinkSync("target-of-link", at("dangling"));
    const headers = { "content-type": "application/octet-stream" };
    const reply = await call(instance, "POST", "/envd/files?path=dangling", { headers, body: "through" });
    expect(reply.status).toBe(200);
    expect(readFileSync(at("target-of-link"), "utf8")).toBe("through");
  });
});

describe("watches", () => {
  it("of all kinds together are bounded, and a closed one makes room [TRA-8]", async () => {
    mkdirSync(at("watched"));
    const ids: string[] = [];
    let refused: Reply | null = null;
    while (refused === null && ids.length < 200) {
      const reply = await rpc("filesystem.Filesystem/CreateWatcher", { path: "watched" });
      if (reply.status === 200) ids.push((json(reply) as { watcherId: string }).watcherId);
      else refused = reply;
    }
    expect([ids.length, refused === null ? null : code(refused)]).toEqual([64, "resource_exhausted"]);
    expect(code(await call(instance, "GET", "/files/watch?path=watched"))).toBe("too_many");
    writeFileSync(at("watched/new"), "1");
    appendFileSync(at("watched/new"), "2");
    const [id = ""] = ids;
    const first = await until("the new file is told", async () => {
      const told = json(await rpc("filesystem.Filesystem/GetWatcherEvents", { watcherId: id })) as {
        events?: { type: string; name: string }[];
      };
      return told.events?.[0];
    });
    expect(first).toMatchObject({ type: "EVENT_TYPE_CREATE", name: "new" });
    for (const each of ids) await rpc("filesystem.Filesystem/RemoveWatcher", { watcherId: each });
    expect(code(await rpc("filesystem.Filesystem/GetWatcherEvents", { watcherId: id }))).toBe("not_found");
    // A client that goes away leaves nothing.
    for (let round = 0; round < 70; round += 1) {
      const opened = await stream("filesystem.Filesystem/WatchDir", { path: "watched" });
      opened.destroy();
    }
    await until("the watches of those that went are closed", async () => {
      const answer = await open(instance, "GET", "/files/watch?path=watched");
      answer.destroy();
      return answer.statusCode === 200;
    });
  });

  it("do not tell of uploads that are under way [TRA-1]", async () => {
    mkdirSync(at("uploads"));
    const answer = await open(instance, "GET", "/files/watch?path=uploads");
    const seen: string[] = [];
    void (async () => {
      for await (const { name, data } of eventsOf(answer))
        seen.push(name === "ready" ? name : `${name} ${String(data["name"])}`);
    })().catch(() => {});
    await until("the watch is armed", () => seen.includes("ready"));
    await call(instance, "PUT", "/files?path=uploads/file", { body: "content" });
    await until(`the file is told: ${seen.join(", ")}`, () =>
      seen.includes("modified uploads/file".replace("uploads/", "")),
    );
    expect(seen).toEqual(["ready", "created file", "modified file"]);
    answer.destroy();
  });
});

it("a head that the relays let through is read by the service process too [BUG-62]", async () => {
  const reply = await call(instance, "GET", "/files?path=first", { headers: { accept: "x".repeat(50_000) } });
  expect(reply.status).toBe(200);
});

it("a refused WebSocket is told why, in bytes that are HTTP", async () => {
  const { passHeaders } = await import("../../support/traffic-call.ts");
  const lines = Object.entries(await passHeaders(instance.boot)).map(([name, value]) => `${name}: ${value}`);
  const socket = connect(instance.port, "127.0.0.1");
  socket.write(
    [
      "GET /traffic/terminal?pid=1 HTTP/1.1",
      "host: x",
      "connection: upgrade",
      "upgrade: websocket",
      "sec-websocket-version: 13",
      `sec-websocket-key: ${Buffer.alloc(16).toString("base64")}`,
      ...lines,
      "",
      "",
    ].join("\r\n"),
  );
  let text = "";
  for await (const chunk of socket as AsyncIterable<Buffer>) text += chunk.toString();
  expect(text).toMatch(/^HTTP\/1\.1 404 .*"code":"not_found"/s);
  expect(existsSync(workspace)).toBe(true);
});
