/** What `npm run deploy -- --check` says, and that environments share nothing, by wrangler's own reading of what it would deploy. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tmpdir } from "node:os";
import { describe, expect, it } from "vitest";
import {
  checkDeployment,
  checkReport,
  lateAnswer,
  type CheckPorts,
  type DeployedConfig,
  type Ran,
} from "../../../scripts/deploy/checks.ts";
import { deployConfig, isEnvironment, readWith, workerName } from "../../../scripts/deploy/deploy-config.ts";
import { requiredSecrets } from "../../../scripts/deploy/missing-secrets.ts";
import { repository, toolEnvironment } from "../../../scripts/repository.ts";

const toml = readFileSync(join(repository, "wrangler.toml"), "utf8");
const ok = (stdout = ""): Ran => ({ status: 0, stdout, stderr: "" });
const bad = (stderr: string, status: number | null = 1): Ran => ({ status, stdout: "", stderr });
const config: DeployedConfig = {
  worker: "mooring",
  buckets: ["mooring-snapshots"],
  datasets: [],
  builtImages: 1,
  trafficDomain: "",
  routes: [],
};
const allSecrets = JSON.stringify(Object.keys(requiredSecrets).map((name) => ({ name })));

/** Answers by the beginning of the command line; what is not named is fine. */
function ports(answers: Readonly<Record<string, Ran>> = {}, changes: Partial<CheckPorts> = {}): CheckPorts {
  const usual: Record<string, Ran> = { "wrangler --version": ok("4.155.0"), "wrangler secret list": ok(allSecrets) };
  const all = { ...usual, ...answers };
  const run = (command: string, args: readonly string[]) => {
    const line = [command, ...args].join(" ");
    const named = Object.keys(all).find((each) => line.startsWith(each));
    return named === undefined ? ok() : (all[named] ?? ok());
  };
  return { run, nodeVersion: "24.21.0", wranglerWanted: "4.155.0", config, ...changes };
}
const wanting = (of: CheckPorts) => checkDeployment(of).filter(({ state }) => state !== "fine");

