/**
 * `npm run deploy [-- --check] [-- --env NAME] [-- --analytics] [-- --without-sdk] [-- --dry-run] [any flag of wrangler deploy]`: checks that the secrets are set
 * and that the image can be built, builds what goes into it, and deploys.
 *
 * - `--check`: looks at everything that a deployment needs, says what is missing and what mends it, and deploys nothing.
 * - `--env NAME`: the Worker `mooring-NAME` with names of its own for everything (deploy-config.ts); without it: production.
 * - `--analytics`: metrics go to Analytics Engine as well.
 * - `--without-sdk`: without the containers of `sandbox-sdk`, whose image is the only one that is built: no Docker is needed. For a Worker in which no session of
 *   that provider runs: one that did would lose the way to its container.
 * - `--dry-run`: nothing is asked of an account and nothing is changed; without Docker the image is left out, and it says so.
 *
 * Exit 1: something is missing, named with the command that mends it. Else wrangler's own exit code.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { checkDeployment, checkReport, lateAnswer, type DeployedConfig, type Ran } from "./checks.ts";
import { type DeployOrder, isEnvironment, readWith, workerName, writeDeployConfig } from "./deploy-config.ts";
import { howToSet, readSecretList } from "./missing-secrets.ts";
import { dockerIsThere } from "../stack/docker.ts";
import { repository, toolEnvironment } from "../repository.ts";

const noContainers = "--containers-rollout=none";
const usage = `Usage: npm run deploy -- [--check] [--env NAME] [--analytics] [--without-sdk] [--dry-run] [--name NAME] [any flag of wrangler deploy]`;

interface Order extends DeployOrder {
  readonly check: boolean;
  readonly dryRun: boolean;
  /** For wrangler, as they came. */
  readonly rest: readonly string[];
}

/** A string: what is wrong with the command line. */
function readOrder(args: readonly string[]): Order | string {
  let environment: string | null = null;
  let [analytics, check, withoutSdk] = [false, false, false];
  const rest: string[] = [];
  for (let at = 0; at < args.length; at += 1) {
    const arg = args[at] ?? "";
    if (arg === "--analytics") analytics = true;
    else if (arg === "--check") check = true;
    else if (arg === "--without-sdk") withoutSdk = true;
    else if (arg === "--env" || arg.startsWith("--env=")) {
      const name = arg === "--env" ? (args[(at += 1)] ?? "") : arg.slice("--env=".length);
      if (name !== "production" && !isEnvironment(name))
        return `"${name}" is no environment: write a short name such as staging. ${usage}`;
      environment = name === "production" ? null : name;
    } else rest.push(arg);
  }
  return { environment, analytics, withoutSdk, check, dryRun: rest.includes("--dry-run"), rest };
}

function wrangler(args: readonly string[], stdio: "inherit" | "pipe") {
  return spawnSync("wrangler", args, { cwd: repository, env: toolEnvironment(), stdio, encoding: "utf8" });
}

/** The Worker that is meant, as wrangler takes it everywhere. */
function workerFlags({ environment, rest }: Order): readonly string[] {
  const named = rest.flatMap((arg, index) => {
    if (arg.startsWith("--name=")) return [arg];
    const value = rest[index + 1];
    return arg === "--name" && value !== undefined ? [arg, value] : [];
  });
  return named.length > 0 ? named : environment === null ? [] : ["--name", workerName(environment)];
}

function secretsMissing(worker: readonly string[]): string | null {
  const listed = wrangler(["secret", "list", "--format", "json", ...worker], "pipe");
  const look = readSecretList(listed.status, listed.stdout, listed.stderr);
  if (look.type === "unknown") return look.why;
  if (look.missing.length === 0) return null;
  return `Not deployed: these secrets are not set. Each of them its own value:\n${howToSet(look.missing, worker)}`;
}

const patienceMs = 60_000;

