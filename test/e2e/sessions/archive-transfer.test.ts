/** The program that carries a workspace out of a container of the SDK, as a real process: it must not outlive the save that asked for it. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { repository } from "../../../scripts/repository.ts";
import { freePort } from "../../../scripts/stack/ports.ts";
import { controllerToken } from "../../../src/protocol/sandbox/wrapper.ts";
import { until } from "../../support/until.ts";

const secret = "c".repeat(64);
let directory: string;
let transfer: ChildProcess;
let url: string;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "mooring-transfer-"));
  mkdirSync(join(directory, "workspace"));
  // More than any buffer between the two holds, so that a reader who leaves is noticed.
  writeFileSync(join(directory, "workspace", "large"), Buffer.alloc(32 * 1024 * 1024, 1));
  const port = (await freePort(0)) ?? 0;
  url = `http://127.0.0.1:${port}`;
  transfer = spawn("node", [join(repository, "wrapper/toolbox/main.ts"), "pack"], {
    env: { ...process.env, MOORING_PORT: String(port), MOORING_BIND: "127.0.0.1" },
    stdio: ["pipe", "ignore", "ignore"],
  });
  transfer.stdin?.end(JSON.stringify({ secret, directory: join(directory, "workspace"), patience_ms: 600_000 }));
});

afterEach(() => {
  transfer.kill("SIGKILL");
  rmSync(directory, { recursive: true, force: true });
});

const call = async (method: string, path: string, signal?: AbortSignal): Promise<Response> =>
  fetch(`${url}${path}`, {
    method,
    headers: { authorization: `Bearer ${await controllerToken(secret)}` },
    ...(signal === undefined ? {} : { signal }),
  });
const ready = (): Promise<Response> => until("it listens", () => call("GET", "/ready").catch(() => null));
const hasEnded = (): Promise<boolean> =>
  until("it has ended", () => transfer.exitCode !== null || transfer.signalCode !== null);

it("[BUG-21] says that it is ready with a body, because the runtime tears down a connection whose answer had none", async () => {
  const reply = await ready();
  expect(reply.status).toBe(200);
  expect(await reply.text()).not.toBe("");
});

it("[BUG-22] ends when whoever asked gives up before the archive", async () => {
  await ready();
  expect((await call("DELETE", "/archive")).status).toBe(200);
  await hasEnded();
});

it("[BUG-22] ends when the connection is lost in the middle of the archive", async () => {
  await ready();
  const gone = new AbortController();
  const reply = await call("GET", "/archive", gone.signal);
  await reply.body?.getReader().read();
  gone.abort();
  await hasEnded();
});
