/** The programs of the image, built once for each test process by the script that builds the image's. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

let built: { readonly wrapper: string; readonly toolbox: string } | null = null;

export function programs(): { readonly wrapper: string; readonly toolbox: string } {
  if (built !== null) return built;
  const directory = mkdtempSync(join(tmpdir(), "mooring-image-"));
  process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
  const script = new URL("../../../scripts/builds/build-wrapper.ts", import.meta.url).pathname;
  const wrapper = join(directory, "wrapper.js");
  const toolbox = join(directory, "toolbox.js");
  execFileSync(process.execPath, [script, wrapper], { stdio: "pipe" });
  execFileSync(process.execPath, [script, "--toolbox", toolbox], { stdio: "pipe" });
  built = { wrapper, toolbox };
  return built;
}
