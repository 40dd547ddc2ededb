/**
 * `npm run cli -- …`: the command line from the sources, against `npm run dev`. Without a key, token or profile of your own it
 * acts as the tenant `dev` and as operator, with the secrets of .dev.vars. They go to the command in its environment.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { repository } from "../repository.ts";
import { freshKey } from "./fresh-key.ts";
import { ensureSecrets } from "./secrets.ts";

const given = ["MOORING_KEY", "MOORING_ADMIN_TOKEN", "MOORING_PROFILE"].some(
  (name) => (process.env[name] ?? "") !== "",
);
const chosen = process.argv.slice(2).some((arg) => /^--(profile|key-file)(=|$)/.test(arg));
const secretsFile = join(repository, ".dev.vars");
const env = { ...process.env };
if (!given && !chosen && existsSync(secretsFile)) {
  const { secrets } = ensureSecrets(secretsFile);
  env["MOORING_KEY"] = await freshKey({ tenant: "dev", scopes: [] }, secrets.KEY_SIGNING_SECRET);
  env["MOORING_ADMIN_TOKEN"] = secrets.ADMIN_TOKEN;
}
const child = spawn(process.execPath, [join(repository, "src/cli/main.ts"), ...process.argv.slice(2)], {
  stdio: "inherit",
  env,
});
// The terminal's Ctrl-C reaches the command too; a SIGTERM from elsewhere reaches only us.
for (const signal of ["SIGINT", "SIGHUP"] as const) process.on(signal, () => {});
process.on("SIGTERM", () => child.kill("SIGTERM"));
child.on("exit", (code, signal) => {
  process.exitCode = code ?? (signal === null ? 1 : 128);
});
