/**
 * Real guardians and wrappers for tests: the bundle as it is shipped, spawned as a host would, watched through /proc by
 * code that shares nothing with the code under test.
 */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { leanNodeFlags } from "../../src/protocol/sandbox/agent-paths.ts";
import {
  controllerToken,
  renewalReply,
  wrapperHeaders,
  wrapperJob,
  wrapperJobDetail,
  wrapperProof,
  type RenewalReply,
  type WrapperBoot,
  type WrapperJob,
  type WrapperJobDetail,
  type WrapperJobOrder,
} from "../../src/protocol/sandbox/wrapper.ts";
import { until } from "./until.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
let bundle: Promise<string> | null = null;
const opened: Instance[] = [];
const directories: string[] = [];

/** Built once for each test file, and not into dist/: files run at the same time. */
export function wrapperBundle(): Promise<string> {
  bundle ??= (async () => {
    const path = join(temporaryDirectory(), "wrapper.js");
    await promisify(execFile)(process.execPath, [join(root, "scripts/builds/build-wrapper.ts"), path], { cwd: root });
    return path;
  })();
  return bundle;
}

export function temporaryDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), "mooring-wrapper-"));
  // Jobs under another user pass through it.
  chmodSync(path, 0o711);
  directories.push(path);
  return path;
}

/** For afterEach: ends what a failed test left. `afterAll` removes the directories. */
export async function disposeInstances(): Promise<void> {
  for (const instance of opened.splice(0)) await instance.dispose();
}

export function removeDirectories(): void {
  bundle = null;
  for (const path of directories.splice(0)) rmSync(path, { recursive: true, force: true, maxRetries: 3 });
}

export interface Seen {
  readonly pid: number;
  readonly role: string;
  readonly commandLine: string;
}

/** Live processes (no zombies) whose environment holds exactly this instance id. */
export function processesOf(instanceId: string): readonly Seen[] {
  return allProcesses().flatMap(({ pid, commandLine }) => {
    const entries = readOrEmpty(`/proc/${pid}/environ`).split("\0");
    if (!entries.includes(`MOORING_INSTANCE_ID=${instanceId}`)) return [];
    const role = entries.find((entry) => entry.startsWith("MOORING_ROLE="))?.slice("MOORING_ROLE=".length) ?? "";
    return [{ pid, role, commandLine }];
  });
}

/** Live processes with this text in their command line, however well they hide otherwise. */
export function processesRunning(text: string): readonly number[] {
  return allProcesses()
    .filter(({ commandLine }) => commandLine.includes(text))
    .map(({ pid }) => pid);
}

export function isRunning(pid: number): boolean {
  return allProcesses().some((process_) => process_.pid === pid);
}

function allProcesses(): { pid: number; commandLine: string }[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    const stat = readOrEmpty(`/proc/${name}/stat`);
    if (stat === "" || /\) [ZX] /.test(stat)) return [];
    return [{ pid: Number(name), commandLine: readOrEmpty(`/proc/${name}/cmdline`).replaceAll("\0", " ") }];
  });
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

export function bootDocument(changes: Partial<WrapperBoot> = {}): WrapperBoot {
  const home = temporaryDirectory();
  return {
    session_id: randomBytes(10).toString("hex"),
    instance_id: randomUUID(),
    generation: 7,
    secret: randomBytes(32).toString("hex"),
    launch_not_after: Date.now() + 600_000,
    // Longer than a whole file of tests takes on a busy machine: most renew it once only.
    lease_ttl_ms: 600_000,
    job_grace_ms: 500,
    stop_grace_ms: 3_000,
    workspace_dir: join(home, "workspace"),
    state_dir: join(home, "state"),
    env: {},
    max_output_bytes: 8 * 1_024 * 1_024,
    ...changes,
  };
}

export interface Spawned {
  readonly guardian: ChildProcess;
  readonly exited: Promise<{ code: number | null; signal: string | null }>;
  readonly stdout: () => string;
  readonly stderr: () => string;
}

/** `user`: whom the guardian itself runs as, when not as this process. `behind`: a command line that runs it. */
export async function spawnGuardian(
  boot: WrapperBoot,
  environment: Record<string, string> = {},
  user?: number,
  behind: readonly string[] = [],
): Promise<Spawned> {
  // WRAPPER_NODE: to prove the bundle under another Node than the one that runs the tests.
  const node = process.env.WRAPPER_NODE ?? process.execPath;
  const [program, ...flags] = [...behind, node, ...leanNodeFlags, await wrapperBundle(), "guardian"];
  const guardian = spawn(program, flags, {
    detached: true,
    ...(user === undefined ? {} : { uid: user, gid: user }),
    env: {
      PATH: process.env.PATH ?? "",
      MOORING_SESSION_ID: boot.session_id,
      MOORING_INSTANCE_ID: boot.instance_id,
      MOORING_GENERATION: String(boot.generation),
      MOORING_VERSION: "test",
      MOORING_ROLE: "guardian",
      ...environment,
    },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  guardian.stdout?.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  guardian.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const exited = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    guardian.once("exit", (code, signal) => resolve({ code, signal }));
  });
  // It may refuse before it has read all.
  guardian.stdin?.on("error", () => {});
  guardian.stdin?.end(JSON.stringify(boot));
  return { guardian, exited, stdout: () => stdout, stderr: () => stderr };
}

