/**
 * `npm run deploy [-- --dry-run] [-- --name NAME] [any flag of wrangler deploy]`: checks that the secrets are set and that the image
 * can be built, builds what goes into it, and deploys. With --dry-run nothing is asked of an account and nothing is changed;
 * without Docker it then leaves the image out, and says so.
 *
 * Exit 1: something is missing, named with the command that mends it. Else wrangler's own exit code.
 */
import { spawnSync } from "node:child_process";
import { howToSet, readSecretList } from "./deploy/missing-secrets.ts";
import { dockerIsThere } from "./docker.ts";
import { repository, toolEnvironment } from "./repository.ts";

const noContainers = "--containers-rollout=none";

function wrangler(args: readonly string[], stdio: "inherit" | "pipe") {
  return spawnSync("wrangler", args, { cwd: repository, env: toolEnvironment(), stdio, encoding: "utf8" });
}

/** The Worker that is meant, as wrangler takes it everywhere. */
function workerFlags(args: readonly string[]): readonly string[] {
  return args.flatMap((arg, index) => {
    if (/^--(name|env)=/.test(arg)) return [arg];
    const value = args[index + 1];
    return (arg === "--name" || arg === "--env") && value !== undefined ? [arg, value] : [];
  });
}

function secretsMissing(worker: readonly string[]): string | null {
  const listed = wrangler(["secret", "list", "--format", "json", ...worker], "pipe");
  const look = readSecretList(listed.status, listed.stdout, listed.stderr);
  if (look.type === "unknown") return look.why;
  if (look.missing.length === 0) return null;
  return `Not deployed: these secrets are not set. Each of them its own value:\n${howToSet(look.missing, worker)}`;
}

function main(args: readonly string[]): number {
  const dryRun = args.includes("--dry-run");
  const without = args.some((arg) => arg.startsWith("--containers-rollout") && args.join(" ").includes("none"));
  const docker = without || dockerIsThere();
  if (!docker && !dryRun) {
    console.error(
      `Docker is not running here, and the container image cannot be built without it: start it, or pass ${noContainers} to deploy the Worker beside the image that is there.`,
    );
    return 1;
  }
  if (!dryRun) {
    const missing = secretsMissing(workerFlags(args));
    if (missing !== null) {
      console.error(missing);
      return 1;
    }
  }
  for (const program of [[], ["--toolbox"]]) {
    const built = spawnSync("node", ["scripts/build-wrapper.ts", ...program], {
      cwd: repository,
      env: toolEnvironment(),
      stdio: "inherit",
    });
    if (built.status !== 0) return built.status ?? 1;
  }
  if (!docker) console.error("Docker is not running here: the image is left out of this dry run.");
  return wrangler(["deploy", ...args, ...(docker ? [] : [noContainers])], "inherit").status ?? 1;
}

process.exitCode = main(process.argv.slice(2));
