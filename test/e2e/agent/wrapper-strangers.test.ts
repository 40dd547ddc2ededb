import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { baseEnvironment } from "../../../wrapper/proc/marked-environment.ts";
import { RunningHost } from "../../support/running-host.ts";
import { until } from "../../support/until.ts";
import {
  disposeInstances,
  removeDirectories,
  startInstance,
  temporaryDirectory,
} from "../../support/wrapper-instance.ts";

const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await disposeInstances();
});
afterAll(removeDirectories);

async function idleConnection(port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  sockets.push(socket);
  socket.on("error", () => {});
  socket.resume();
  await once(socket, "connect");
  return socket;
}

describe("connections that show no token", () => {
  it("[BUG-81] hundreds of them do not keep the controller out", async () => {
    const instance = await startInstance();
    await instance.renew();
    for (let opened = 0; opened < 400; opened += 1) await idleConnection(instance.port);
    expect(await instance.renew()).toMatchObject({ active_jobs: 0 });
    await instance.start({ id: "served", command: "echo served" });
    expect((await instance.ended("served")).tail).toBe("served\n");
    // The oldest went to make room.
    await until("the oldest closed", () => sockets[0]?.destroyed === true);
  });

  it("[BUG-81] they are closed after two seconds, also one that was refused, while a known one stays", async () => {
    const instance = await startInstance();
    await instance.renew();
    const idle = await idleConnection(instance.port);
    const refused = await idleConnection(instance.port);
    refused.write("GET /health HTTP/1.1\r\nhost: x\r\n\r\n");
    const follower = await instance.call("GET", "/jobs/none/output");
    expect(follower.status).toBe(404);
    await instance.start({ id: "quiet", command: "read line; echo bye", stdin_open: true });
    const output = await instance.call("GET", "/jobs/quiet/output");
    await until("both closed", () => idle.destroyed && refused.destroyed);
    await instance.call("POST", "/jobs/quiet/stdin?end=1", "go\n");
    expect(await output.text()).toBe("bye\n");
  });
});

describe("what a job gets of whoever started Mooring", () => {
  it("[BUG-82] no descriptor reaches it, wherever its number is", async () => {
    const secret = join(temporaryDirectory(), "secret");
    // Open in the shell that starts the guardian: one low number, and one behind a hole, which Node does not mark by itself.
    const instance = await startInstance({}, ["bash", "-c", 'exec 9>"$0" 47>"$0"; exec "$@"', secret]);
    await instance.renew();
    await instance.start({ id: "lists", command: "ls -l /proc/$$/fd" });
    const { tail } = await instance.ended("lists");
    expect(tail).toContain(" 1 -> ");
    expect(tail).not.toContain(secret);
  });

  it("[BUG-82] the tools of the project that runs it are not in PATH, and the system's are", () => {
    const path = "/x/node_modules/.bin:/y/node_modules/.bin/:/z/npm/node-gyp-bin:.:relative:/usr/local/bin:/usr/bin";
    expect(baseEnvironment({ PATH: path })["PATH"]).toBe("/usr/local/bin:/usr/bin");
  });
});

describe("the local host, which jobs can reach on the loopback", () => {
  let host: RunningHost | null = null;
  afterEach(async () => {
    await host?.close();
    host = null;
  });

  it("[BUG-81] hundreds of connections without a token do not keep the control plane out, and are closed", async () => {
    host = await RunningHost.start();
    const port = Number(new URL(host.url).port);
    for (let opened = 0; opened < 300; opened += 1) await idleConnection(port);
    expect(await host.ask("GET", "/health")).toMatchObject({ status: 200, body: { ready: true } });
    await until("all closed", () => sockets.every((socket) => socket.destroyed));
    expect((await host.ask("GET", "/health")).status).toBe(200);
  });

  it("[BUG-82] keeps no descriptor of whoever started it, so no sandbox can inherit one", async () => {
    const secret = join(temporaryDirectory(), "secret");
    const main = join(import.meta.dirname, "../../../wrapper/host/main.ts");
    const state = join(temporaryDirectory(), "state");
    const child = spawn(
      "bash",
      ["-c", 'exec 9>"$0" 47>"$0"; exec "$@"', secret, process.execPath, main, "--port", "0", "--state", state],
      { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, LOCAL_HOST_TOKEN: "t".repeat(32) } },
    );
    try {
      const said: string[] = [];
      child.stdout.on("data", (chunk: Buffer) => said.push(chunk.toString()));
      await until("it listens", () => said.join("").includes("host_id"));
      // A child inherits what leads there and is not marked close-on-exec.
      const inherited = readdirSync(`/proc/${child.pid}/fd`).filter((fd) => {
        try {
          const info = readFileSync(`/proc/${child.pid}/fdinfo/${fd}`, "utf8");
          const flags = Number.parseInt(/^flags:\s+([0-7]+)/m.exec(info)?.[1] ?? "0", 8);
          return readlinkSync(`/proc/${child.pid}/fd/${fd}`) === secret && (flags & 0o2000000) === 0;
        } catch {
          return false;
        }
      });
      expect(inherited).toEqual([]);
    } finally {
      child.kill("SIGKILL");
    }
  });
});
