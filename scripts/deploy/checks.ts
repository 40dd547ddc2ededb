/**
 * Everything that a first deployment needs, looked at one by one: what is missing, what that means, and the command that mends it.
 * Nothing is changed. What cannot be told without something else that is missing is "not looked at", never "fine".
 */
import { stripVTControlCharacters } from "node:util";
import { howToSet, readSecretList } from "./missing-secrets.ts";

export interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** It was broken off. Nothing is known of what was asked. */
export function lateAnswer(seconds: number): Ran {
  return { status: 1, stdout: "", stderr: `no answer within ${seconds} s` };
}

export interface CheckPorts {
  /** `status` null: there is no such program. */
  readonly run: (command: string, args: readonly string[]) => Ran;
  readonly nodeVersion: string;
  readonly wranglerWanted: string;
  readonly config: DeployedConfig;
}

/** The parts of wrangler's reading of the configuration that the checks look at. */
export interface DeployedConfig {
  readonly worker: string;
  readonly buckets: readonly string[];
  readonly datasets: readonly string[];
  /** Container applications that are built from a Dockerfile. */
  readonly builtImages: number;
  readonly trafficDomain: string;
  readonly routes: readonly string[];
}

export interface Finding {
  readonly what: string;
  readonly state: "fine" | "missing" | "unknown";
  readonly says: string;
  /** null: there is nothing to do. */
  readonly mend: string | null;
}

const fine = (what: string, says: string): Finding => ({ what, state: "fine", says, mend: null });
const missing = (what: string, says: string, mend: string): Finding => ({ what, state: "missing", says, mend });
const unknown = (what: string, says: string, mend: string | null): Finding => ({ what, state: "unknown", says, mend });

export function checkDeployment(ports: CheckPorts): readonly Finding[] {
  const here = [versions(ports), ...docker(ports), domain(ports)];
  const login = loggedIn(ports);
  if (login.state !== "fine") {
    const buckets = ports.config.buckets.map((name) => `R2 bucket ${name}`);
    const unseen = ["plan and containers", ...buckets, "secrets"].map((name) =>
      unknown(name, "not looked at: wrangler is not logged in", null),
    );
    return [...here, login, ...unseen, ...analytics(ports)];
  }
  return [
    ...here,
    login,
    containers(ports),
    ...ports.config.buckets.map((name) => bucket(ports, name)),
    secrets(ports),
    ...analytics(ports),
  ];
}

function versions({ run, nodeVersion, wranglerWanted }: CheckPorts): Finding {
  const what = "versions";
  const major = Number(nodeVersion.split(".")[0]);
  if (major < 22)
    return missing(
      what,
      `Node ${nodeVersion} is too old for wrangler, which needs 22`,
      "npm ci   # brings a Node of its own; start everything with npm run",
    );
  const said = run("wrangler", ["--version"]);
  const [version] = /\d+\.\d+\.\d+/.exec(said.stdout) ?? [];
  if (version === undefined && said.stderr.startsWith("no answer"))
    return unknown(what, `wrangler gave ${said.stderr}: this machine is busy`, "npx wrangler --version");
  if (version === undefined) return missing(what, "wrangler does not start here", "npm ci");
  if (version !== wranglerWanted)
    return missing(what, `wrangler is ${version}, and package.json says ${wranglerWanted}`, "npm ci");
  return fine(what, `Node ${nodeVersion}, wrangler ${version}`);
}

function docker({ run, config }: CheckPorts): readonly Finding[] {
  if (config.builtImages === 0) return [fine("Docker", "not needed: no image is built here")];
  const without = "npm run deploy -- --without-sdk   # where no session of `sandbox-sdk` runs";
  const engine = run("docker", ["info"]);
  if (engine.status === null)
    return [
      missing(
        "Docker",
        "there is no Docker, and the image of `sandbox-sdk` is built with it",
        `https://docs.docker.com/engine/install/\nor: ${without}`,
      ),
    ];
  // Both are looked at in any case: whoever reads this should not find the second only once the first is mended.
  const answers =
    engine.status === 0
      ? fine("Docker", "its engine answers")
      : missing(
          "Docker",
          "Docker is installed and its engine does not answer",
          `sudo systemctl start docker   # or start Docker Desktop\nor: ${without}`,
        );
  return [answers, buildx(run)];
}

function buildx(run: CheckPorts["run"]): Finding {
  const what = "Docker buildx";
  const said = run("docker", ["buildx", "version"]);
  if (said.status === 0) return fine(what, "it is there");
  const mend = "sudo apt-get install docker-buildx   # docker-buildx-plugin with Docker's own packages";
  return said.stderr.startsWith("no answer")
    ? unknown(what, `docker gave ${said.stderr}: this machine is busy`, "docker buildx version")
    : missing(what, "wrangler builds the image with buildx, and it is not there", mend);
}