describe("npm run deploy -- --check", () => {
  it("[PEO-6] says that nothing is missing, and what comes next", () => {
    expect(wanting(ports())).toEqual([]);
    expect(checkReport(checkDeployment(ports()), "npm run deploy")).toMatch(
      /Nothing is missing\. Next: npm run deploy$/,
    );
  });

  it.each([
    [
      "login",
      { "wrangler whoami": bad("You are not authenticated. Please run `wrangler login`.") },
      "npx wrangler login",
    ],
    ["plan and containers", { "wrangler containers list": bad("ERROR Unauthorized") }, "workers/plans"],
    [
      "R2 bucket mooring-snapshots",
      { "wrangler r2 bucket info": bad("The specified bucket does not exist. [code: 10006]") },
      "npx wrangler r2 bucket create mooring-snapshots",
    ],
    [
      "R2 bucket mooring-snapshots",
      { "wrangler r2 bucket info": bad("Please enable R2 through the Cloudflare Dashboard. [code: 10042]") },
      "/r2",
    ],
    ["Docker", { "docker info": bad("", null) }, "docs.docker.com"],
    ["Docker", { "docker info": bad("Cannot connect") }, "systemctl start docker"],
    ["Docker buildx", { "docker buildx": bad("'buildx' is not a docker command") }, "docker-buildx"],
    ["secrets", { "wrangler secret list": ok("[]") }, "npm run secrets -- --file mooring.secrets --set --name mooring"],
    ["versions", { "wrangler --version": ok("4.1.0") }, "npm ci"],
  ])("[BUG-91] names what is missing (%s) with the command that mends it", (what, answers, mend) => {
    const found = wanting(ports(answers)).find(({ state }) => state === "missing");
    expect(found?.what).toBe(what);
    expect(found?.mend).toContain(mend);
    expect(checkReport(checkDeployment(ports(answers)), "x")).toMatch(
      /\d missing: run what stands below each, then this again\.$/,
    );
  });

  it("[BUG-91] what cannot be looked at is never fine", () => {
    const loggedOut = wanting(ports({ "wrangler whoami": bad("not authenticated") }));
    expect(loggedOut.map(({ what, state }) => `${what} ${state}`)).toEqual([
      "login missing",
      "plan and containers unknown",
      "R2 bucket mooring-snapshots unknown",
      "secrets unknown",
    ]);
    // As seen on a busy machine: wrangler was told to end after a minute, ended with 0, and was taken for logged in.
    const slow = ["wrangler", "docker"].map((program) => [program, lateAnswer(60)] as const);
    const late = wanting(ports({ "wrangler --version": lateAnswer(60), ...Object.fromEntries(slow) }));
    expect(late.map(({ what, state }) => `${what} ${state}`)).toEqual([
      "versions unknown",
      "Docker missing",
      "Docker buildx unknown",
      "login unknown",
      "plan and containers unknown",
      "R2 bucket mooring-snapshots unknown",
      "secrets unknown",
    ]);
    const coloured = wanting(ports({ "wrangler r2 bucket info": bad("\u001b[31mERROR\u001b[0m something failed") }));
    expect(coloured[0]?.says).toBe("it cannot be told: ERROR something failed");
    const down = wanting(ports({ "wrangler r2 bucket info": bad("error: fetch failed") }));
    expect(down).toMatchObject([{ state: "unknown", says: expect.stringContaining("fetch failed") as string }]);
  });

  it("[BUG-91] Analytics Engine is off unless it is asked for, and then said to be unsure", () => {
    expect(read(null, false).analytics_engine_datasets).toEqual([]);
    expect(read(null, true).analytics_engine_datasets).toEqual([{ binding: "ANALYTICS", dataset: "mooring" }]);
    expect(wanting(ports({}, { config: { ...config, datasets: ["mooring"] } }))).toMatchObject([
      { what: "Analytics Engine" },
    ]);
  });

  it("[BUG-91] names at once all that is missing, also what could be seen only after the first was mended", () => {
    const bare = ports(
      {
        "wrangler whoami": bad("not authenticated"),
        "docker info": bad("Cannot connect"),
        "docker buildx": bad("'buildx' is not a docker command"),
      },
      { config: { ...config, datasets: ["mooring"] } },
    );
    expect(wanting(bare).map(({ what }) => what)).toEqual([
      "Docker",
      "Docker buildx",
      "login",
      "plan and containers",
      "R2 bucket mooring-snapshots",
      "secrets",
      "Analytics Engine",
    ]);
  });

  it("a domain for ports needs its route", () => {
    const own = { ...config, trafficDomain: "sandboxes.example.net" };
    expect(wanting(ports({}, { config: own }))).toMatchObject([{ what: "domain", state: "missing" }]);
    expect(wanting(ports({}, { config: { ...own, routes: ["*.sandboxes.example.net/*"] } }))).toEqual([]);
  });

  it("[PEO-6] runs here, without an account, changes nothing and exits with 1", { timeout: 300_000 }, () => {
    const env = toolEnvironment({ CLOUDFLARE_API_TOKEN: "", HOME: mkdtempSync(join(tmpdir(), "mooring-home-")) });
    const run = spawnSync("node", ["scripts/deploy/deploy.ts", "--check"], { cwd: repository, env, encoding: "utf8" });
    // A busy machine may not answer in time, and then says so.
    expect(run.stdout).toMatch(/^(ok {7}versions: Node|unknown {2}versions: )/m);
    expect(run.stdout).toMatch(/^(MISSING|unknown) {2}login: /m);
    expect(run.stdout).toContain("npx wrangler login");
    expect(run.status).toBe(1);
  });
});

/** As wrangler reads it. */
function read(environment: string | null, analytics: boolean, withoutSdk = false) {
  // Beside wrangler.toml, as the real one: wrangler looks for the Dockerfile from there.
  const path = join(repository, `.wrangler-test-${process.pid}.toml`);
  writeFileSync(path, deployConfig(toml, { environment, analytics, withoutSdk }));
  try {
    return readWith(path);
  } finally {
    rmSync(path);
  }
}

