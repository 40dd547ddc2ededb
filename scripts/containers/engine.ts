/**
 * The container engine that local containers run in.
 *
 * An engine that already answers (a developer's Docker) is used and left alone. Otherwise, as root on Debian, the engine of the
 * distribution is installed and started with a data folder, a socket and a pid file of its own, and ended by that pid.
 * Nothing here pulls an image: what runs in the engine is made by base-image.ts and sidecar-image.ts.
 */
import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { engineDirectory, enginePaths } from "./paths.ts";
import { run } from "./run-command.ts";

export interface Engine {
  /** For DOCKER_HOST. */
  readonly host: string;
  /** Started by this process, which has to end it. */
  readonly isOurs: boolean;
  end(): Promise<void>;
}

export type EngineOutcome =
  { readonly type: "ready"; readonly engine: Engine } | { readonly type: "missing"; readonly why: string };

const ownHost = `unix://${enginePaths.socket}`;
const startMs = 30_000;
const endMs = 20_000;
const pollMs = 100;

export async function openEngine(say: (line: string) => void): Promise<EngineOutcome> {
  const given = process.env["DOCKER_HOST"] ?? "unix:///var/run/docker.sock";
  if (answers(given)) return ready(given, false);
  if (answers(ownHost)) return ready(ownHost, takeOver());
  if (process.platform !== "linux" || process.getuid?.() !== 0) {
    return missing("no container engine answers here, and only root on Debian can install and start one");
  }
  if (!has("dockerd") || !has("iptables") || !has("docker")) {
    if (!has("apt-get")) return missing("no container engine is installed, and there is no apt-get to install one");
    say("Installing the container engine of the distribution (docker.io).");
    const installed = install();
    if (installed !== null) return missing(`the container engine could not be installed (${installed})`);
  }
  say("Starting a container engine.");
  const why = await start();
  return why === null ? ready(ownHost, true) : missing(`the container engine did not start (${why})`);
}

function ready(host: string, isOurs: boolean): EngineOutcome {
  return { type: "ready", engine: { host, isOurs, end: isOurs ? endOwn : async () => {} } };
}

function missing(why: string): EngineOutcome {
  return { type: "missing", why };
}

function answers(host: string): boolean {
  if (host.startsWith("unix://") && !existsSync(host.slice("unix://".length))) return false;
  return run("docker", ["info", "--format", "{{.ServerVersion}}"], { env: { DOCKER_HOST: host }, timeoutMs: 15_000 })
    .ok;
}

function has(program: string): boolean {
  return run("sh", ["-c", `command -v ${program}`]).ok;
}

function install(): string | null {
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  // Package lists may be missing or old; without a network the lists that are there may still do.
  run("apt-get", ["update", "-q"], { env, timeoutMs: 120_000 });
  const packages = ["docker.io", "iptables"];
  // The package must not start an engine of its own: this script starts one with its own folders.
  const quiet = withoutServices();
  try {
    const args = ["install", "-y", "-q", "--no-install-recommends", ...packages];
    const installed = run("apt-get", args, { env, timeoutMs: 300_000 });
    return installed.ok ? null : installed.why;
  } finally {
    quiet.restore();
  }
}

/** Debian asks this program whether a package may start its service. */
function withoutServices(): { restore(): void } {
  const policy = "/usr/sbin/policy-rc.d";
  if (existsSync(policy)) return { restore: () => {} };
  writeFileSync(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  return { restore: () => rmSync(policy, { force: true }) };
}

/** Starts the engine. Returns null, or why it failed. */
async function start(): Promise<string | null> {
  mkdirSync(engineDirectory, { recursive: true, mode: 0o711 });
  rmSync(enginePaths.pidFile, { force: true });
  const log = openSync(enginePaths.log, "w");
  const engine = spawn(
    // workerd waits some three seconds for a sidecar: on a busy machine the engine and its containers must not come last.
    "nice",
    [
      ...["-n", "-5", "dockerd"],
      `--data-root=${enginePaths.data}`,
      `--exec-root=${enginePaths.exec}`,
      `--pidfile=${enginePaths.pidFile}`,
      `--host=${ownHost}`,
      // A configuration of the machine's own engine must not reach this one.
      "--config-file=",
      "--bip=172.17.0.1/16",
      // Published ports are for this machine only.
      "--ip=127.0.0.1",
      "--mtu=1400",
      "--userland-proxy=false",
    ],
    { detached: true, stdio: ["ignore", log, log] },
  );
  closeSync(log);
  engine.unref();
  let ended = false;
  engine.once("exit", () => (ended = true));
  engine.once("error", () => (ended = true));
  const until = Date.now() + startMs;
  while (Date.now() < until && !ended) {
    if (answers(ownHost)) {
      writeFileSync(enginePaths.owner, String(process.pid));
      return null;
    }
    await pause(pollMs);
  }
  if (!ended) await endOwn();
  const said = readFileSync(enginePaths.log, "utf8").trim().split("\n").at(-1) ?? "";
  return /msg="?([^"]+)"?/.exec(said)?.[1] ?? (said === "" ? "it said nothing" : said);
}

/** The engine of an earlier run whose script was killed: nobody else will end it. */
function takeOver(): boolean {
  const owner = pidIn(enginePaths.owner);
  if (owner !== null && owner !== process.pid && isAlive(owner)) return false;
  writeFileSync(enginePaths.owner, String(process.pid));
  return true;
}

async function endOwn(): Promise<void> {
  const pid = pidIn(enginePaths.pidFile);
  if (pid === null || !isEngine(pid)) return;
  process.kill(pid, "SIGTERM");
  const until = Date.now() + endMs;
  while (isAlive(pid) && Date.now() < until) await pause(pollMs);
  if (isAlive(pid)) process.kill(pid, "SIGKILL");
  rmSync(enginePaths.owner, { force: true });
}

function pidIn(file: string): number | null {
  try {
    const pid = Number(readFileSync(file, "utf8").trim());
    return Number.isInteger(pid) && pid > 1 ? pid : null;
  } catch {
    return null;
  }
}

/** A pid file may outlive its process, and the number may be used again. */
function isEngine(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(enginePaths.pidFile);
  } catch {
    return false;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
