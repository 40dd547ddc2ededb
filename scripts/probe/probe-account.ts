/**
 * `npm run probe:account [-- --dry-run]`: deploys a Worker with containers under a name of its own, asks it what only an account can answer
 * (questions.ts), prints a table, and removes all of it: some five minutes. Needs a login of wrangler, and no Docker.
 *
 * `--dry-run` asks no account: it bundles the Worker, checks its configuration, and lists the questions and what would be removed.
 * Exit 1: it could not be deployed, or something of it is left, which is named with the command that removes it.
 */
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readCommandLine } from "../command-line.ts";
import { readWith } from "../deploy/deploy-config.ts";
import { repository, toolEnvironment } from "../repository.ts";
import { applicationId } from "./application-id.ts";
import { type Ask, answersOf, questions, tableOf } from "./questions.ts";

const usage = "Usage: npm run probe:account -- [--dry-run]";
const managedImage = "cloudflare/debian-trixie";
const holdMs = 60_000;
const callMs = 120_000;
/** A Worker answers at its address some seconds after the deploy. */
const readyTries = 30;

interface Names {
  readonly worker: string;
  readonly application: string;
}

function main(): Promise<number> {
  const { values } = readCommandLine(usage, { options: { "dry-run": { type: "boolean", default: false } } });
  const worker = `mooring-probe-${randomBytes(4).toString("hex")}`;
  const names = { worker, application: `${worker}-box` };
  const directory = mkdtempSync(join(tmpdir(), "mooring-probe-"));
  try {
    const config = writeConfig(directory, names);
    return values["dry-run"] ? Promise.resolve(dryRun(directory, config, names)) : probe(config, names);
  } finally {
    if (values["dry-run"]) rmSync(directory, { recursive: true, force: true });
  }
}

function writeConfig(directory: string, { worker, application }: Names): string {
  const own = join(repository, "scripts/probe/wrangler.toml");
  const toml = readFileSync(own, "utf8")
    .replace(/^name = "mooring-probe"$/m, `name = "${worker}"`)
    .replace(/^name = "mooring-probe-box"$/m, `name = "${application}"`)
    .replace(/^main = .*$/m, `main = ${JSON.stringify(join(repository, "scripts/probe/worker.ts"))}`);
  const path = join(directory, "wrangler.toml");
  writeFileSync(path, toml);
  return path;
}

function wrangler(args: readonly string[]) {
  const env = toolEnvironment({ CI: "1", WRANGLER_SEND_METRICS: "false" });
  const ran = spawnSync("wrangler", args, { cwd: repository, env, encoding: "utf8", timeout: 300_000 });
  return { ok: ran.status === 0, said: `${ran.stdout ?? ""}${ran.stderr ?? ""}` };
}

function removalsOf({ worker, application }: Names): readonly string[] {
  return [
    `npx wrangler delete --name ${worker} --force`,
    `npx wrangler containers list, and npx wrangler containers delete <the id of ${application}>`,
  ];
}

function dryRun(directory: string, config: string, names: Names): number {
  const out = join(directory, "out");
  const bundled = wrangler(["deploy", "--config", config, "--dry-run", "--outdir", out]);
  if (!bundled.ok) {
    console.error(`The Worker of the probe cannot be bundled:\n${bundled.said}`);
    return 1;
  }
  const read = readWith(config);
  const [application] = read.containers ?? [];
  if (read.name !== names.worker || application?.name !== names.application) {
    console.error("The configuration of the probe does not have names of its own.");
    return 1;
  }
  const files = readdirSync(out).filter((name) => name.endsWith(".js"));
  console.log(`Bundled: ${files.join(", ")}, as the Worker ${names.worker} with the containers ${names.application}.`);
  console.log(tableOf(questions.map((question) => ({ question, answer: "not asked: a dry run" }))));
  console.log(`It would then remove itself:\n${removalsOf(names).join("\n")}`);
  return 0;
}

async function probe(config: string, names: Names): Promise<number> {
  const token = randomBytes(32).toString("hex");
  const vars = ["--var", `LOCAL_IMAGE:${managedImage}`, "--var", `PROBE_TOKEN:${token}`];
  let isOver = false;
  const over = (): number => {
    if (isOver) return 0;
    isOver = true;
    return remove(names) ? 0 : 1;
  };
  // Ctrl-C must leave nothing that runs and costs.
  process.once("SIGINT", () => process.exit(over() === 0 ? 130 : 1));
  try {
    const deployed = wrangler(["deploy", "--config", config, ...vars]);
    const url = /https:\/\/\S+\.workers\.dev/.exec(deployed.said)?.[0];
    if (!deployed.ok || url === undefined) {
      console.error(`The probe was not deployed:\n${deployed.said}`);
      over();
      return 1;
    }
    const ask = askOver(url, token);
    await untilReady(ask);
    const fresh = (): string => `box-${randomBytes(8).toString("hex")}`;
    const answers = await answersOf({ ask, fresh, wait, holdMs }, (line) => console.error(line));
    console.log(tableOf(answers));
  } catch (error) {
    console.error(`The probe failed: ${error instanceof Error ? error.message : String(error)}`);
    over();
    return 1;
  }
  return over();
}

function askOver(url: string, token: string): Ask {
  return async (box, call, argument = null) => {
    const reply = await fetch(`${url}/${box}/${call}`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}` },
      body: JSON.stringify(argument),
      signal: AbortSignal.timeout(callMs),
    });
    const text = await reply.text();
    if (!reply.ok) throw new Error(`${call}: ${reply.status} ${text.slice(0, 300)}`);
    return JSON.parse(text) as never;
  };
}

async function untilReady(ask: Ask): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await ask("ready", "look");
      return;
    } catch (error) {
      if (tries === readyTries) throw error;
      await wait(2_000);
    }
  }
}

/** false: something may be left, and was named. */
function remove(names: Names): boolean {
  const worker = wrangler(["delete", "--name", names.worker, "--force"]);
  // Deleting the Worker leaves its container application.
  const listed = wrangler(["containers", "list", "--json"]);
  const id = applicationId(listed.said, names.application);
  const application = id === null ? listed.ok : wrangler(["containers", "delete", id]).ok;
  if (worker.ok && application) {
    console.error(`Removed: ${names.worker} and ${names.application}.`);
    return true;
  }
  console.error(`Something of the probe may be left. Remove it with:\n${removalsOf(names).join("\n")}`);
  return false;
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

process.exitCode = await main();
