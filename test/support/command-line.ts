/** `mooring` as a process: with pipes, and in a real terminal (a PTY that util-linux's `script` opens). */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { repository, toolEnvironment } from "../../scripts/repository.ts";
import { until } from "./until.ts";

let bundle: string | null = null;

/** Bundled once for each process, as it is published: it starts in a fraction of the time that the sources take. */
function program(): string {
  if (bundle !== null) return bundle;
  const folder = mkdtempSync(join(tmpdir(), "mooring-cli-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "mooring.js");
  const build = [join(repository, "scripts/builds/build-cli.ts"), file];
  const built = spawnSync("node", build, { cwd: repository, env: toolEnvironment(), encoding: "utf8" });
  if (built.status !== 0) throw new Error(`The command line could not be bundled: ${built.stderr}`);
  bundle = file;
  return file;
}

export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

type Env = Readonly<Record<string, string>>;

/** Nothing of the developer's own: no profile, no key, no colour. */
function environment(env: Env): NodeJS.ProcessEnv {
  const {
    MOORING_KEY: _,
    MOORING_ADMIN_TOKEN: __,
    MOORING_PROFILE: ___,
    FORCE_COLOR: ____,
    ...rest
  } = toolEnvironment({
    MOORING_CONFIG: "/nonexistent/profiles.json",
    ...env,
  });
  return { ...rest, ...env };
}

export interface Running {
  readonly ended: Promise<Ran>;
  /** What it said so far, both streams. */
  said(): string;
  signal(name: NodeJS.Signals): void;
}

export function startCli(args: readonly string[], env: Env, input = ""): Running {
  const child = spawn("node", [program(), ...args], { cwd: repository, env: environment(env), stdio: "pipe" });
  const said = { out: "", err: "" };
  child.stdout.on("data", (chunk: Buffer) => (said.out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (said.err += chunk.toString()));
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  const ended = new Promise<Ran>((resolve) => child.on("close", (code) => resolve({ code, ...said })));
  return { ended, said: () => said.out + said.err, signal: (name) => void child.kill(name) };
}

export function cli(args: readonly string[], env: Env, input = ""): Promise<Ran> {
  return startCli(args, env, input).ended;
}

export interface Terminal {
  /** Everything that was written to the terminal, without its control sequences. */
  screen(): string;
  /** With them. */
  raw(): string;
  type(keys: string): void;
  shows(pattern: RegExp): Promise<void>;
  /** The exit code of `mooring`. */
  readonly ended: Promise<number | null>;
}

export function inTerminal(args: readonly string[], env: Env): Terminal {
  const words = ["node", program(), ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
  const child = spawn("script", ["-qefc", `stty cols 120 rows 40; exec ${words}`, "/dev/null"], {
    cwd: repository,
    env: { ...environment(env), SHELL: "/bin/sh", TERM: "xterm-256color", CI: "" },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let raw = "";
  child.stdout.on("data", (chunk: Buffer) => (raw += chunk.toString()));
  child.stdin.on("error", () => {});
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  const screen = () => stripVTControlCharacters(raw).replaceAll("\r", "");
  return {
    screen,
    raw: () => raw,
    type: (keys) => void child.stdin.write(keys),
    shows: async (pattern) => void (await until(`the terminal shows ${pattern}`, async () => pattern.test(screen()))),
    ended,
  };
}
