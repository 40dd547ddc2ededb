/** Opens an address in the browser of this machine. */
import { spawn } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * false: there is none to open. By a file that only its owner reads: an address in a process list would sign in whoever copies it
 * within the minute.
 */
export async function openBrowser(
  address: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<boolean> {
  const [program, ...args] =
    process.platform === "darwin" ? ["open"] : process.platform === "win32" ? ["cmd", "/c", "start", ""] : ["xdg-open"];
  if (process.platform === "linux" && (env["DISPLAY"] ?? env["WAYLAND_DISPLAY"] ?? "") === "") return false;
  return await new Promise((resolve) => {
    const child = spawn(program ?? "", [...args, pageTo(address)], { stdio: "ignore", detached: true });
    child.on("error", () => resolve(false));
    child.on("spawn", () => {
      child.unref();
      resolve(true);
    });
  });
}

/** The file's path. mkdtemp opens the directory to its owner alone. */
function pageTo(address: string): string {
  const file = join(mkdtempSync(join(tmpdir(), "mooring-")), "open.html");
  const escaped = address.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");
  writeFileSync(file, `<!doctype html><meta http-equiv="refresh" content="0;url=${escaped}">\n`, { mode: 0o600 });
  return file;
}
