/**
 * A whole Mooring on this machine: the local sandbox host and workerd under `wrangler dev`, as `npm run dev`, the demo
 * and the end-to-end tests use it. Everything lives in one state directory, so a second start finds the sessions and
 * the processes of the first. Sandboxes are no children of ours: stopping a stack leaves them to their leases, unless
 * `endSandboxes` says otherwise.
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { stripVTControlCharacters } from "node:util";
import { unstable_readConfig } from "wrangler";
import { z } from "zod";
import { readConfig } from "../../src/config/config.ts";
import type { ApiKeyScope } from "../../src/protocol/api-keys.ts";
import { controlPlaneHeader, hostEnumeration, hostHealth, type HostResidue } from "../../src/protocol/sandbox/host.ts";
import { repository, toolEnvironment } from "../repository.ts";
import { freshKey } from "./fresh-key.ts";
import { fullDisk } from "./disk-space.ts";
import { letJobsThrough } from "./let-jobs-through.ts";
import { groupMembers, type Leash, type LeashOrder, spawnLeashed } from "./leash.ts";
import { freePort } from "./ports.ts";
import { ensureSecrets, type StackSecrets } from "./secrets.ts";

export interface StackOrder {
  /** Host state, worker state, logs. Made when missing. */
  readonly stateDirectory: string;
  /** Made when missing; a developer's is .dev.vars. */
  readonly secretsFile: string;
  /** 0: any free one. */
  readonly port: number;
  /** Vars of wrangler.toml to override. */
  readonly vars: Readonly<Record<string, string>>;
  /** Whether the host takes faults over its API. */
  readonly faults: boolean;
  /** How often the cron fires; null: never by itself (wrangler fires none locally). */
  readonly cronSeconds: number | null;
  /** Whether workerd starts anew when a source file changes: for a developer. A story or a test must not be cut short by an editor. */
  readonly reload: boolean;
  /** Whether stopping the host ends its sandboxes too. */
  readonly endSandboxes: boolean;
  /** FIRST-LAST, of `--job-uids` of the host; absent: jobs run as the host does. */
  readonly jobUids?: string;
  /** A directory that `buildAll` has filled, with nothing changed since; absent: this start builds. */
  readonly built?: string;
}

/** How often another port is tried when the one that was found free is taken. */
const portTries = 5;
const lookMs = 500;
const answerMs = 3_000;
/** A reload replaces workerd, and answers again within some seconds. */
const silentMs = 15_000;
/** The host reads all of /proc for it: well under a second, and half a minute where twenty others want the same two cores. */
const lookAroundMs = 60_000;
/** One run of every layer of maintenance. */
const cronMs = 120_000;

/** One plain sentence for the user, and where to read more. */
export class StackFailure extends Error {}

const hostReady = z.object({ url: z.url(), host_id: z.string() });
/**
 * A cold workerd with a bundle to build took 2 to 5 s on two cores, and over a minute on a machine whose cores twenty others wanted too.
 * Three minutes mean that something is wrong.
 */
const readyWithinMs = 180_000;
/** The host answers 503 until it has looked around, which takes well under a second, and some on a machine that is busy with something else. */
const patienceMs = 30_000;

export class Stack {
  readonly url: string;
  readonly secrets: StackSecrets;
  /** Names of the secrets that this start had to make. */
  readonly madeSecrets: readonly string[];
  readonly #order: StackOrder;
  readonly #port: number;
  #host: { readonly leash: Leash; readonly url: string } | null = null;
  #worker: Leash | null = null;
  #cron: NodeJS.Timeout | null = null;
  #stopping: Promise<void> | null = null;
  /** The workerd processes that were there when the Worker last answered. */
  #runtimes: readonly number[] = [];

  private constructor(order: StackOrder, port: number) {
    this.#order = order;
    this.#port = port;
    this.url = `http://127.0.0.1:${port}`;
    mkdirSync(order.stateDirectory, { recursive: true, mode: 0o700 });
    if (order.jobUids !== undefined) letJobsThrough(order.stateDirectory);
    const { secrets, written } = ensureSecrets(order.secretsFile);
    this.secrets = secrets;
    this.madeSecrets = written;
  }

