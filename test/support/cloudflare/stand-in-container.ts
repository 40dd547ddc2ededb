/**
 * A container of the stand-in: real processes of this machine behind the behaviour that was measured of the real thing
 * (docs/containers.md). What a test may do to it is below `mischief`.
 *
 * It cannot be a container: its processes share this machine's /proc and disk. They are told apart by their marks and
 * their parents, so a job that hides from both escapes the stand-in, as it could not escape a container.
 */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sdkPort } from "../../../src/sandbox/cloudflare/platform/container-platform.ts";
import { type ContainerPaths, quoted } from "../../../src/sandbox/cloudflare/platform/toolbox-calls.ts";
import type { JobUser } from "../../../src/protocol/sandbox/wrapper.ts";
import { freePort } from "../../../scripts/stack/ports.ts";
import { isAlive, pidsOfUsers, pidsWith } from "../processes.ts";
import { upgradingFetch } from "../upgrading-fetch.ts";

/** Every process that the stand-in starts itself. What they start drops it, and keeps Mooring's own marks. */
const containerMark = "STAND_IN_CONTAINER";

const usersOfOne = 1_000;

interface Listed {
  readonly pid: number;
  readonly child: ChildProcess;
}

export class StandInContainer {
  readonly id: string;
  readonly root = mkdtempSync(join(tmpdir(), "mooring-container-"));
  readonly paths: ContainerPaths;
  /** The SDK's own list: an id that is used again overwrites what had it. */
  readonly listed = new Map<string, Listed>();
  /** Users that no other container of this machine has: its processes share this machine's /proc. */
  readonly firstUser = 1_000_000 + Math.floor(Math.random() * 1_000_000) * usersOfOne;
  /** Inside → outside. */
  readonly #ports = new Map<number, number>();
  readonly mischief = {
    /** Nothing in it answers, and nothing of it can be called off. */
    frozen: false,
    /** What `running` says for the next so many questions. */
    lies: { left: 0, says: false },
    /** The SDK's destroy never comes back; whoever calls it again waits with the first. */
    sdkDestroyHangs: false,
    /** Not even the container's own does anything. */
    indestructible: false,
    /** A start takes so long, whatever becomes of who asked. */
    startTakesMs: 0,
    /** Of this process nobody inside can read whose it is. */
    unreadable: null as number | null,
    /** What the next start is refused with. */
    startFails: null as Error | null,
  };
  /** How often it was started, by whomever. */
  starts = 0;
  #running = false;
  #disk: "well" | "unmeasurable" | "read_only" = "well";
  #init: ChildProcess | null = null;
  #destroying: Promise<void> | null = null;
  readonly #hung = new Set<(error: Error) => void>();
  /** Of which something was started in this life of it. */
  readonly #instances = new Set<string>();

  constructor(id: string, programs: { readonly wrapper: string; readonly toolbox: string }) {
    this.id = id;
    this.paths = {
      node: process.execPath,
      wrapper: programs.wrapper,
      toolbox: programs.toolbox,
      workspace: join(this.root, "workspace"),
      workspaces: join(this.root, "workspaces"),
      state: join(this.root, "state"),
    };
  }

  /** The last of its users; the seats of members count from the first. */
  get loneUser(): JobUser {
    const uid = this.firstUser + usersOfOne - 1;
    return { uid, gid: uid, home_dir: join(this.root, "home") };
  }

  /** A shell command: TERM to PID 1. */
  get endCommand(): string {
    return `kill -TERM "$(cat '${this.#initFile}')"`;
  }

