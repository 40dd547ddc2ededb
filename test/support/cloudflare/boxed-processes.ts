/**
 * What runs in a container of the fake: real processes in namespaces of their own, over a disk of their own that begins as this machine's.
 * No engine and no image; it takes root. The network is this machine's, so the agent's port leads to a free one outside.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readlinkSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../../scripts/stack/ports.ts";
import { wrapperPort } from "../../../src/protocol/sandbox/toolbox.ts";
import { isAlive } from "../processes.ts";
import { upgradingFetch } from "../upgrading-fetch.ts";
import type { ExecOptions, Inside, PlatformMode, StartedProcess, StartOptions } from "./fake-container.ts";

const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const killed = 9;
const pollMs = 10;
/** Until the disk of a box is mounted: some ten ms, and far more where others want the same cores. */
const readyMs = 180_000;

/**
 * `$1`: where its disk is mounted, which nobody outside sees; `$2`: Node; then the program that becomes PID 1. Only what belongs to the system
 * is laid over this machine's own: on such a layer files and directories say that they are on different file systems.
 */
const disk = `
set -e
mount -t tmpfs -o mode=755 none "$1"
root=$1/root
mkdir "$root"
for place in usr etc; do
  mkdir -p "$1/$place/upper" "$1/$place/work" "$root/$place"
  mount -t overlay overlay -o "lowerdir=/$place,upperdir=$1/$place/upper,workdir=$1/$place/work" "$root/$place"
done
for place in /bin /sbin /lib*; do
  if [ -h "$place" ]; then cp -P "$place" "$root$place"; else mkdir "$root$place"; mount --bind "$place" "$root$place"; fi
done
cd "$root"
mkdir -p proc dev run root home tmp var/lib var/tmp
chmod 1777 tmp var/tmp
mount -t proc proc proc
mount --rbind /dev dev
rm -f usr/local/bin/node
: > usr/local/bin/node
mount --bind "$2" usr/local/bin/node
shift 2
exec chroot . "$@"
`;

/** What Docker leaves root in a container. */
const localCapabilities =
  "-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+net_bind_service,+net_raw,+sys_chroot,+mknod,+audit_write,+setfcap";

/** Deployed every process has all of root's. */
function withCapabilities(mode: PlatformMode): readonly string[] {
  return mode === "local" ? ["setpriv", `--bounding-set=${localCapabilities}`] : [];
}

function unshare(directory: string, program: readonly string[]): readonly string[] {
  return [
    // Nothing of it outlives the tests, however they end.
    ...["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"],
    ...["sh", "-c", disk, "disk", directory, process.execPath, ...program],
  ];
}

/** Not in a container without privileges, and not for whoever is not root. */
export const canBox = ((): boolean => {
  if (process.getuid?.() !== 0) return false;
  const directory = mkdtempSync(join(tmpdir(), "mooring-box-"));
  const [program = "", ...args] = unshare(directory, ["true"]);
  const ran = spawnSync(program, args, { stdio: "ignore" });
  rmdirSync(directory);
  return ran.status === 0;
})();

export class BoxedProcesses implements Inside {
  readonly ended: Promise<number>;
  readonly #mode: PlatformMode;
  readonly #env: Readonly<Record<string, string>>;
  readonly #directory = mkdtempSync(join(tmpdir(), "mooring-box-"));
  /** The host's pid of its PID 1, once its disk is there; null: it never came to that. */
  readonly #init: Promise<number | null>;
  #outside = 0;
  #over = false;

