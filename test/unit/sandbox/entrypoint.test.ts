/** PID 1 and the loader, as real processes outside of any container: what the shell decides needs no engine. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { entrypoint } from "../../../src/sandbox/cloudflare/native/entrypoint.ts";
import { freePort } from "../../../scripts/stack/ports.ts";
import { until } from "../../support/until.ts";

/** Stands in for the agent: tells its order, and stays until it is told to end. */
const agent = `
const fs = require("fs"), run = process.env.RUN;
fs.writeFileSync(run + "/got", fs.readFileSync(0, "utf8"));
process.on("SIGTERM", () => { fs.writeFileSync(run + "/ended", "by TERM"); process.exit(0); });
setInterval(() => {}, 1000);
`;
const bundle = Buffer.from(JSON.stringify({ wrapper: agent, toolbox: "" }));
const digest = createHash("sha256").update(bundle).digest("hex");

let run: string;
let started: ChildProcess[];
beforeEach(() => {
  run = mkdtempSync(join(tmpdir(), "mooring-run-"));
  started = [];
});
afterEach(() => {
  for (const child of started) if (child.exitCode === null) child.kill("SIGUSR1");
  rmSync(run, { recursive: true, force: true });
});

interface Booted {
  readonly child: ChildProcess;
  readonly port: number;
  /** Its exit code, once it has ended. */
  readonly ended: Promise<number | null>;
}

async function boot(orderWithinSeconds = 60, launch: string = randomUUID()): Promise<Booted> {
  const port = (await freePort(0)) ?? 0;
  const [program = "", ...args] = entrypoint({ digest, orderWithinSeconds, run });
  const env = {
    ...process.env,
    RUN: run,
    MOORING_LAUNCH: launch,
    MOORING_PORT: String(port),
    MOORING_BIND: "127.0.0.1",
  };
  const child = spawn(program, args, { env, stdio: "ignore" });
  started.push(child);
  return { child, port, ended: new Promise((resolve) => child.once("exit", resolve)) };
}

async function handOver({ port }: Booted, order: string, what = bundle): Promise<number> {
  const body = Buffer.concat([Buffer.from(order), what]);
  const headers = { "mooring-order-bytes": String(Buffer.byteLength(order)) };
  return until("the loader answers", () =>
    fetch(`http://127.0.0.1:${port}/agent`, { method: "PUT", headers, body }).then(
      (reply) => reply.status,
      () => null,
    ),
  );
}

function read(name: string): string | null {
  try {
    return readFileSync(join(run, name), "utf8");
  } catch {
    return null;
  }
}

describe("what a container starts with", () => {
  it("takes one order with the bundle that it was started for, and passes TERM on to the agent", async () => {
    const booted = await boot();
    expect(await handOver(booted, "the order", Buffer.from("another bundle"))).toBe(403);
    expect(await handOver(booted, "the order")).toBe(200);
    await until("the agent has its order", () => read("got"));
    expect(read("got")).toBe("the order");
    // The order has the secret: nothing of it stays on disk.
    expect(read("order")).toBeNull();
    booted.child.kill("SIGTERM");
    expect(await booted.ended).toBe(0);
    expect(read("ended")).toBe("by TERM");
  });

  it("exits 0 at once when this launch was booted before [CON-3]", async () => {
    const first = await boot(60, "once");
    await until("it is marked", () => read("booted.once") !== null);
    const second = await boot(60, "once");
    expect(await second.ended).toBe(0);
    expect(first.child.exitCode).toBeNull();
  });

  it("ends by itself when no order comes, and so does a frozen agent when nobody moves its deadline [CON-6]", async () => {
    const without = await boot(0);
    expect(await without.ended).toBe(0);
    const booted = await boot();
    await handOver(booted, "an order");
    await until("the agent runs", () => read("got"));
    writeFileSync(join(run, "deadline"), "0\n");
    expect(await booted.ended).toBe(0);
    // It was killed, not asked.
    expect(read("ended")).toBeNull();
  });
});