  /** Resolves when GET /readyz is 200. Rejects with a `StackFailure`, after stopping what it had started; also when `signal` aborts. */
  static async start(order: StackOrder, signal?: AbortSignal): Promise<Stack> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await Stack.#startOnce(order, signal);
      } catch (error) {
        // Any free port was asked for, and somebody else took it between the look and the bind.
        const taken = error instanceof StackFailure && /address already in use/i.test(error.message);
        if (taken && order.port === 0 && tries < portTries && signal?.aborted !== true) continue;
        const full = fullDisk(order.stateDirectory);
        throw full === null ? error : new StackFailure(`${full} ${error instanceof Error ? error.message : ""}`.trim());
      }
    }
  }

  static async #startOnce(order: StackOrder, signal?: AbortSignal): Promise<Stack> {
    if (!existsSync(join(repository, "node_modules", "wrangler"))) {
      throw new StackFailure("The packages are not installed here: run `npm ci` first.");
    }
    refuseMisfits(order);
    const port = await freePort(order.port);
    if (port === null) {
      throw new StackFailure(
        `Port ${order.port} on 127.0.0.1 is taken: stop what listens there, or choose another with --port.`,
      );
    }
    const stack = new Stack(order, port);
    // Stopping ends what is being waited for, so an interrupted start ends at once.
    const interrupt = () => void stack.stop();
    signal?.addEventListener("abort", interrupt);
    try {
      // Settled, not raced: whatever was begun is known, and stopped, when one of the two fails.
      const isBuilt = order.built !== undefined;
      const begun = await Promise.allSettled([
        (isBuilt ? Promise.resolve() : buildWrapper(order.stateDirectory)).then(() => stack.startHost()),
        isBuilt ? null : buildPages(order.stateDirectory),
        isBuilt || order.reload ? null : bundleWorker(order.stateDirectory),
      ]);
      for (const each of begun) if (each.status === "rejected") throw each.reason;
      await stack.startWorker();
    } catch (error) {
      await stack.stop();
      throw error;
    } finally {
      signal?.removeEventListener("abort", interrupt);
    }
    return stack;
  }

  /** The host's address; it changes when the host is started again, unless the worker stays and needs the old one. */
  get hostUrl(): string {
    if (this.#host === null) throw new StackFailure("The local host is not running.");
    return this.#host.url;
  }

  async startHost(): Promise<void> {
    const logFile = join(this.#order.stateDirectory, "host.log");
    const port = this.#host === null ? "0" : new URL(this.#host.url).port;
    const flags = [
      ...(this.#order.faults ? ["--faults"] : []),
      ...(this.#order.endSandboxes ? ["--end-all-on-exit"] : []),
      ...(this.#order.jobUids === undefined ? [] : ["--job-uids", this.#order.jobUids]),
    ];
    const state = join(this.#order.stateDirectory, "host");
    let firstLine = (_line: string): void => {};
    const ready = new Promise<string>((resolve) => (firstLine = resolve));
    const leash = spawnLeashed({
      name: "The local sandbox host",
      command: ["node", join(repository, "wrapper/host/main.ts"), "--port", port, "--state", state, ...flags],
      env: toolEnvironment({ LOCAL_HOST_TOKEN: this.secrets.LOCAL_HOST_TOKEN }),
      cwd: repository,
      logFile,
      onLine: (line) => firstLine(line),
      // It waits ten seconds for sandboxes that do not want to end. What it has not ended when it is killed itself goes on without it.
      graceSeconds: this.#order.endSandboxes ? 60 : 15,
    });
    this.#host = { leash, url: "" };
    const line = await untilReady(leash, ready);
    this.#host = { leash, url: hostReady.parse(JSON.parse(line)).url };
  }

  async startWorker(): Promise<void> {
    if (this.#stopping !== null) throw new StackFailure("The start was interrupted.");
    const { stateDirectory, vars, secretsFile } = this.#order;
    // wrangler leaves some of its files behind. The host holds the lock of the state directory, so nobody else uses this one.
    const temporary = join(stateDirectory, "tmp");
    rmSync(temporary, { recursive: true, force: true });
    mkdirSync(temporary, { mode: 0o700 });
    const all = {
      SANDBOX_PROVIDER: "local",
      LOCAL_HOST_URL: this.hostUrl,
      TENANT_MAX_SANDBOXES: "50",
      TRAFFIC_DOMAIN: "localhost",
      ...vars,
    };
    this.#worker = spawnLeashed({
      name: "wrangler dev",
      command: [
        "wrangler",
        "dev",
        // With a script named, wrangler would look for the config beside that.
        ...["--config", join(repository, "wrangler.toml")],
        ...(this.#order.reload ? [] : [join(this.#order.built ?? stateDirectory, "bundle", "index.js"), "--no-bundle"]),
        ...["--ip", "127.0.0.1", "--port", String(this.#port), "--inspector-port", "0"],
        ...["--persist-to", join(stateDirectory, "worker"), "--env-file", secretsFile],
        "--show-interactive-dev-session=false",
        ...Object.entries(all).flatMap(([name, value]) => ["--var", `${name}:${value}`]),
      ],
      env: toolEnvironment({
        // Stacks side by side must not find each other's workers by name, nor write outside the state directory.
        WRANGLER_REGISTRY_PATH: join(stateDirectory, "registry"),
        WRANGLER_LOG_PATH: join(stateDirectory, "wrangler-debug.log"),
        TMPDIR: temporary,
        WRANGLER_SEND_METRICS: "false",
        // Nothing here reads request.cf, and fetching it from the network takes seconds where there is none.
        CLOUDFLARE_CF_FETCH_ENABLED: "false",
        // Its page on loopback reads and changes every object, without a credential.
        X_LOCAL_EXPLORER: "false",
        CI: "true",
        NO_COLOR: "1",
      }),
      cwd: repository,
      logFile: join(stateDirectory, "wrangler.log"),
      graceSeconds: 15,
    });
    await untilReady(this.#worker, this.#isReady(this.#worker));
    this.#runtimes = runtimesOf(this.#worker);
    if (this.#order.cronSeconds !== null && this.#cron === null) {
      this.#cron = setInterval(() => void this.fireCron().catch(() => {}), this.#order.cronSeconds * 1_000);
    }
  }

  /** Runs the scheduled handler once, as the platform would. Rejects when the worker is away. */
  async fireCron(): Promise<void> {
    const reply = await fetch(`${this.url}/cdn-cgi/local/scheduled`, { signal: AbortSignal.timeout(cronMs) });
    await reply.arrayBuffer();
    if (!reply.ok) throw new StackFailure(`The cron handler answered ${reply.status}.`);
  }

  /** Resolves with a sentence when the host or the worker ends although nobody asked. */
  async crashed(): Promise<string> {
    const parts = [this.#host?.leash, this.#worker].filter((leash) => leash !== null && leash !== undefined);
    const ended = Promise.race(parts.map(async (leash) => ({ leash, how: await leash.ended })));
    const first = await Promise.race([ended, this.#runtimeGone().then(() => null)]);
    const full = fullDisk(this.#order.stateDirectory);
    const why = full === null ? "" : ` ${full}`;
    if (first === null) {
      const logFile = this.#worker?.logFile ?? "";
      return `workerd, which runs the Worker, ended by itself, and nothing is answered since, though wrangler goes on; the log is ${logFile}.${why}`;
    }
    return `${first.leash.name} ended by itself (${first.how}); its log is ${first.leash.logFile}.${why}`;
  }

  /**
   * wrangler does not notice when its workerd dies, or starts another that nothing is passed on to: every request hangs from then
   * on. Resolves when a workerd that ran is gone and nothing was answered since for longer than a reload takes.
   */
  async #runtimeGone(): Promise<void> {
    const worker = this.#worker;
    let silentSince: number | null = null;
    while (silentSince === null || performance.now() - silentSince < silentMs) {
      await pause(lookMs);
      // A stack that is being stopped, or a worker that was replaced, is not missed.
      if (worker === null || !worker.alive() || this.#worker !== worker || this.#stopping !== null) {
        return new Promise<never>(() => {});
      }
      const runtimes = runtimesOf(worker);
      if (this.#runtimes.every((pid) => runtimes.includes(pid))) silentSince = null;
      else if (await this.#answers()) {
        this.#runtimes = runtimes;
        silentSince = null;
      } else silentSince ??= performance.now();
    }
  }

  #answers(): Promise<boolean> {
    return fetch(`${this.url}/healthz`, { signal: AbortSignal.timeout(answerMs) }).then(
      async (reply) => (await reply.arrayBuffer()).byteLength >= 0,
      () => false,
    );
  }

  apiKey(tenant: string, scopes: readonly ApiKeyScope[] = []): Promise<string> {
    return freshKey({ tenant, scopes }, this.secrets.KEY_SIGNING_SECRET);
  }

  /** Every live process of this stack's sandboxes. Another Mooring on this machine may have its own: those are left out. */
  async residue(sessions: ReadonlySet<string> = new Set()): Promise<readonly HostResidue[]> {
    const headers = { authorization: `Bearer ${this.secrets.LOCAL_HOST_TOKEN}` };
    const ask = (path: string, more = {}): Promise<Response> =>
      fetch(`${this.hostUrl}${path}`, { headers: { ...headers, ...more }, signal: AbortSignal.timeout(lookAroundMs) });
    // The host shows what runs to its own control plane only, which is the one of this stack.
    const { control_plane: own } = hostHealth.parse(await (await ask("/health")).json());
    const reply = await ask("/sandboxes", own == null ? {} : { [controlPlaneHeader]: own });
    if (!reply.ok) throw new StackFailure(`The local host answered ${reply.status} when asked what runs.`);
    const { residue } = hostEnumeration.parse(await reply.json());
    return residue.filter((each) => each.sandbox_id !== null || sessions.has(each.session_id));
  }

  get worker(): Leash | null {
    return this.#worker;
  }

  get host(): Leash | null {
    return this.#host?.leash ?? null;
  }

  /** Idempotent. Stops the worker, then the host; nothing of what this stack started is left. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stopAll();
    return this.#stopping;
  }

  async #stopAll(): Promise<void> {
    if (this.#cron !== null) clearInterval(this.#cron);
    await this.#worker?.stop();
    // Only a host can end sandboxes: one that died takes its place again for that.
    if (this.#order.endSandboxes && this.#host?.url !== "" && this.#host?.leash.alive() === false) {
      await this.startHost().catch(() => {});
    }
    await this.#host?.leash.stop();
  }

  /** Until GET /readyz is 200. A worker that answers why it is not ready, and keeps to it, will not become so by waiting. */
  async #isReady(worker: Leash): Promise<string> {
    let refusedSince: number | null = null;
    while (worker.alive()) {
      try {
        // With the admin token the answer names values and addresses, which a developer needs to hear.
        const headers = { authorization: `Bearer ${this.secrets.ADMIN_TOKEN}` };
        const reply = await fetch(`${this.url}/readyz`, { headers, signal: AbortSignal.timeout(5_000) });
        const text = await reply.text();
        // A fleet that an operator drains is up.
        if (reply.status === 200 || unready.safeParse(jsonOf(text)).data?.code === "draining") return text;
        refusedSince ??= performance.now();
        if (performance.now() - refusedSince > patienceMs) throw new StackFailure(detailOf(text));
      } catch (error) {
        if (error instanceof StackFailure) throw error;
        refusedSince = null; // not listening yet
      }
      await pause(100);
    }
    return "";
  }
}

const unready = z.object({ detail: z.string(), code: z.string().optional() });

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

/** What does not fit is said at once, not by a Worker that never becomes ready. */
function refuseMisfits({ vars }: StackOrder): void {
  const toml = unstable_readConfig({ config: join(repository, "wrangler.toml") }, { hideWarnings: true });
  const all = { ...(toml.vars as Record<string, string>), SANDBOX_PROVIDER: "local", ...vars };
  const reading = readConfig(all, ["cloudflare", "local"]);
  if (!reading.ok) throw new StackFailure(reading.misfits.map(({ message }) => message).join("\n"));
}

/** The workerd processes of a wrangler. */
function runtimesOf(worker: Leash): readonly number[] {
  return groupMembers(worker.group).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/comm`, "utf8").trim() === "workerd";
    } catch {
      return false;
    }
  });
}

function detailOf(text: string): string {
  try {
    return unready.parse(JSON.parse(text)).detail;
  } catch {
    return `GET /readyz answered: ${text.slice(0, 300)}`;
  }
}

async function untilReady(leash: Leash, ready: Promise<string>): Promise<string> {
  const late = new AbortController();
  const outcome = await Promise.race([
    ready.then((text) => ({ kind: "ready", text }) as const),
    leash.ended.then((text) => ({ kind: "ended", text }) as const),
    pause(readyWithinMs, { kind: "late", text: "" } as const, { signal: late.signal }).catch(
      () => ({ kind: "late", text: "" }) as const,
    ),
  ]);
  late.abort();
  if (outcome.kind === "ready") return outcome.text;
  const how =
    outcome.kind === "late" ? "was not ready within three minutes" : `ended before it was ready (${outcome.text})`;
  throw new StackFailure(`${leash.name} ${how}: ${lastWords(leash)} (log: ${leash.logFile})`);
}

/** What says most: an error and the place it names, else the first line (a refused command line begins with the reason and goes on with its usage). */
function lastWords(leash: Leash): string {
  const lines = stripVTControlCharacters(leash.said())
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  const error = lines.findIndex((line) => /\berror\b/i.test(line));
  return (error === -1 ? lines.slice(0, 1) : lines.slice(error, error + 2)).join(" ") || "it said nothing";
}

/** All that a start builds, for stacks that are started one after another from the same sources: with `built` they do not build again. */
export async function buildAll(directory: string): Promise<void> {
  await Promise.all([buildWrapper(directory), buildPages(directory), bundleWorker(directory)]);
}

/** Before wrangler starts: what appears under the assets while it watches them starts the Worker anew. */
async function buildPages(stateDirectory: string): Promise<void> {
  const command = ["node", join(repository, "scripts/builds/build-pages.ts")] as const;
  await build("The console and the docs", command, join(stateDirectory, "build-pages.log"));
}

async function buildWrapper(stateDirectory: string): Promise<void> {
  await build(
    "The wrapper",
    ["node", join(repository, "scripts/builds/build-wrapper.ts")],
    join(stateDirectory, "build.log"),
  );
}

/** By wrangler itself, so that it is what a deploy would upload. */
async function bundleWorker(stateDirectory: string): Promise<void> {
  // Without containers, because building their image takes Docker.
  const flags = ["--dry-run", "--containers-rollout=none", "--outdir", join(stateDirectory, "bundle")];
  const command = ["wrangler", "deploy", ...flags] as const;
  await build("The Worker", command, join(stateDirectory, "bundle.log"));
}

async function build(what: string, command: LeashOrder["command"], logFile: string): Promise<void> {
  const env = toolEnvironment({ WRANGLER_SEND_METRICS: "false", CI: "true", NO_COLOR: "1", TMPDIR: dirname(logFile) });
  const leash = spawnLeashed({ name: what, command, env, cwd: repository, logFile, graceSeconds: 1 });
  const how = await leash.ended;
  if (how === "exit code 0") return;
  throw new StackFailure(`${what} could not be built (${how}): ${lastWords(leash)} (log: ${logFile})`);
}