  constructor({ entrypoint, env }: StartOptions, mode: PlatformMode) {
    this.#mode = mode;
    this.#env = env;
    const begun = this.#begin(entrypoint);
    this.#init = begun.then(initOf);
    this.ended = begun.then(endOf).finally(() => {
      this.#over = true;
      rmdirSync(this.#directory);
    });
  }

  /** Where the agent listens on this machine. */
  get outsidePort(): number {
    return this.#outside;
  }

  /** The engine starts the main process again over the same disk, where it finds that it was booted before, and exits 0. */
  async again(): Promise<void> {
    await this.ended;
  }

  async request(port: number, url: string, init: RequestInit): Promise<Response> {
    await this.#init;
    const refused = new Error(`Container is not listening to port ${port}`);
    if (this.#over) throw refused;
    const { pathname, search } = new URL(url);
    const to = port === wrapperPort ? this.#outside : port;
    try {
      return await upgradingFetch(`http://127.0.0.1:${to}${pathname}${search}`, init);
    } catch (error) {
      const cause = error instanceof Error ? error.cause : null;
      if (cause instanceof Error && "code" in cause && cause.code === "ECONNREFUSED") throw refused;
      throw cause instanceof Error ? new Error("Network connection lost.", { cause }) : error;
    }
  }

  async exec(argv: readonly string[], options: ExecOptions): Promise<StartedProcess> {
    const init = await this.#init;
    if (init === null || this.#over) throw new Error("exec() requires a running container.");
    const [program = ""] = argv;
    const isLocal = this.#mode === "local";
    const env = { PATH: path, ...(isLocal ? this.#env : {}), ...options.env };
    const places = program.startsWith("/") ? [program] : env.PATH.split(":").map((place) => `${place}/${program}`);
    // A local engine starts a shell for it, which says 127.
    if (!isLocal && !places.some((place) => existsSync(`/proc/${init}/root${place}`)))
      throw new Error(`Command \`${program}\` was not found in the container`);
    const child = spawn(
      "nsenter",
      [
        ...["--target", String(init), "--mount", "--pid", "--root", "--wd"],
        ...withCapabilities(this.#mode),
        ...["env", "-i", "-C", options.cwd ?? "/", ...assignments(env), ...argv],
      ],
      {
        stdio: [
          options.stdin === undefined ? "ignore" : "pipe",
          options.stdout === "ignore" ? "ignore" : "pipe",
          options.stderr === "ignore" ? "ignore" : "pipe",
        ],
      },
    );
    return processOver(child, options.stdin);
  }

  signal(number: number): void {
    void this.#init.then((init) => {
      if (init !== null && !this.#over) send(init, number);
    });
  }

  async end(): Promise<void> {
    this.signal(killed);
    await this.ended;
  }

  async #begin(entrypoint: readonly string[]): Promise<ChildProcess> {
    this.#outside = (await freePort(0)) ?? 0;
    const env = { ...this.#env, MOORING_PORT: String(this.#outside), MOORING_BIND: "127.0.0.1" };
    const [program = "", ...args] = unshare(this.#directory, [
      ...withCapabilities(this.#mode),
      ...["env", "-i", ...assignments(env), ...entrypoint],
    ]);
    return spawn(program, args, { stdio: "ignore" });
  }
}

function assignments(env: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(env).map(([name, value]) => `${name}=${value}`);
}

async function endOf(unshared: ChildProcess): Promise<number> {
  if (unshared.exitCode === null && unshared.signalCode === null)
    await new Promise((resolve) => unshared.once("exit", resolve));
  return unshared.exitCode ?? 128 + killed;
}

/** The one child of `unshare`, from when it has its root. */
async function initOf(unshared: ChildProcess): Promise<number | null> {
  const until = Date.now() + readyMs;
  while (unshared.exitCode === null && unshared.signalCode === null && Date.now() < until) {
    const pid = firstChildOf(unshared.pid ?? 0);
    if (pid !== null && rootOf(pid).endsWith("/root")) return pid;
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
  return null;
}

function firstChildOf(pid: number): number | null {
  try {
    return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ")[0]) || null;
  } catch {
    return null;
  }
}

function rootOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/root`);
  } catch {
    return "";
  }
}

function send(pid: number, signal: number): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended by itself.
  }
}

/** As the platform's: `exitCode` resolves only when all piped output was read, and a kill strikes that one process. */
function processOver(child: ChildProcess, stdin: ReadableStream<Uint8Array> | undefined): StartedProcess {
  const stdout = piped(child.stdout);
  const stderr = piped(child.stderr);
  const exited = new Promise<number>((resolve) =>
    child.once("exit", (code, signal) => resolve(code ?? (signal === null ? 0 : 128 + killed))),
  );
  if (stdin !== undefined && child.stdin !== null) void pour(stdin, child.stdin);
  const exitCode = Promise.all([exited, stdout?.read, stderr?.read]).then(([code]) => code);
  exitCode.catch(() => {});
  const whole = async (stream: ReadableStream<Uint8Array> | undefined): Promise<ArrayBuffer> =>
    new Response(stream ?? null).arrayBuffer();
  return {
    stdout: stdout?.stream ?? null,
    stderr: stderr?.stream ?? null,
    exitCode,
    kill: (number = 15) => {
      const pid = firstChildOf(child.pid ?? 0);
      if (pid !== null && isAlive(pid)) send(pid, number);
    },
    output: async () => {
      const [out, error] = await Promise.all([whole(stdout?.stream), whole(stderr?.stream)]);
      return { exitCode: await exitCode, stdout: out, stderr: error };
    },
  };
}

/** Nothing is read ahead, so that a program whose output nobody wants stands still. */
function piped(
  from: NodeJS.ReadableStream | null,
): { readonly stream: ReadableStream<Uint8Array>; readonly read: Promise<void> } | null {
  if (from === null) return null;
  const chunks = from[Symbol.asyncIterator]();
  let done = (): void => {};
  const read = new Promise<void>((resolve) => (done = resolve));
  const stream = new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        const next = await chunks.next();
        if (next.done !== true) return controller.enqueue(new Uint8Array(next.value as Buffer));
        controller.close();
        done();
      },
      cancel: () => void chunks.return?.(),
    },
    { highWaterMark: 0 },
  );
  return { stream, read };
}

async function pour(from: ReadableStream<Uint8Array>, to: NodeJS.WritableStream): Promise<void> {
  // It may end before it has taken all of it; its exit code says so.
  to.on("error", () => {});
  for await (const chunk of from) {
    if (!to.writable) return;
    if (!to.write(chunk)) await new Promise((resolve) => to.once("drain", resolve).once("close", resolve));
  }
  to.end();
}
