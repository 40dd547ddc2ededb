/**
 * wrangler.toml for one environment. `production` is the file as it is; every other one gets names of its own for all that an account
 * holds once, so that two environments share nothing: Worker (and with it every Durable Object and secret), bucket, containers,
 * dataset, counters of the rate limits. Routes and the domain of ports are production's and are left out.
 */
import { createHash } from "node:crypto";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { unstable_readConfig } from "wrangler";
import { repository } from "../repository.ts";

export interface DeployOrder {
  /** null: production. */
  readonly environment: string | null;
  /** Metrics go to Analytics Engine as well, which an account must have switched on. */
  readonly analytics: boolean;
  /** Without the container application of `sandbox-sdk`, whose image is the only one that is built: the deploy needs no Docker. */
  readonly withoutSdk: boolean;
}

/** The parts of wrangler's reading of a configuration that are used here. Wrangler's types say `any`. */
interface ReadConfig {
  readonly name?: string;
  readonly vars: Readonly<Record<string, unknown>>;
  readonly r2_buckets: readonly { readonly bucket_name?: string }[];
  readonly analytics_engine_datasets: readonly { readonly binding: string; readonly dataset?: string }[];
  readonly containers?: readonly {
    readonly name?: string;
    readonly class_name: string;
    readonly image?: string;
    readonly max_instances?: number;
  }[];
  readonly ratelimits: readonly { readonly name: string; readonly namespace_id: string; readonly simple: unknown }[];
  readonly durable_objects: { readonly bindings: readonly { readonly script_name?: string }[] };
  readonly migrations: unknown;
  readonly triggers: unknown;
  readonly assets?: unknown;
  readonly compatibility_date?: string;
  readonly route?: string | { readonly pattern: string };
  readonly routes?: readonly (string | { readonly pattern: string })[];
}

export function readWith(config: string): ReadConfig {
  return unstable_readConfig({ config }, { hideWarnings: true }) as ReadConfig;
}

const productionName = "mooring";

export function workerName(environment: string | null): string {
  return environment === null ? productionName : `${productionName}-${environment}`;
}

/** A name that fits into every name it becomes part of. */
export function isEnvironment(name: string): boolean {
  return /^[a-z][a-z0-9-]{0,19}$/.test(name) && name !== "production";
}

/** null: wrangler.toml itself will do. Beside it, because the paths in it are relative to its place. */
export function writeDeployConfig(order: DeployOrder): { readonly path: string; remove(): void } | null {
  if (order.environment === null && !order.analytics && !order.withoutSdk) return null;
  const path = join(repository, `.wrangler-${workerName(order.environment)}.toml`);
  writeFileSync(path, deployConfig(readFileSync(join(repository, "wrangler.toml"), "utf8"), order));
  return { path, remove: () => rmSync(path, { force: true }) };
}

export function deployConfig(toml: string, { environment, analytics, withoutSdk }: DeployOrder): string {
  const named = environment === null ? toml : withOwnNames(toml, environment);
  const own = withoutSdk ? withSdkApplication(named, () => []) : named;
  if (!analytics) return own;
  const dataset = workerName(environment).replaceAll("-", "_");
  return `${own.trimEnd()}\n\n[[analytics_engine_datasets]]\nbinding = "ANALYTICS"\ndataset = "${dataset}"\n`;
}

/** `change` gets the tables of the container application of `sandbox-sdk`, in the order of the file, and answers what stands there instead. */
export function withSdkApplication(toml: string, change: (tables: readonly string[]) => readonly string[]): string {
  const tables = toml.split(/^(?=\[)/m);
  const from = tables.findIndex((table) => table.startsWith("[[containers]]") && table.includes('"SandboxContainer"'));
  if (from === -1) throw new Error("wrangler.toml has no container application of the SDK.");
  // With the application go the tables below it.
  let to = from + 1;
  while (tables[to]?.startsWith("[containers.") === true) to += 1;
  return [...tables.slice(0, from), ...change(tables.slice(from, to)), ...tables.slice(to)].join("");
}

function withOwnNames(toml: string, environment: string): string {
  const own = workerName(environment);
  const base = namespaceBase(environment);
  const text = toml
    // Containers first: the Worker's new name looks like one of theirs.
    .replaceAll(/^name = "mooring-(.+)"$/gm, `name = "${own}-$1"`)
    .replace(/^name = "mooring"$/m, `name = "${own}"`)
    .replaceAll(/^(bucket_name|preview_bucket_name) = "(.+)"$/gm, `$1 = "$2-${environment}"`)
    .replaceAll(/^namespace_id = "(\d+)"$/gm, (_, id: string) => `namespace_id = "${base + Number(id)}"`)
    .replace(/^TRAFFIC_DOMAIN = ".*"$/m, 'TRAFFIC_DOMAIN = ""')
    .replaceAll(/^(routes?|workers_dev) = .*\n/gm, "");
  return text
    .split(/^(?=\[)/m)
    .filter((table) => !table.startsWith("[[routes]]"))
    .join("");
}

/** Counters are told apart by number, across the whole account. The same environment gets the same numbers on every machine. */
function namespaceBase(environment: string): number {
  const hash = createHash("sha256").update(environment).digest().readUInt32BE(0);
  return (1 + (hash % 100_000)) * 10_000;
}