export async function startInstance(
  changes: Partial<WrapperBoot> = {},
  behind: readonly string[] = [],
): Promise<Instance> {
  const boot = bootDocument(changes);
  const spawned = await spawnGuardian(boot, {}, undefined, behind);
  const readyFile = join(boot.state_dir, "ready.json");
  await until(`ready.json (${spawned.stderr()})`, () => existsSync(readyFile));
  const ready = JSON.parse(readFileSync(readyFile, "utf8")) as { port: number; wrapper_pid: number };
  const instance = new Instance(boot, spawned, ready.port, ready.wrapper_pid);
  opened.push(instance);
  return instance;
}

export interface CallOptions {
  readonly token?: string;
  readonly generation?: string | null;
  readonly nonce?: string | null;
  readonly signal?: AbortSignal;
}

export class Instance {
  readonly boot: WrapperBoot;
  readonly spawned: Spawned;
  readonly port: number;
  readonly wrapperPid: number;
  #sequence = 0;

  constructor(boot: WrapperBoot, spawned: Spawned, port: number, wrapperPid: number) {
    this.boot = boot;
    this.spawned = spawned;
    this.port = port;
    this.wrapperPid = wrapperPid;
  }

  get guardianPid(): number {
    return this.spawned.guardian.pid ?? 0;
  }

  processes(): readonly Seen[] {
    return processesOf(this.boot.instance_id);
  }

  /** With the right headers unless told otherwise; throws when the proof of the answer is wrong. */
  async call(method: string, path: string, body?: unknown, options: CallOptions = {}): Promise<Response> {
    const nonce = options.nonce === undefined ? randomBytes(16).toString("hex") : options.nonce;
    const generation = options.generation === undefined ? String(this.boot.generation) : options.generation;
    const response = await fetch(`http://127.0.0.1:${this.port}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${options.token ?? (await controllerToken(this.boot.secret))}`,
        ...(nonce === null ? {} : { [wrapperHeaders.nonce]: nonce }),
        ...(generation === null ? {} : { [wrapperHeaders.generation]: generation }),
      },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    if (nonce !== null && /^[0-9a-f]{32}$/.test(nonce)) {
      const expected = await wrapperProof(this.boot.secret, nonce);
      if (response.headers.get(wrapperHeaders.proof) !== expected)
        throw new Error("The answer carries no valid proof.");
    }
    return response;
  }

  /** Fails unless it is accepted. */
  async renew(ttlMs: number = this.boot.lease_ttl_ms): Promise<RenewalReply> {
    this.#sequence += 1;
    const request = { sequence: this.#sequence, sent_at: Date.now(), ttl_ms: ttlMs };
    const response = await this.call("POST", "/lease", request);
    if (response.status !== 200) throw new Error(`Renewal refused: ${response.status} ${await response.text()}`);
    return renewalReply.parse(await response.json());
  }

  async start(order: Partial<WrapperJobOrder> & { id: string }): Promise<WrapperJob> {
    const response = await this.call("POST", "/jobs", { timeout_ms: 600_000, ...order });
    if (response.status > 201) throw new Error(`Job refused: ${response.status} ${await response.text()}`);
    return wrapperJob.parse(await response.json());
  }

  async job(id: string, tailBytes = 65_536): Promise<WrapperJobDetail & { readonly tail: string }> {
    const response = await this.call("GET", `/jobs/${id}?tail_bytes=${tailBytes}`);
    const detail = wrapperJobDetail.parse(await response.json());
    return { ...detail, tail: Buffer.from(detail.tail_base64, "base64").toString() };
  }

  async ended(id: string): Promise<WrapperJobDetail & { readonly tail: string }> {
    await until(`the end of job ${id}`, async () => (await this.job(id)).state !== "running");
    return this.job(id);
  }

  async printed(id: string, text: string): Promise<void> {
    await until(`${text} from job ${id}`, async () => (await this.job(id)).tail.includes(text));
  }

  log(): string {
    return readOrEmpty(join(this.boot.state_dir, "wrapper.log"));
  }

  async allGone(): Promise<void> {
    await until("no process of the instance", () => this.processes().length === 0);
  }

  async dispose(): Promise<void> {
    for (const { pid } of this.processes()) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // Gone meanwhile.
      }
    }
    await this.allGone();
  }
}