describe("a deployment without sandbox-sdk", () => {
  it("[BUG-91] builds no image, and is the same in all else", () => {
    const [whole, without] = [read(null, false), read(null, false, true)];
    const classes = (of: typeof whole) => of.containers?.map(({ class_name: name }) => name);
    expect(classes(whole)).toEqual(["AgentContainer", "SandboxContainer"]);
    expect(classes(without)).toEqual(["AgentContainer"]);
    expect(without.containers).toEqual(whole.containers?.filter(({ image }) => image?.endsWith("Dockerfile") !== true));
    // Objects of that provider are still there: an end that is under way goes on.
    for (const key of ["name", "durable_objects", "migrations", "vars", "r2_buckets", "triggers"] as const)
      expect(without[key]).toEqual(whole[key]);
    expect(read("staging", false, true).containers).toMatchObject([{ name: "mooring-staging-agents" }]);
  });

  it("[BUG-91] is what the check names where there is no Docker", () => {
    const found = checkDeployment(ports({ "docker info": bad("", null) })).find(({ what }) => what === "Docker");
    expect(found?.mend).toContain("npm run deploy -- --without-sdk");
    expect(wanting(ports({ "docker info": bad("", null) }, { config: { ...config, builtImages: 0 } }))).toEqual([]);
  });
});

describe("environments", () => {
  it("[BUG-92] share nothing that an account holds once: Worker, bucket, containers, dataset, counters", () => {
    const all = [null, "staging", "try-out"].map((environment) => read(environment, true));
    const sharing = [
      (each: (typeof all)[number]) => [each.name],
      (each: (typeof all)[number]) => each.r2_buckets.map((bucket) => bucket.bucket_name),
      (each: (typeof all)[number]) =>
        (each.containers ?? []).map((one) => one.name ?? `${each.name}-${one.class_name}`),
      (each: (typeof all)[number]) => each.analytics_engine_datasets.map(({ dataset }) => dataset),
      (each: (typeof all)[number]) => each.ratelimits.map((one) => one.namespace_id),
    ];
    for (const names of sharing) {
      const used = all.flatMap(names);
      expect(used.length).toBeGreaterThanOrEqual(all.length);
      expect(new Set(used).size).toBe(used.length);
    }
    // Objects and secrets belong to the Worker: no binding names another one's.
    for (const each of all)
      expect(each.durable_objects.bindings.every((one) => one.script_name === undefined)).toBe(true);
  });

  it("[BUG-92] are production in all else: vars, limits, migrations, triggers", () => {
    const [production, staging] = [read(null, false), read("staging", false)];
    expect(staging.name).toBe("mooring-staging");
    for (const key of ["vars", "migrations", "triggers", "compatibility_date", "durable_objects", "assets"] as const)
      expect(staging[key]).toEqual(production[key]);
    const limits = (of: typeof staging) => of.ratelimits.map(({ name, simple }) => ({ name, simple }));
    expect(limits(staging)).toEqual(limits(production));
    expect(staging.containers?.map(({ class_name: name, max_instances: most }) => ({ name, most }))).toEqual(
      production.containers?.map(({ class_name: name, max_instances: most }) => ({ name, most })),
    );
  });

  it("[BUG-92] take neither production's routes nor its domain", () => {
    const routed = toml
      .replace(
        'main = "src/index.ts"',
        'main = "src/index.ts"\nroutes = [{ pattern = "mooring.mine.test", custom_domain = true }]',
      )
      .replace('TRAFFIC_DOMAIN = ""', 'TRAFFIC_DOMAIN = "sandboxes.mine.test"');
    const staging = deployConfig(routed, { environment: "staging", analytics: false, withoutSdk: false });
    expect(staging).not.toContain("mine.test");
    expect([workerName(null), workerName("staging")]).toEqual(["mooring", "mooring-staging"]);
    expect(["staging", "Staging", "production", "a b", ""].map(isEnvironment)).toEqual([
      true,
      false,
      false,
      false,
      false,
    ]);
  });
});
