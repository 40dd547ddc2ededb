/**
 * The agent that travels with the Worker: wrapper and toolbox as one file among the assets, assets/agent/bundle.json, not in git. The
 * Worker hands it to each container of the provider `cloudflare`; nobody else is served it.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { repository, toolEnvironment } from "../repository.ts";
import { writeWhenChanged } from "./write-when-changed.ts";

const scratch = mkdtempSync(join(tmpdir(), "mooring-agent-"));
try {
  const bundle = JSON.stringify({ wrapper: built("wrapper"), toolbox: built("toolbox", "--toolbox") });
  writeWhenChanged(join(repository, "assets/agent/bundle.json"), bundle);
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
