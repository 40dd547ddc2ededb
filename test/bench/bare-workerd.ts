/**
 * The bench's own workerd: the binary with a config of ours and nothing in between. (`wrangler dev` puts a proxy in front
 * that would be most of what is measured.) The bundle, the bindings and the vars are those of wrangler.toml.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { createRequire } from "node:module";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { build } from "esbuild";
import { unstable_readConfig } from "wrangler";
import { repository } from "../../scripts/repository.ts";
import { ensureSecrets, type StackSecrets } from "../../scripts/stack/secrets.ts";
import { signApiKey } from "../../src/protocol/api-keys.ts";

/** The workerd that wrangler runs: its package is a dependency of wrangler's, without types. */
const wranglers = createRequire(createRequire(import.meta.url).resolve("wrangler"));
const binary = (wranglers("workerd") as { readonly default: string }).default;

/** What is used of it; the type of wrangler's own has its list of bindings as `any`. */
interface WranglerConfig {
  readonly durable_objects: { readonly bindings: readonly { readonly name: string; readonly class_name: string }[] };
  readonly vars: Readonly<Record<string, unknown>>;
  readonly compatibility_date: string;
  readonly compatibility_flags: readonly string[];
}

export interface WorkerdOrder {
  /** Over those of wrangler.toml. */
  readonly vars: Readonly<Record<string, string>>;
  /** Binds the classes that count, instead of the plain ones. */
  readonly counting: boolean;
  /** Over fresh random ones. */
  readonly secrets?: Partial<StackSecrets>;
}

const countingClasses: Readonly<Record<string, string>> = {
  SessionObject: "CountedSession",
  TenantObject: "CountedTenant",
  FleetShard: "CountedShard",
  FleetControl: "CountedControl",
};
const plainClasses: Readonly<Record<string, string>> = { FleetShard: "SeededShard" };

export class BareWorkerd {
  readonly url: string;
  readonly directory: string;
  readonly secrets: StackSecrets;
  readonly #process: ChildProcess;

  private constructor(url: string, directory: string, secrets: StackSecrets, child: ChildProcess) {
    this.url = url;
    this.directory = directory;
    this.secrets = secrets;
    this.#process = child;
  }

  static async start(order: WorkerdOrder): Promise<BareWorkerd> {
    const directory = mkdtempSync(join(tmpdir(), "mooring-bench-"));
    mkdirSync(join(directory, "objects"));
    const secrets = { ...ensureSecrets(join(directory, "secrets")).secrets, ...order.secrets };
    await bundle(join(directory, "worker.js"));
    writeFileSync(join(directory, "config.capnp"), config(order, secrets, directory));
    const child = spawn(binary, ["serve", "--experimental", "--control-fd=3", join(directory, "config.capnp")], {
      stdio: ["ignore", "ignore", "pipe", "pipe"],
    });
    let said = "";
    child.stderr?.on("data", (chunk: Buffer) => (said = (said + chunk.toString()).slice(-4_000)));
    const port = await listeningOn(child);
    const started = new BareWorkerd(`http://127.0.0.1:${port ?? 0}`, directory, secrets, child);
    const deadline = performance.now() + 30_000;
    for (;;) {
      const status = await fetch(`${started.url}/readyz`).then(
        async (reply) => ({ status: reply.status, text: await reply.text() }),
        () => null,
      );
      if (status?.status === 200) return started;
      if (child.exitCode !== null || performance.now() > deadline) {
        await started.stop();
        throw new Error(`workerd did not become ready: ${status?.text ?? ""} ${said}`);
      }
      await pause(50);
    }
  }

  key(tenant: string): Promise<string> {
    const nonce = crypto.randomUUID().replaceAll("-", "").slice(0, 10);
    return signApiKey({ tenant, scopes: [], issuedAt: Date.now(), nonce }, this.secrets.KEY_SIGNING_SECRET);
  }

  /** Resident memory, bytes. */
  residentBytes(): number {
    const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.#process.pid}/status`, "utf8")) ?? [];
    return Number(kilobytes) * 1_024;
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const ended = new Promise((resolve) => this.#process.once("close", resolve));
      this.#process.kill("SIGKILL");
      await ended;
    }
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** workerd binds any free port and tells it on its control descriptor: nobody can take one that was chosen before. null: it ended. */
function listeningOn(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => {
    let told = "";
    child.stdio[3]?.on("data", (chunk: Buffer) => {
      told += chunk.toString();
      const [, port] = /"event":"listen","socket":"http","port":(\d+)/.exec(told) ?? [];
      if (port !== undefined) resolve(Number(port));
    });
    child.once("close", () => resolve(null));
  });
}

async function bundle(file: string): Promise<void> {
  await build({
    entryPoints: [join(repository, "test/bench/worker/main.ts")],
    outfile: file,
    bundle: true,
    format: "esm",
    target: "es2024",
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*", "node:*"],
    logLevel: "silent",
  });
}

function config(order: WorkerdOrder, secrets: StackSecrets, directory: string): string {
  const {
    durable_objects,
    vars,
    compatibility_date: date,
    compatibility_flags: flags,
  } = unstable_readConfig(
    { config: join(repository, "wrangler.toml") },
    { hideWarnings: true },
  ) as unknown as WranglerConfig;
  const names = order.counting ? countingClasses : plainClasses;
  const objects = [
    ...durable_objects.bindings.map(({ name, class_name }) => ({ name, className: names[class_name] ?? class_name })),
    { name: "FLOOR", className: "FloorObject" },
  ];
  const texts = { ...vars, ...order.vars, ...secrets, ...(order.counting ? { COUNTING: "1" } : {}) };
  const quoted = (value: unknown): string => JSON.stringify(String(value));
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "mooring", worker = .mooring),
    (name = "objects", disk = (path = ${quoted(join(directory, "objects"))}, writable = true)),
    (name = "internet", network = (allow = ["public", "private", "local"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "mooring")],
);
const mooring :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = ${quoted(date)},
  compatibilityFlags = [${flags.map(quoted).join(", ")}],
  durableObjectStorage = (localDisk = "objects"),
  durableObjectNamespaces = [
${objects.map(({ className }) => `    (className = ${quoted(className)}, uniqueKey = ${quoted(className)}, enableSql = true),`).join("\n")}
  ],
  bindings = [
${objects.map(({ name, className }) => `    (name = ${quoted(name)}, durableObjectNamespace = ${quoted(className)}),`).join("\n")}
${Object.entries(texts)
  .map(([name, value]) => `    (name = ${quoted(name)}, text = ${quoted(value)}),`)
  .join("\n")}
  ],
);
`;
}
