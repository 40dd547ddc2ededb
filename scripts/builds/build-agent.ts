/**
 * The agent that travels with the Worker: wrapper and toolbox as one file among the assets, assets/agent/bundle.json, not in git. The
 * Worker hands it to each container of the provider `cloudflare`; nobody else is served it.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { repository, toolEnvironment } from "../repository.ts";

const directory = join(repository, "assets/agent");
const target = join(directory, "bundle.json");
const scratch = mkdtempSync(join(tmpdir(), "mooring-agent-"));
try {
  const bundle = JSON.stringify({ wrapper: built("wrapper"), toolbox: built("toolbox", "--toolbox") });
  // wrangler watches the folder: a file that is written although nothing changed would start this again, for ever.
  if (present() !== bundle) {
    mkdirSync(directory, { recursive: true });
    const draft = join(repository, "assets", `.agent-${process.pid}`);
    writeFileSync(draft, bundle);
    renameSync(draft, target);
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

function built(name: string, ...flags: readonly string[]): string {
  const file = join(scratch, `${name}.js`);
  const script = join(repository, "scripts/builds/build-wrapper.ts");
  const ran = spawnSync("node", [script, ...flags, file], {
    cwd: repository,
    env: toolEnvironment(),
    encoding: "utf8",
  });
  if (ran.status !== 0) throw new Error(`The ${name} could not be bundled: ${ran.stderr}`);
  return readFileSync(file, "utf8");
}

function present(): string | null {
  try {
    return readFileSync(target, "utf8");
  } catch {
    return null;
  }
}