  get #initFile(): string {
    return join(this.root, "init.pid");
  }

  /** The truth. */
  get runs(): boolean {
    return this.#running;
  }

  /** What the platform says. */
  running(): boolean {
    const { lies } = this.mischief;
    if (lies.left === 0) return this.#running;
    lies.left -= 1;
    return lies.says;
  }

  /** An empty disk each time: nothing of an earlier life is left. */
  boot(): void {
    if (this.#running) return;
    for (const name of readdirSync(this.root)) rmSync(join(this.root, name), { recursive: true, force: true });
    mkdirSync(this.paths.workspace);
    // As in the image: members get to their own, and cannot list their siblings'.
    mkdirSync(this.paths.workspaces);
    for (const directory of [this.root, this.paths.workspaces]) chmodSync(directory, 0o711);
    mkdirSync(this.paths.state, { mode: 0o700 });
    this.listed.clear();
    this.#ports.clear();
    this.#instances.clear();
    this.starts += 1;
    this.#running = true;
    const init = spawn("sleep", ["1000000"], { stdio: "ignore", detached: true, env: this.#env({}) });
    writeFileSync(this.#initFile, String(init.pid));
    // PID 1 of a container: with it everything goes.
    init.once("exit", () => void this.#ended(init));
    this.#init = init;
  }

  async exec(command: string): Promise<{ exitCode: number; stdout: string; stderr: string }> {
    const { unreadable } = this.mischief;
    const seen = unreadable === null ? command : withoutReading(unreadable, command, this.root);
    const child = spawn("sh", ["-c", seen], { cwd: this.paths.workspace, env: this.#env({}), detached: true });
    const out = { stdout: "", stderr: "" };
    child.stdout.on("data", (chunk: Buffer) => (out.stdout += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (out.stderr += chunk.toString()));
    const [code] = (await once(child, "close")) as [number | null];
    return { exitCode: code ?? 137, ...out };
  }

  /** Never fails for an id that is in use. */
  async start(command: string, id: string, env: Readonly<Record<string, string>>): Promise<void> {
    const outside = await this.#publish(env["MOORING_PORT"]);
    const [, instance] = /\bMOORING_INSTANCE_ID='([^']+)'/.exec(command) ?? [];
    if (instance !== undefined) this.#instances.add(instance);
    const child = spawn("sh", ["-c", command], {
      cwd: this.paths.workspace,
      env: this.#env({ ...env, ...outside }),
      stdio: ["ignore", "ignore", "ignore"],
      detached: true,
    });
    await once(child, "spawn");
    child.unref();
    this.listed.set(id, { pid: child.pid ?? 0, child });
  }

  write(path: string, text: string): void {
    writeFileSync(path, text, { mode: 0o600 });
  }

  async connect(port: number, path: string, init: RequestInit): Promise<Response> {
    // The SDK's own server.
    if (port === sdkPort) return new Response("{}");
    const outside = this.#ports.get(port);
    if (outside === undefined) throw new Error(`The container is not listening to port ${port}`);
    try {
      return await upgradingFetch(`http://127.0.0.1:${outside}${path}`, init);
    } catch (error) {
      const cause = error instanceof Error ? error.cause : null;
      const nobody = cause instanceof Error && "code" in cause && cause.code === "ECONNREFUSED";
      throw nobody ? new Error(`The container is not listening to port ${port}`) : error;
    }
  }

  /** The file system under the workspaces of its members. Only root can do that to one. */
  disk(state: "well" | "unmeasurable" | "read_only"): void {
    const { workspaces } = this.paths;
    const away = `${workspaces}.away`;
    if (this.#disk === "read_only") execFileSync("umount", [workspaces]);
    if (this.#disk === "unmeasurable") renameSync(away, workspaces);
    if (state === "unmeasurable") renameSync(workspaces, away);
    if (state === "read_only") {
      execFileSync("mount", ["--bind", workspaces, workspaces]);
      execFileSync("mount", ["-o", "remount,bind,ro", workspaces]);
    }
    this.#disk = state;
  }

  /** Where the impostor of a test has to listen. */
  outsidePort(port: number): number {
    return this.#ports.get(port) ?? 0;
  }

  /** Rejects when the container is destroyed, and not before. */
  hang(): Promise<never> {
    return new Promise((_, reject) => this.#hung.add(reject));
  }

  async #ended(init: ChildProcess): Promise<void> {
    if (this.#init === init && this.#running) await this.destroy(new Error("The container ended."));
  }

  /** Joins one that is under way: a second that went on by itself would end what was booted after the first. */
  destroy(interruption: Error): Promise<void> {
    this.#destroying ??= this.#destroy(interruption).finally(() => (this.#destroying = null));
    return this.#destroying;
  }

  async #destroy(interruption: Error): Promise<void> {
    await this.kill();
    if (this.#disk !== "well") this.disk("well");
    this.#running = false;
    this.mischief.frozen = false;
    for (const reject of this.#hung) reject(interruption);
    this.#hung.clear();
  }

  /** All of it, until none is left. */
  async kill(): Promise<void> {
    for (;;) {
      const pids = this.pids();
      if (pids.length === 0) return;
      for (const pid of pids) signal(pid, "SIGKILL");
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** As PID 1 would get it: only what the SDK started, and nothing follows it up (PLATFORM: `sleepAfter` sends SIGTERM only). */
  terminate(): void {
    for (const { pid } of this.listed.values()) signal(pid, "SIGTERM");
  }

  pids(): readonly number[] {
    const [, session, generation] = /^(.+)-g(\d+)$/.exec(this.id) ?? [];
    const own = new Set(pidsWith(`${containerMark}=${this.id}`));
    for (const pid of pidsWith(`MOORING_SESSION_ID=${session}`)) {
      const marks = text(`/proc/${pid}/environ`).split("\0");
      const of = marks.find((mark) => mark.startsWith("MOORING_GENERATION="));
      if (of === undefined || of === `MOORING_GENERATION=${generation}`) own.add(pid);
    }
    for (const instance of this.#instances) for (const pid of pidsWith(`MOORING_INSTANCE_ID=${instance}`)) own.add(pid);
    for (const pid of pidsOfUsers(this.firstUser, this.firstUser + usersOfOne)) own.add(pid);
    for (const pid of children(own)) own.add(pid);
    return [...own].filter((pid) => isAlive(pid));
  }

  async close(): Promise<void> {
    await this.destroy(new Error("The test is over."));
    rmSync(this.root, { recursive: true, force: true, maxRetries: 5 });
  }

  #env(more: Readonly<Record<string, string>>): Record<string, string> {
    return { PATH: process.env["PATH"] ?? "", HOME: "/root", [containerMark]: this.id, ...more };
  }

  async #publish(inside: string | undefined): Promise<Record<string, string>> {
    if (inside === undefined) return {};
    const taken = this.#ports.get(Number(inside));
    // One port leads to one listener: who is started on one that is taken cannot listen.
    const outside = taken !== undefined && (await isListening(taken)) ? taken : await anyPort();
    this.#ports.set(Number(inside), outside);
    return { MOORING_PORT: String(outside), MOORING_BIND: "127.0.0.1" };
  }
}

/**
 * Runs a command that may not read the environment of that process, as root in a real container may not read that of one with more
 * rights: a file that is closed to it lies over it, in a view of the mounts that is the command's alone.
 */
function withoutReading(pid: number, command: string, directory: string): string {
  const closed = join(directory, "closed");
  writeFileSync(closed, "", { mode: 0o000 });
  const blind = `mount --bind '${closed}' /proc/${pid}/environ && exec setpriv --bounding-set -dac_override,-dac_read_search sh -c "$1"`;
  return `exec unshare --mount sh -c ${quoted(blind)} sh ${quoted(command)}`;
}

function isListening(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  return new Promise<boolean>((resolve) => {
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
  }).finally(() => socket.destroy());
}

async function anyPort(): Promise<number> {
  const port = await freePort(0);
  if (port === null) throw new Error("no port is free");
  return port;
}

function children(of: ReadonlySet<number>): readonly number[] {
  const found = new Set(of);
  const rows = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => {
      const stat = text(`/proc/${name}/stat`);
      const [, parent, group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return { pid: Number(name), parent: Number(parent), group: Number(group) };
    });
  for (let grew = true; grew;) {
    grew = false;
    for (const { pid, parent, group } of rows) {
      if (found.has(pid) || pid === process.pid || !(found.has(parent) || found.has(group))) continue;
      found.add(pid);
      grew = true;
    }
  }
  return [...found].filter((pid) => !of.has(pid));
}

function signal(pid: number, name: "SIGKILL" | "SIGTERM"): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended by itself.
  }
}

function text(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
