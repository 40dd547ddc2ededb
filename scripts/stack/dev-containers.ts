/**
 * `npm run dev:containers [-- flags of wrangler dev]`: Mooring on 127.0.0.1:8787 with the provider `cloudflare`, each sandbox a real container of a
 * local engine (docs/containers.md). Secrets are those of `npm run dev` (.dev.vars), and the cron fires every five minutes, as there.
 * Exit 1: no engine can be had here, or wrangler ended by itself.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { removeEnded, removeLeftovers } from "../containers/leftovers.ts";
import { type LocalContainers, openLocalContainers } from "../containers/local-containers.ts";
import { writeLocalConfig } from "../containers/local-config.ts";
import { repository, toolEnvironment } from "../repository.ts";
import { freshKey } from "./fresh-key.ts";
import { ensureSecrets } from "./secrets.ts";
import { onceParentIsGone } from "./signals.ts";

const worker = "mooring-dev";
const cronMs = 300_000;
const tidyMs = 60_000;

const lacks = "Not here: the provider sandbox-sdk (its image comes from a registry) and sizes of containers.";

/** `secretsFile`: made when it is not there. */
async function main(args: readonly string[], secretsFile: string): Promise<number> {
  const opened = await openLocalContainers((line) => console.log(line));
  if (opened.type === "missing") {
    console.error(`Containers cannot run here: ${opened.why}. \`npm run dev\` needs none.`);
    return 1;
  }
  const { containers } = opened;
  const config = writeLocalConfig(worker, containers.env.DOCKER_HOST);
  try {
    const { secrets } = ensureSecrets(secretsFile);
    console.log(`API key (tenant dev)  ${await freshKey({ tenant: "dev", scopes: [] }, secrets.KEY_SIGNING_SECRET)}`);
    console.log(lacks);
    return await runWrangler(containers, ["--config", config.path, "--env-file", secretsFile, ...args]);
  } finally {
    config.remove();
    removeLeftovers(containers.host, worker, containers.isOurs ? "remove images" : "keep images");
    await containers.end();
  }
}

function runWrangler({ env, image, host }: LocalContainers, args: readonly string[]): Promise<number> {
  const flags = ["dev", "--enable-containers", "--ip", "127.0.0.1"];
  const vars = { SANDBOX_PROVIDER: "cloudflare", CONTAINER_IMAGE: image };
  const given = Object.entries(vars).flatMap(([name, value]) => ["--var", `${name}:${value}`]);
  const wrangler = spawn(process.env["MOORING_WRANGLER"] ?? "wrangler", [...flags, ...given, ...args], {
    cwd: repository,
    env: toolEnvironment(env),
    stdio: "inherit",
  });
  const port = /--port[= ](\d+)/.exec(args.join(" "))?.[1] ?? "8787";
  // wrangler fires no cron by itself.
  const fireCron = (): void =>
    void fetch(`http://127.0.0.1:${port}/cdn-cgi/local/scheduled`, { signal: AbortSignal.timeout(cronMs) }).catch(
      () => {},
    );
  const timers = [setInterval(fireCron, cronMs), setInterval(() => removeEnded(host, worker), tidyMs)];
  // The terminal's Ctrl-C reaches wrangler too; it ends its containers before it ends.
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => wrangler.kill(signal));
  onceParentIsGone(() => wrangler.kill("SIGTERM"));
  return new Promise((resolve) => {
    const over = (code: number): void => {
      for (const timer of timers) clearInterval(timer);
      resolve(code);
    };
    wrangler.once("error", () => over(1));
    wrangler.once("exit", (code) => over(code ?? 0));
  });
}

process.exitCode = await main(
  process.argv.slice(2),
  process.env["MOORING_SECRETS_FILE"] ?? join(repository, ".dev.vars"),
);