function domain({ config: { trafficDomain, routes } }: CheckPorts): Finding {
  if (trafficDomain === "") return fine("domain", "TRAFFIC_DOMAIN is empty: ports of sandboxes are reached by path");
  const covered = routes.some((route) => route.startsWith(`*.${trafficDomain}/`));
  return covered
    ? fine("domain", `*.${trafficDomain} is routed here`)
    : missing(
        "domain",
        `TRAFFIC_DOMAIN is ${trafficDomain}, and no route leads *.${trafficDomain} to this Worker`,
        `wrangler.toml: routes = [{ pattern = "*.${trafficDomain}/*", zone_name = "YOUR ZONE" }]`,
      );
}

function loggedIn({ run }: CheckPorts): Finding {
  const said = run("wrangler", ["whoami"]);
  const text = `${said.stdout}\n${said.stderr}`;
  const mend = "npx wrangler login   # or: export CLOUDFLARE_API_TOKEN=…";
  if (/not authenticated|not logged in/i.test(text)) return missing("login", "wrangler is not logged in", mend);
  if (said.status !== 0) return unknown("login", `it cannot be told: ${firstError(said)}`, mend);
  return fine("login", "wrangler is logged in");
}

function containers({ run }: CheckPorts): Finding {
  const what = "plan and containers";
  const said = run("wrangler", ["containers", "list"]);
  if (said.status === 0) return fine(what, "containers can be listed");
  const text = `${said.stdout}\n${said.stderr}`;
  if (/unauthorized|forbidden|not.{0,20}(enabled|entitled|available)|paid plan|\b40[13]\b/i.test(text))
    return missing(
      what,
      "the account may not use containers: they need the Workers Paid plan, and a token with the permission Containers: Edit",
      "https://dash.cloudflare.com/?to=/:account/workers/plans",
    );
  return unknown(what, `it cannot be told: ${firstError(said)}`, "npx wrangler containers list");
}

function bucket({ run }: CheckPorts, name: string): Finding {
  const what = `R2 bucket ${name}`;
  const said = run("wrangler", ["r2", "bucket", "info", name]);
  if (said.status === 0) return fine(what, "it is there");
  const text = `${said.stdout}\n${said.stderr}`;
  if (/10042|enable R2/i.test(text))
    return missing(what, "R2 is not switched on for the account", "https://dash.cloudflare.com/?to=/:account/r2");
  if (/10006|does not exist|not found/i.test(text))
    return missing(
      what,
      "there is no such bucket, so nothing could be paused",
      `npx wrangler r2 bucket create ${name}`,
    );
  return unknown(what, `it cannot be told: ${firstError(said)}`, `npx wrangler r2 bucket info ${name}`);
}

function secrets({ run, config: { worker } }: CheckPorts): Finding {
  const flags = ["--name", worker];
  const said = run("wrangler", ["secret", "list", "--format", "json", ...flags]);
  const look = readSecretList(said.status, said.stdout, said.stderr);
  if (look.type === "unknown") return unknown("secrets", look.why, null);
  if (look.missing.length === 0) return fine("secrets", "all are set");
  const file = `${worker}.secrets`;
  return missing(
    "secrets",
    `not set: ${look.missing.join(", ")}`,
    `npm run secrets -- --file ${file} --set --name ${worker}\nor one by one:\n${howToSet(look.missing, flags)}`,
  );
}

/** wrangler cannot ask for it; a deploy with the binding fails where it is off. */
function analytics({ config: { datasets } }: CheckPorts): readonly Finding[] {
  if (datasets.length === 0) return [fine("Analytics Engine", "not asked for (--analytics)")];
  return [
    unknown(
      "Analytics Engine",
      "asked for; whether the account has it switched on cannot be asked",
      "https://dash.cloudflare.com/?to=/:account/workers/analytics-engine   # or deploy without --analytics",
    ),
  ];
}

function firstError({ stdout, stderr }: Ran): string {
  const lines = stripVTControlCharacters(`${stderr}\n${stdout}`)
    .split("\n")
    .map((line) => line.trim());
  return lines.find((line) => /error|failed/i.test(line)) ?? lines.find((line) => line !== "") ?? "it said nothing";
}

/** For a person; the last line says what to do next. */
export function checkReport(findings: readonly Finding[], next: string): string {
  const marks = { fine: "ok     ", missing: "MISSING", unknown: "unknown" };
  const lines = findings.flatMap(({ what, state, says, mend }) => [
    `${marks[state]}  ${what}: ${says}`,
    ...(mend === null ? [] : mend.split("\n").map((line) => `           ${line}`)),
  ]);
  const count = findings.filter(({ state }) => state === "missing").length;
  const unsure = findings.filter(({ state }) => state === "unknown").length;
  const end =
    count > 0
      ? `${count} missing: run what stands below each, then this again.`
      : unsure > 0
        ? `Nothing is known to be missing; ${unsure} could not be looked at.`
        : `Nothing is missing. Next: ${next}`;
  return [...lines, end].join("\n");
}