function run(command: string, args: readonly string[]): Ran {
  const binary = command === "docker" ? (process.env["WRANGLER_DOCKER_BIN"] ?? command) : command;
  // Nobody is there to answer a question: wrangler must not open a browser to log in.
  const env = toolEnvironment({ CI: "1", NO_COLOR: "1", FORCE_COLOR: "0" });
  const { status, stdout, stderr, error } = spawnSync(binary, args, {
    cwd: repository,
    env,
    encoding: "utf8",
    timeout: patienceMs,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const code = error !== undefined && "code" in error ? error.code : null;
  // wrangler exits with 0 when it is told to end, so an answer that did not come in time must not be read as one.
  if (code === "ETIMEDOUT") return lateAnswer(patienceMs / 1_000);
  return { status: code === "ENOENT" ? null : (status ?? 1), stdout: stdout ?? "", stderr: stderr ?? "" };
}

function readDeployed(config: string, order: Order): DeployedConfig {
  const read = readWith(config);
  const [, name] = /^--name[= ](.+)$/.exec(workerFlags(order).join(" ")) ?? [];
  const routes = [...(read.routes ?? []), ...(read.route === undefined ? [] : [read.route])];
  const traffic = read.vars["TRAFFIC_DOMAIN"];
  return {
    worker: name ?? read.name ?? workerName(null),
    buckets: read.r2_buckets.flatMap(({ bucket_name: bucket }) => (bucket === undefined ? [] : [bucket])),
    datasets: read.analytics_engine_datasets.map(({ dataset }) => dataset ?? ""),
    builtImages: (read.containers ?? []).filter(({ image }) => image?.endsWith("Dockerfile") === true).length,
    trafficDomain: typeof traffic === "string" ? traffic : "",
    routes: routes.map((route) => (typeof route === "string" ? route : route.pattern)),
  };
}

function check(config: string, order: Order): number {
  const wanted = JSON.parse(readFileSync(join(repository, "package.json"), "utf8")) as {
    readonly devDependencies: Readonly<Record<string, string>>;
  };
  const findings = checkDeployment({
    run,
    nodeVersion: process.versions.node,
    wranglerWanted: wanted.devDependencies["wrangler"] ?? "",
    config: readDeployed(config, order),
  });
  const flags = [
    ...(order.environment === null ? [] : ["--env", order.environment]),
    ...(order.analytics ? ["--analytics"] : []),
    ...(order.withoutSdk ? ["--without-sdk"] : []),
  ];
  console.log(checkReport(findings, ["npm run deploy", ...(flags.length === 0 ? [] : ["--", ...flags])].join(" ")));
  return findings.some(({ state }) => state === "missing") ? 1 : 0;
}

function deploy(order: Order, config: readonly string[]): number {
  const { rest, dryRun } = order;
  const without = rest.some((arg) => arg.startsWith("--containers-rollout") && rest.join(" ").includes("none"));
  const docker = without || order.withoutSdk || dockerIsThere();
  if (!docker && !dryRun) {
    console.error(
      `Docker is not running here, and the image of the provider \`sandbox-sdk\` cannot be built without it. Nothing was deployed. Where no session of that provider runs, leave it out: \`npm run deploy -- --without-sdk\`. Else start Docker, or pass ${noContainers} to deploy the Worker beside the image that is there. \`npm run deploy -- --check\` looks at all that is needed.`,
    );
    return 1;
  }
  const missing = dryRun ? null : secretsMissing(workerFlags(order));
  if (missing !== null) {
    console.error(missing);
    return 1;
  }
  for (const program of [[], ["--toolbox"]]) {
    const built = spawnSync("node", ["scripts/builds/build-wrapper.ts", ...program], {
      cwd: repository,
      env: toolEnvironment(),
      stdio: "inherit",
    });
    if (built.status !== 0) return built.status ?? 1;
  }
  if (!docker) console.error("Docker is not running here: the image is left out of this dry run.");
  return wrangler(["deploy", ...config, ...rest, ...(docker ? [] : [noContainers])], "inherit").status ?? 1;
}

function main(args: readonly string[]): number {
  if (args.includes("--help") || args.includes("-h")) {
    console.log(usage);
    return 0;
  }
  const order = readOrder(args);
  if (typeof order === "string") {
    console.error(order);
    return 2;
  }
  const own = writeDeployConfig(order);
  try {
    if (order.check) return check(own?.path ?? join(repository, "wrangler.toml"), order);
    return deploy(order, own === null ? [] : ["--config", own.path]);
  } finally {
    own?.remove();
  }
}

process.exitCode = main(process.argv.slice(2));
