/**
 * The probe's Worker on an account, for as long as one command needs it: deployed under a name of its own, asked, and removed with all that
 * it had, also after a failure and after Ctrl-C.
 */
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readWith } from "../deploy/deploy-config.ts";
import { repository, toolEnvironment } from "../repository.ts";
import { applicationId } from "./application-id.ts";
import { askOver } from "./ask-over.ts";
import type { Ask } from "./questions.ts";

export const managedImage = "cloudflare/debian-trixie";
/** A Worker answers at its address some seconds after the deploy. */
const readyTries = 30;
const wranglerMs = 300_000;

interface Names {
  readonly worker: string;
  readonly application: string;
}

/** `mooring-probe-1a2b3c4d` for the purpose `probe`. */
export class AccountWorker {
  readonly #names: Names;
  readonly #directory = mkdtempSync(join(tmpdir(), "mooring-account-"));
  readonly #config: string;
  #isRemoved = false;

  constructor(purpose: string) {
    const worker = `mooring-${purpose}-${randomBytes(4).toString("hex")}`;
    this.#names = { worker, application: `${worker}-box` };
    this.#config = writeConfig(this.#directory, this.#names);
  }

  /** What goes without an account: it is bundled, and every name is its own. A string: what is wrong. */
  dryRun():
    { readonly files: readonly string[]; readonly names: Names; readonly removals: readonly string[] } | string {
    try {
      const out = join(this.#directory, "out");
      const bundled = wrangler(["deploy", "--config", this.#config, "--dry-run", "--outdir", out]);
      if (!bundled.ok) return `The Worker cannot be bundled:\n${bundled.said}`;
      const read = readWith(this.#config);
      const [application] = read.containers ?? [];
      if (read.name !== this.#names.worker || application?.name !== this.#names.application)
        return "The configuration does not have names of its own.";
      const files = readdirSync(out).filter((name) => name.endsWith(".js"));
      return { files, names: this.#names, removals: removalsOf(this.#names) };
    } finally {
      rmSync(this.#directory, { recursive: true, force: true });
    }
  }

  /** 0: all went well and nothing is left. Else what went wrong was said. */
  async use(timeoutMs: number, act: (ask: Ask) => Promise<void>): Promise<number> {
    // Ctrl-C must leave nothing that runs and costs.
    process.once("SIGINT", () => process.exit(this.#remove() ? 130 : 1));
    try {
      const token = randomBytes(32).toString("hex");
      const vars = ["--var", `LOCAL_IMAGE:${managedImage}`, "--var", `PROBE_TOKEN:${token}`];
      const deployed = wrangler(["deploy", "--config", this.#config, ...vars]);
      const url = /https:\/\/\S+\.workers\.dev/.exec(deployed.said)?.[0];
      if (!deployed.ok || url === undefined) throw new Error(`It was not deployed:\n${deployed.said}`);
      const ask = askOver(url, token, timeoutMs);
      await untilReady(ask);
      await act(ask);
    } catch (error) {
      console.error(error instanceof Error ? error.message : String(error));
      this.#remove();
      return 1;
    }
    return this.#remove() ? 0 : 1;
  }

  /** false: something may be left, and was named. */
  #remove(): boolean {
    if (this.#isRemoved) return true;
    this.#isRemoved = true;
    rmSync(this.#directory, { recursive: true, force: true });
    const { worker, application } = this.#names;
    const deleted = wrangler(["delete", "--name", worker, "--force"]);
    // Deleting the Worker leaves its container application.
    const listed = wrangler(["containers", "list", "--json"]);
    const id = applicationId(listed.said, application);
    const isGone = id === null ? listed.ok : wrangler(["containers", "delete", id]).ok;
    if (deleted.ok && isGone) {
      console.error(`Removed: ${worker} and ${application}.`);
      return true;
    }
    console.error(`Something may be left. Remove it with:\n${removalsOf(this.#names).join("\n")}`);
    return false;
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

function wrangler(args: readonly string[]): { readonly ok: boolean; readonly said: string } {
  const env = toolEnvironment({ CI: "1", WRANGLER_SEND_METRICS: "false" });
  const ran = spawnSync("wrangler", args, { cwd: repository, env, encoding: "utf8", timeout: wranglerMs });
  return { ok: ran.status === 0, said: `${ran.stdout ?? ""}${ran.stderr ?? ""}` };
}

function removalsOf({ worker, application }: Names): readonly string[] {
  return [
    `npx wrangler delete --name ${worker} --force`,
    `npx wrangler containers list, and npx wrangler containers delete <the id of ${application}>`,
  ];
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

export function freshBox(): string {
  return `box-${randomBytes(8).toString("hex")}`;
}

export function wait(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
