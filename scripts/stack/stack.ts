/**
 * A whole Mooring on this machine: the local sandbox host and workerd under `wrangler dev`, as `npm run dev`, the demo
 * and the end-to-end tests use it. Everything lives in one state directory, so a second start finds the sessions and
 * the processes of the first. Sandboxes are no children of ours: stopping a stack leaves them to their leases, unless
 * `endSandboxes` says otherwise.
 */
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { stripVTControlCharacters } from "node:util";
import { z } from "zod";
import { type ApiKeyScope, signApiKey } from "../../src/protocol/api-keys.ts";
import { hostEnumeration, type HostResidue } from "../../src/protocol/host.ts";
import { repository, toolEnvironment } from "../repository.ts";
import { letJobsThrough } from "./let-jobs-through.ts";
import { type Leash, type LeashOrder, spawnLeashed } from "./leash.ts";
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
}

/** One plain sentence for the user, and where to read more. */
export class StackFailure extends Error {}

const hostReady = z.object({ url: z.url(), host_id: z.string() });
/** A cold workerd with a bundle to build took 2 to 5 s on two cores; a minute means that something is wrong. */
const readyWithinMs = 60_000;
/** The host answers 503 until it has looked around, which takes well under a second. */
const patienceMs = 8_000;

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
    if (!existsSync(join(repository, "node_modules", "wrangler"))) {
      throw new StackFailure("The packages are not installed here: run `npm ci` first.");
    }
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
      const begun = await Promise.allSettled([
        buildWrapper(order.stateDirectory).then(() => stack.startHost()),
        buildDocs(order.stateDirectory),
        order.reload ? null : bundleWorker(order.stateDirectory),
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
      graceSeconds: this.#order.endSandboxes ? 15 : 5,
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
    const all = { SANDBOX_PROVIDER: "local", LOCAL_HOST_URL: this.hostUrl, TENANT_MAX_SANDBOXES: "50", ...vars };
    this.#worker = spawnLeashed({
      name: "wrangler dev",
      command: [
        "wrangler",
        "dev",
        // With a script named, wrangler would look for the config beside that.
        ...["--config", join(repository, "wrangler.toml")],
        ...(this.#order.reload ? [] : [join(stateDirectory, "bundle", "index.js"), "--no-bundle"]),
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
        CI: "true",
        NO_COLOR: "1",
      }),
      cwd: repository,
      logFile: join(stateDirectory, "wrangler.log"),
      graceSeconds: 5,
    });
    await untilReady(this.#worker, this.#isReady(this.#worker));
    if (this.#order.cronSeconds !== null && this.#cron === null) {
      this.#cron = setInterval(() => void this.fireCron().catch(() => {}), this.#order.cronSeconds * 1_000);
    }
  }

  /** Runs the scheduled handler once, as the platform would. Rejects when the worker is away. */
  async fireCron(): Promise<void> {
    const reply = await fetch(`${this.url}/cdn-cgi/local/scheduled`, { signal: AbortSignal.timeout(30_000) });
    await reply.arrayBuffer();
    if (!reply.ok) throw new StackFailure(`The cron handler answered ${reply.status}.`);
  }

  /** Resolves with a sentence when the host or the worker ends although nobody asked. */
  async crashed(): Promise<string> {
    const parts = [this.#host?.leash, this.#worker].filter((leash) => leash !== null && leash !== undefined);
    const first = await Promise.race(parts.map(async (leash) => ({ leash, how: await leash.ended })));
    return `${first.leash.name} ended by itself (${first.how}); its log is ${first.leash.logFile}.`;
  }

  apiKey(tenant: string, scopes: readonly ApiKeyScope[] = []): Promise<string> {
    const nonce = crypto.randomUUID().replaceAll("-", "").slice(0, 10);
    return signApiKey({ tenant, scopes, issuedAt: Date.now(), nonce }, this.secrets.KEY_SIGNING_SECRET);
  }

  /** Every live process of this stack's sandboxes. Another Mooring on this machine may have its own: those are left out. */
  async residue(sessions: ReadonlySet<string> = new Set()): Promise<readonly HostResidue[]> {
    const reply = await fetch(`${this.hostUrl}/sandboxes`, {
      headers: { authorization: `Bearer ${this.secrets.LOCAL_HOST_TOKEN}` },
      signal: AbortSignal.timeout(10_000),
    });
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
        const reply = await fetch(`${this.url}/readyz`, { signal: AbortSignal.timeout(5_000) });
        const text = await reply.text();
        if (reply.status === 200) return text;
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

const unready = z.object({ detail: z.string() });

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
  const how = outcome.kind === "late" ? "was not ready within a minute" : `ended before it was ready (${outcome.text})`;
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

/** Before wrangler starts: what appears under the assets while it watches them starts the Worker anew. */
async function buildDocs(stateDirectory: string): Promise<void> {
  const command = ["node", join(repository, "scripts/build-docs.ts")] as const;
  await build("The docs page", command, join(stateDirectory, "build-docs.log"));
}

async function buildWrapper(stateDirectory: string): Promise<void> {
  await build("The wrapper", ["node", join(repository, "scripts/build-wrapper.ts")], join(stateDirectory, "build.log"));
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
