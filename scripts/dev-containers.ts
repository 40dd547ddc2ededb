/**
 * `npm run dev:containers [-- flags of wrangler dev]`: Mooring on 127.0.0.1:8787 with the `cloudflare` provider, each sandbox a container of the
 * local Docker engine. Secrets are those of `npm run dev` (.dev.vars), and the cron fires every five minutes, as there.
 * Exit 1: no Docker, or wrangler ended by itself.
 */
import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { signApiKey } from "../src/protocol/api-keys.ts";
import { dockerIsThere } from "./docker.ts";
import { repository, toolEnvironment } from "./repository.ts";
import { ensureSecrets } from "./stack/secrets.ts";

const cronMs = 300_000;

async function main(args: readonly string[]): Promise<number> {
  if (!dockerIsThere()) {
    console.error(
      "Docker is not running here, and containers need it: start it, or use `npm run dev`, which needs none.",
    );
    return 1;
  }
  for (const program of [[], ["--toolbox"]]) {
    const build = ["scripts/build-wrapper.ts", ...program];
    const built = spawnSync("node", build, { cwd: repository, env: toolEnvironment(), stdio: "inherit" });
    if (built.status !== 0) return 1;
  }
  const secretsFile = join(repository, ".dev.vars");
  const { secrets } = ensureSecrets(secretsFile);
  const order = { tenant: "dev", scopes: [], issuedAt: Date.now(), nonce: "dev0containers" } as const;
  console.log(`API key (tenant dev)  ${await signApiKey(order, secrets.KEY_SIGNING_SECRET)}`);
  const flags = ["dev", "--enable-containers", "--ip", "127.0.0.1", "--env-file", secretsFile];
  const worker = spawn("wrangler", [...flags, "--var", "SANDBOX_PROVIDER:cloudflare", ...args], {
    cwd: repository,
    env: toolEnvironment(),
    stdio: "inherit",
  });
  const port = /--port[= ](\d+)/.exec(args.join(" "))?.[1] ?? "8787";
  // wrangler fires no cron by itself.
  const cron = setInterval(
    () => void fetch(`http://127.0.0.1:${port}/cdn-cgi/local/scheduled`).catch(() => {}),
    cronMs,
  );
  // The terminal's Ctrl-C reaches wrangler too; it ends its containers before it ends.
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => worker.kill(signal));
  return new Promise((resolve) => {
    worker.once("exit", (code) => {
      clearInterval(cron);
      resolve(code ?? 0);
    });
  });
}

process.exitCode = await main(process.argv.slice(2));
