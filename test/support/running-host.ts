/** A local sandbox host as a real process, for one test. What it started is ended at `close`, by what /proc says. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { HostFault, HostInstance } from "../../src/protocol/sandbox/host.ts";
import { pidsWith } from "./processes.ts";
import { systemIds } from "./system-runtime.ts";

const mainFile = new URL("../../wrapper/host/main.ts", import.meta.url).pathname;

export interface HostOptions {
  readonly arguments?: readonly string[];
  /** Its own where it must outlive this host. */
  readonly state?: string;
  /** What it is given as LOCAL_HOST_TOKEN. */
  readonly token?: string;
  /** Whom it runs as, when not as this process. Its state must be given, and be that user's. */
  readonly user?: number;
  /** Whether it takes faults; by default it does. */
  readonly faults?: boolean;
}

export class RunningHost {
  readonly token: string;
  readonly state: string;
  readonly #options: HostOptions;
  readonly #sessions: string[] = [];
  #process: ChildProcess | null = null;
  #port = 0;

  private constructor(options: HostOptions) {
    this.#options = options;
    this.token = options.token ?? systemIds.secret();
    this.state = options.state ?? mkdtempSync(join(tmpdir(), "mooring-host-"));
  }

  static async start(options: HostOptions = {}): Promise<RunningHost> {
    const host = new RunningHost(options);
    await host.start();
    return host;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** A session id whose processes `close` will end. */
  session(): string {
    const id = systemIds.id();
    this.#sessions.push(id);
    return id;
  }

  /** On the same port as before, and the same state. Resolves when it listens. */
  async start(more: readonly string[] = []): Promise<void> {
    const child = spawn(
      process.execPath,
      [
        mainFile,
        "--port",
        String(this.#port),
        "--state",
        this.state,
        ...(this.#options.faults === false ? [] : ["--faults"]),
        ...(this.#options.arguments ?? []),
        ...more,
      ],
      {
        stdio: ["ignore", "pipe", "ignore"],
        ...(this.#options.user === undefined ? {} : { uid: this.#options.user, gid: this.#options.user }),
        env: { ...process.env, LOCAL_HOST_TOKEN: this.token },
      },
    );
    this.#process = child;
    const line = await new Promise<string>((resolve, reject) => {
      createInterface({ input: child.stdout }).once("line", resolve);
      child.once("exit", (code) => reject(new Error(`The host ended with ${code} before it listened.`)));
    });
    this.#port = Number(new URL((JSON.parse(line) as { url: string }).url).port);
    if (more.length === 0) await this.ready();
  }

  /** Until it has looked around. */
  async ready(): Promise<void> {
    for (;;) {
      const { body } = await this.ask("GET", "/health");
      if ((body as { ready: boolean }).ready) return;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async kill(signal: "SIGTERM" | "SIGKILL"): Promise<number | null> {
    const child = this.#process;
    this.#process = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return null;
    const ended = once(child, "exit");
    child.kill(signal);
    const [code] = (await ended) as [number | null];
    return code;
  }

  async ask(
    method: string,
    path: string,
    body?: unknown,
    token = this.token,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<{ status: number; body: unknown }> {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: { ...headers, authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    return { status: response.status, body: await response.json() };
  }

  async fault(fault: HostFault): Promise<void> {
    await this.ask("POST", "/faults", fault);
  }

  async instance(instanceId: string): Promise<HostInstance> {
    const { status, body } = await this.ask("GET", `/instances/${instanceId}`);
    if (status !== 200) throw new Error(`${status}: ${JSON.stringify(body)}`);
    return body as HostInstance;
  }

  /** Ends the host, then everything that carries one of its sessions. */
  async close(): Promise<void> {
    await this.kill("SIGKILL");
    for (let round = 0; round < 50; round += 1) {
      const left = this.#sessions.flatMap((session) => pidsWith(`MOORING_SESSION_ID=${session}`));
      if (left.length === 0) break;
      for (const pid of left) {
        try {
          process.kill(pid, "SIGKILL");
        } catch {
          // It ended by itself.
        }
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    rmSync(this.state, { recursive: true, force: true, maxRetries: 5 });
  }
}
